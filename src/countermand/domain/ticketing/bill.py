"""What does an order cost? Amounts are whole minor units; only a voucher's discount is rounded, for each price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from countermand.domain.money import Money
from countermand.domain.ticketing.catalogue import Method, Product, Voucher


class CurrenciesDifferError(ValueError):
    """Raised because an order must be in one currency. `currencies` are the currencies that were mixed.

    The sentence names each part of the order with its currencies, as "products: EUR; donation: GBP".
    """

    def __init__(self, of_parts: Mapping[str, set[str]]) -> None:
        said = "; ".join(f"{part}: {', '.join(sorted(found))}" for part, found in of_parts.items() if found)
        super().__init__(f"one order is in one currency, not in several ({said})")
        self.currencies = set().union(*of_parts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class LinePrice:
    """The prices of one piece of a line, in minor units: the catalogue's, this buyer's, and the service costs.

    A part of a combo product costs the buyer nothing, because the combo's price covers all parts.
    """

    price_minor: int
    paid_minor: int
    service_costs_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """The amounts that a buyer pays, in minor units. `grand_total_minor` excludes only external purchases."""

    currency: str
    lines: tuple[LinePrice, ...]
    product_total_minor: int
    service_costs_minor: int
    donation_minor: int
    grand_total_minor: int


def line_price(product: Product, vouchers: Sequence[Voucher], *, is_part: bool) -> LinePrice:
    """Return the price of one piece of a line. If several vouchers fit the product, the largest discount counts."""
    if is_part:
        return LinePrice(price_minor=product.price.minor, paid_minor=0, service_costs_minor=0)
    paid = min([product.price.minor, *(one.price_of(product.price).minor for one in vouchers if one.is_for(product))])
    return LinePrice(price_minor=product.price.minor, paid_minor=paid, service_costs_minor=product.service_costs.minor)


def bill_of(
    lines: Sequence[tuple[Product, int, bool]],
    *,
    vouchers: Sequence[Voucher],
    methods: Sequence[Method],
    donation: Money | None,
    currency: str | None,
) -> Bill:
    """Add up an order. Each of `lines` is a product, its quantity, and whether it is a part of a combo product.

    Raises `CurrenciesDifferError`, and `ValueError` for a total that is out of range.
    """
    of_parts = {
        "products": {product.price.currency for product, _, _ in lines},
        "methods": {method.costs.currency for method in methods if method.costs.minor},
        "donation": {donation.currency} if donation is not None else set(),
        "currency": {currency} if currency is not None else set(),
    }
    currencies = set().union(*of_parts.values())
    if len(currencies) > 1:
        raise CurrenciesDifferError(of_parts)
    prices = tuple(line_price(product, vouchers, is_part=is_part) for product, _, is_part in lines)
    counts = [count for _, count, _ in lines]
    product_total = sum(price.paid_minor * count for price, count in zip(prices, counts, strict=True))
    service_costs = sum(price.service_costs_minor * count for price, count in zip(prices, counts, strict=True))
    donation_minor = 0 if donation is None else donation.minor
    total = product_total + service_costs + donation_minor
    if total > 0:  # an order that costs nothing has no payment or shipping costs
        total += sum(method.costs.minor for method in methods)
    Money(minor=total, currency=min(currencies))
    return Bill(
        currency=min(currencies),
        lines=prices,
        product_total_minor=product_total,
        service_costs_minor=service_costs,
        donation_minor=donation_minor,
        grand_total_minor=total,
    )


def missing_fields(consumer: Mapping[str, object], methods: Sequence[Method]) -> tuple[str, ...]:
    """Return the consumer fields that the chosen methods need and the consumer lacks; a blank field is lacking."""
    needed = {name: None for method in methods for name in method.required_consumer_fields}
    return tuple(name for name in needed if not str(consumer.get(name, "")).strip())

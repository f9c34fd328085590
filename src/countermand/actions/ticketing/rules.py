"""May these tickets be sold, to this buyer, now? It has every rule of an order for tickets, each with its code.

The rules read the catalogue without a lock: a product that was on sale at that read may be sold. Only what runs out,
stock and the uses of a voucher, is read again under a lock, in `place.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from countermand.actions.catalogue.ports import Offer, OfferReading, VoucherReading
from countermand.actions.errors import ConflictError
from countermand.actions.ordering.views import Line
from countermand.domain.money import Money
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.ticketing.bill import Bill, CurrenciesDifferError, bill_of, missing_fields
from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher
from countermand.domain.ticketing.consumer import Consumer

TICKETS_CAP: Final = 100  # tickets in one order; ours, so that one order's transaction does not take too long


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketOrder:
    """The order that a buyer wants: products, payment method and shipping method by uid, and the rest as given.

    `lines` are what the buyer chose, without the parts of combo products. `ticket_consumers` has, by the index of a
    line, the consumer of each of its tickets. `given` is what the order stores and shows, its consumer included.
    """

    lines: Sequence[Line]
    payment_method_uid: str | None
    shipping_method_uid: str | None
    given: TicketOrderGiven
    vouchers: Sequence[str] = ()
    donation: Money | None = None
    currency: str | None = None
    ticket_consumers: Mapping[int, Sequence[Consumer]] | None = None
    consecutive_seats: bool = True  # the numbered seats of a line must be neighbours
    only_event: str | None = None  # the uid of the only event whose products the caller may order

    @property
    def consumer(self) -> Consumer:
        """The consumer of the order, as far as the client gave it."""
        return self.given.consumer or Consumer()


@dataclass(frozen=True, kw_only=True, slots=True)
class Basket:
    """A wanted order in the form in which it can be sold: each line is followed by its parts."""

    lines: tuple[Line, ...]
    products: Mapping[str, Product]
    vouchers: tuple[Voucher, ...]
    payment: Method | None
    shipping: Method | None
    bill: Bill

    @property
    def quantities(self) -> Counter[str]:
        """The quantity of each product, chosen or as a part."""
        quantities: Counter[str] = Counter()
        for line in self.lines:
            quantities[line.product_uid] += line.quantity
        return quantities


async def basket_of(reading: OfferReading, wanted: TicketOrder, now: datetime) -> Basket:
    """Read the catalogue, apply every rule that bills and orders share, and return the basket.

    Raises `ConflictError` with the codes `product_not_available`, `multiple_events`, `not_on_sale`,
    `not_separately_saleable`, `too_few_tickets`, `too_many_tickets`, `voucher_not_applicable`,
    `payment_method_not_applicable`, `shipping_method_not_applicable`, `currencies_differ`, `total_out_of_range`.
    """
    chosen: Counter[str] = Counter()
    for line in wanted.lines:
        chosen[line.product_uid] += line.quantity
    method_uids = [uid for uid in (wanted.payment_method_uid, wanted.shipping_method_uid) if uid]
    offer = await reading.offer(list(chosen), wanted.vouchers, method_uids)
    products = offer.products
    _available(chosen, products, wanted.only_event)
    parts = {part.product_uid for uid in chosen for part in products[uid].parts}
    if unknown := parts - products.keys():
        raise ConflictError("product_not_available", f"there is no product {min(unknown)}, a part of what was chosen")
    event = _event(offer, [products[uid] for uid in chosen])
    vouchers = _vouchers(offer, wanted.vouchers, [products[uid] for uid in chosen])
    for uid in chosen:
        _on_sale(products[uid], event, vouchers, now)
    if not any(products[uid].is_separately_saleable for uid in chosen):
        raise ConflictError(
            "not_separately_saleable", "these products are sold only together with others; add one of those"
        )
    _limits(chosen, products, event)
    lines = _with_parts(wanted.lines, products)
    _cap(lines)
    country = wanted.consumer.country or None
    payment = _method(offer.methods, wanted.payment_method_uid, "payment", country)
    shipping = _method(offer.methods, wanted.shipping_method_uid, "shipping", country)
    return Basket(
        lines=lines,
        products=products,
        vouchers=vouchers,
        payment=payment,
        shipping=shipping,
        bill=_bill(lines, products, vouchers, [one for one in (payment, shipping) if one is not None], wanted),
    )


def check_buyer(basket: Basket, wanted: TicketOrder) -> None:
    """Check what an order needs and a bill does not: a way to pay, unless it is free, and a consumer.

    Raises `ConflictError` with the codes `payment_method_missing`, `profile_missing`.
    """
    if basket.bill.grand_total_minor > 0 and basket.payment is None:
        raise ConflictError("payment_method_missing", "payment_method is missing; only a free order can do without")
    if wanted.given.consumer is None:
        raise ConflictError("profile_missing", "consumer is missing; say whom the order is for")
    methods = [one for one in (basket.payment, basket.shipping) if one is not None]
    if missing := missing_fields(wanted.consumer.given(), methods):
        names = ", ".join(f"consumer.{name}" for name in missing)
        raise ConflictError("profile_missing", f"the methods that were chosen need {names}")


def short_of(products: Mapping[str, Product], quantities: Mapping[str, int]) -> ConflictError | None:
    """Return the error for a product with too few places left, or None. The places were read without a lock."""
    for uid in sorted(quantities):
        if products[uid].availability < quantities[uid]:
            return insufficient(uid)
    return None


def insufficient(uid: str) -> ConflictError:
    """Return the error for a product with too few places left."""
    return ConflictError("insufficient_products", f"too few places are left of product {uid}; nothing was reserved")


async def check_uses(reading: VoucherReading, vouchers: Sequence[Voucher]) -> None:
    """Check that each voucher may be used once more. Raises `ConflictError` with the code `voucher_used_up`."""
    for voucher in vouchers:
        if voucher.uses_cap is not None and await reading.voucher_uses(voucher.code) >= voucher.uses_cap:
            raise ConflictError("voucher_used_up", f"the voucher {voucher.code} has been used")


def _available(chosen: Mapping[str, int], products: Mapping[str, Product], only_event: str | None) -> None:
    known = {uid: one for uid, one in products.items() if one.is_enabled and only_event in {None, one.event_uid}}
    if unknown := chosen.keys() - known.keys():
        raise ConflictError("product_not_available", f"there is no product {min(unknown)}")


def _event(offer: Offer, chosen: Sequence[Product]) -> Event | None:
    """Return the event of all products; None for products from before there were events."""
    uids = {product.event_uid for product in chosen if product.event_uid is not None}
    if len(uids) > 1:
        raise ConflictError("multiple_events", "the products are for several events; place one order for each event")
    if not uids:
        return None
    (uid,) = uids
    event = offer.events.get(uid)
    if event is None or not event.is_enabled:
        raise ConflictError("product_not_available", f"the event {uid} is not for sale")
    return event


def _vouchers(offer: Offer, codes: Sequence[str], chosen: Sequence[Product]) -> tuple[Voucher, ...]:
    """Return the vouchers by code. A voucher that does not exist and one for other products get the same error."""
    known = offer.vouchers
    for code in codes:
        if code not in known or not any(known[code].is_for(product) for product in chosen):
            raise ConflictError("voucher_not_applicable", f"the voucher {code} is for none of these products")
    return tuple(known[code] for code in sorted(set(codes)))


def _on_sale(product: Product, event: Event | None, vouchers: Sequence[Voucher], now: datetime) -> None:
    if not product.is_on_sale(event, now):
        raise ConflictError("not_on_sale", f"the product {product.uid} is not on sale now")
    if product.needs_voucher and not any(voucher.is_for(product) for voucher in vouchers):
        raise ConflictError("not_on_sale", f"the product {product.uid} is on sale with a voucher only")


def _limits(chosen: Counter[str], products: Mapping[str, Product], event: Event | None) -> None:
    """Check the quantity of each product, and of all together."""
    for uid, quantity in chosen.items():
        product = products[uid]
        _within(f"of product {uid}", quantity, product.min_per_order, product.max_per_order)
    if event is not None:
        _within(f"for event {event.uid}", chosen.total(), event.min_per_order or 1, event.max_per_order)


def _within(what: str, quantity: int, low: int, high: int | None) -> None:
    if quantity < low:
        raise ConflictError("too_few_tickets", f"one order has at least {low} tickets {what}, not {quantity}")
    if high is not None and quantity > high:
        raise ConflictError("too_many_tickets", f"one order has at most {high} tickets {what}, not {quantity}")


def _cap(lines: Sequence[Line]) -> None:
    total = sum(line.quantity for line in lines)
    if total > TICKETS_CAP:
        raise ConflictError("too_many_tickets", f"one order has at most {TICKETS_CAP} tickets, not {total}")


def _with_parts(lines: Sequence[Line], products: Mapping[str, Product]) -> tuple[Line, ...]:
    """Return each line, followed by its parts."""
    return tuple(
        one
        for line in lines
        for one in (
            line,
            *(
                Line(product_uid=part.product_uid, quantity=line.quantity * part.quantity, parent_uid=line.product_uid)
                for part in products[line.product_uid].parts
            ),
        )
    )


def _method(methods: Mapping[str, Method], uid: str | None, kind: str, country: str | None) -> Method | None:
    if uid is None:
        return None
    method = methods.get(uid)
    if method is None or method.kind != kind:
        raise ConflictError(f"{kind}_method_not_applicable", f"there is no {kind} method {uid}")
    if not method.is_for(country):
        where = "whose consumer names no country" if country is None else f"from {country}"
        raise ConflictError(f"{kind}_method_not_applicable", f"the {kind} method {uid} is not for orders {where}")
    return method


def _bill(
    lines: Sequence[Line],
    products: Mapping[str, Product],
    vouchers: Sequence[Voucher],
    methods: Sequence[Method],
    wanted: TicketOrder,
) -> Bill:
    try:
        return bill_of(
            [(products[line.product_uid], line.quantity, line.parent_uid is not None) for line in lines],
            vouchers=vouchers,
            methods=methods,
            donation=wanted.donation,
            currency=wanted.currency,
        )
    except CurrenciesDifferError as error:
        raise ConflictError("currencies_differ", str(error)) from None
    except ValueError as error:
        raise ConflictError("total_out_of_range", str(error)) from None

"""Converts a catalogue that the operator loads to the domain's values, and checks that it is consistent in itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, Struct, structs

from countermand.actions.catalogue.load import Catalogue
from countermand.actions.errors import FieldsError
from countermand.contracts.http.money import AmountGiven
from countermand.contracts.manage.calls import in_range
from countermand.contracts.manage.catalogue_messages import (
    CatalogueGiven,
    EventGiven,
    MethodGiven,
    ProductGiven,
    SeatsGiven,
    VoucherGiven,
)
from countermand.domain.instants import written_instant
from countermand.domain.money import Money
from countermand.domain.ticketing.catalogue import Event, EventUid, Method, Part, Product, ProductUid, Voucher
from countermand.domain.ticketing.event_fields import in_newest_form
from countermand.domain.ticketing.seating import SeatBlock

SEATS_CAP: Final = 20_000  # seats of one product: each order of the product reads them all (guessed)
SHOWN_OF_EVENTS: Final = (
    "subtitle",
    "description",
    "long_description",
    "sold_out_text",
    "location",
    "facilities",
    "artists",
    "genres",
    "image",
    "ticketshop",
    "personalization_start",
    "personalization_end",
    "fulfillment_starts_at",
)
SHOWN_OF_PRODUCTS: Final = (
    "subtitle",
    "sold_out_text",
    "additional_information",
    "types",
    "requires_membership",
    "provides_membership",
)


def catalogue_of(given: CatalogueGiven) -> Catalogue:
    """Convert to the domain's types. Raises `FieldsError`, which names every wrong field, as `products[3].price`."""
    errors: list[tuple[str, str]] = []
    events = [_event(f"events[{index}]", one, errors) for index, one in enumerate(given.events)]
    products = [_product(f"products[{index}]", one, errors) for index, one in enumerate(given.products)]
    methods = [_method(f"methods[{index}]", one, errors) for index, one in enumerate(given.methods)]
    if errors:
        raise FieldsError(errors)
    return Catalogue(
        events=[one for one in events if one is not None],
        products=[one for one in products if one is not None],
        methods=[one for one in methods if one is not None],
        vouchers=[_voucher(one) for one in given.vouchers],
        seats={one.uid: _plan(one) for one in given.products if one.seats},
    )


def _event(path: str, given: EventGiven, errors: list[tuple[str, str]]) -> Event | None:
    found = [
        *_instants_wrong(path, given, "sale_start", "sale_end"),
        *_instants_wrong(path, given, "event_start", "event_end"),
        *_instants_wrong(path, given, "personalization_start", "personalization_end"),
        *_instants_wrong(path, given, "fulfillment_starts_at"),
        *_order_wrong(path, "quantity_per_order", given.min_quantity_per_order, given.max_quantity_per_order),
    ]
    if found:
        errors += found
        return None
    return Event(
        uid=EventUid(given.uid),
        reference=given.reference,
        title=given.title,
        merchant_name=given.merchant_name,
        sale_starts_at=_to_the_second(given.sale_start).astimezone(UTC),
        sale_ends_at=_to_the_second(given.sale_end).astimezone(UTC),
        starts_at=_or_none(given.event_start),
        ends_at=_or_none(given.event_end),
        is_enabled=given.enabled,
        min_per_order=given.min_quantity_per_order,
        max_per_order=given.max_quantity_per_order,
        more=in_newest_form(_more(given, SHOWN_OF_EVENTS)),
    )


def _product(path: str, given: ProductGiven, errors: list[tuple[str, str]]) -> Product | None:
    found = [
        *_instants_wrong(path, given, "sale_start", "sale_end"),
        *_order_wrong(path, "per_order", given.min_per_order, given.max_per_order),
    ]
    price = _money(f"{path}.price", given.price, found)
    costs = price and Money(minor=0, currency=price.currency)
    if given.service_costs is not None:
        costs = _money(f"{path}.service_costs", given.service_costs, found)
    if price is not None and costs is not None and price.currency != costs.currency:
        at = f"{path}.service_costs"
        found.append((at, f"{at} must be in {price.currency}, as the price, not in {costs.currency}"))
    uids = [part.product for part in given.parts]
    if len(set(uids)) != len(uids):
        found.append((f"{path}.parts", f"{path}.parts must have each product once"))
    found += _seats_wrong(path, given)
    if found or price is None or costs is None:
        errors += found
        return None
    total = (
        sum(len(stretch) for stretch in _plan(given)) if given.total_availability is None else given.total_availability
    )
    return Product(
        uid=given.uid,
        name=given.name,
        price=price,
        service_costs=costs,
        availability=total,
        total_availability=total,
        event_uid=EventUid(given.event),
        reference=given.reference,
        min_per_order=given.min_per_order,
        max_per_order=given.max_per_order,
        is_separately_saleable=given.separately_saleable,
        is_enabled=given.enabled,
        needs_voucher=given.needs_voucher,
        sale_starts_at=_or_none(given.sale_start),
        sale_ends_at=_or_none(given.sale_end),
        viewing_order=given.viewing_order,
        parts=tuple(
            Part(product_uid=ProductUid(part.product), quantity=part.quantity)
            for part in sorted(given.parts, key=lambda part: part.product)
        ),
        more=_more(given, SHOWN_OF_PRODUCTS),
    )


def _plan(given: ProductGiven) -> list[SeatBlock]:
    return [SeatBlock(section=one.section, row=one.row, first=one.first, last=one.last) for one in given.seats]


def _seats_wrong(path: str, given: ProductGiven) -> Iterator[tuple[str, str]]:
    """Yield the errors of a seat plan: each seat must be listed once, and the total, if given, must be their number."""
    wanted, at = given.total_availability, f"{path}.total_availability"
    if not given.seats:
        if wanted is None:
            yield at, f"{at} is missing"
        return
    count = 0
    until: dict[tuple[str, str], list[SeatsGiven]] = {}
    for index, one in enumerate(given.seats):
        here = f"{path}.seats[{index}]"
        if one.last < one.first:
            yield f"{here}.last", f"{here}.last must be {one.first} or more, as the first is, not {one.last}"
        others = until.setdefault((one.section, one.row), [])
        if any(other.first <= one.last and one.first <= other.last for other in others):
            yield here, f"{here} has seats of section {one.section}, row {one.row} that stand there already"
        others.append(one)
        count += max(0, one.last - one.first + 1)
    if count > SEATS_CAP:
        yield f"{path}.seats", f"{path}.seats must be at most {SEATS_CAP} seats, not {count}"
    if wanted not in {None, count}:
        yield at, f"{at} must be {count}, as many as the seats, not {wanted}"


def _method(path: str, given: MethodGiven, errors: list[tuple[str, str]]) -> Method | None:
    costs = _money(f"{path}.costs", given.costs, errors)
    if costs is None:
        return None
    return Method(
        uid=given.uid,
        kind=given.kind,
        name=given.name,
        image=given.image,
        costs=costs,
        countries=tuple(given.countries),
        required_consumer_fields=tuple(given.required_consumer_fields),
        pickup_location=given.pickup_location,
    )


def _voucher(given: VoucherGiven) -> Voucher:
    return Voucher(
        code=given.code,
        event_uid=EventUid(given.event),
        product_uids=tuple(given.products),
        discount_percent=given.discount_percent,
        uses_cap=given.uses_cap,
    )


def _money(path: str, given: AmountGiven, errors: list[tuple[str, str]]) -> Money | None:
    try:
        return Money.of(given.amount, given.currency)
    except ValueError as error:
        errors.append((path, f"{path}: {error}"))
        return None


def _instants_wrong(path: str, given: Struct, *names: str) -> Iterator[tuple[str, str]]:
    """Yield the errors of instants: each must be in range, and each must lie after the one before."""
    before: datetime | None = None
    for name in names:
        instant = getattr(given, name)
        if instant is None:
            continue
        instant = _to_the_second(instant)
        try:
            in_range(f"{path}.{name}", instant)
        except FieldsError as error:
            yield from error.errors
        if before is not None and instant <= before:
            yield f"{path}.{name}", f"{path}.{name} must lie after {before.isoformat()}, not on {instant.isoformat()}"
        before = instant


def _order_wrong(path: str, name: str, least: int | None, most: int | None) -> Iterator[tuple[str, str]]:
    if least is not None and most is not None and most < least:
        at = f"{path}.max_{name}"
        yield at, f"{at} must be {least} or more, as the minimum is, not {most}"


def _to_the_second(instant: datetime) -> datetime:
    """Cut an instant to the second, as it is shown and filtered."""
    return instant.replace(microsecond=0)


def _or_none(instant: datetime | None) -> datetime | None:
    return None if instant is None else _to_the_second(instant).astimezone(UTC)


def _more(given: Struct, names: tuple[str, ...]) -> dict[str, object]:
    """Return the fields that are only shown, as JSON values; fields without a value are left out."""
    return {name: _shown(value) for name in names if (value := getattr(given, name, UNSET)) not in (None, UNSET)}


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return written_instant(_to_the_second(value))
    if isinstance(value, Struct):
        return {name: inner for name, inner in structs.asdict(value).items() if inner is not None}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return value

"""Loads the operator's catalogue: adds or changes events, products, methods and vouchers, any number of times."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol, TypeVar

from countermand.actions.catalogue.ports import CatalogueReading, CatalogueWriting
from countermand.actions.errors import ConflictError, FieldsError
from countermand.actions.ticketing.seat_ports import SeatPlanWriting
from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher
from countermand.domain.ticketing.seating import Seat, SeatBlock

Value = TypeVar("Value")

_ASKED_AT_ONCE: Final = 1000
ADDED: Final = "added"
CHANGED: Final = "changed"
AS_THEY_WERE: Final = "as they were"


class CatalogueTransaction(CatalogueWriting, SeatPlanWriting, Protocol):
    """Implemented by a transaction in which a catalogue can be loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """A part of a catalogue, in the order in which it was given: an error names `products[3]`, counted from 0.

    `seats` maps the uids of products with numbered seats to their seat plans, with as many seats as the total.
    """

    events: Sequence[Event] = ()
    products: Sequence[Product] = ()
    methods: Sequence[Method] = ()
    vouchers: Sequence[Voucher] = ()
    seats: Mapping[str, Sequence[SeatBlock]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events) + len(self.products) + len(self.methods) + len(self.vouchers)


async def check_references(reading: CatalogueReading, catalogue: Catalogue) -> None:
    """Raise `FieldsError` for every reference that is neither in the given catalogue nor in the database.

    The same goes for a combo product with a part that is a combo itself, belongs to another event or has another
    currency, and for every item that is given twice.
    """
    errors = [*_doubles(catalogue)]
    products = {one.uid: one for one in catalogue.products}
    known = await _found(reading.products, _products_named(catalogue) - products.keys())
    every_product = {**known, **products}
    events: set[str] = {one.uid for one in catalogue.events}
    events.update((await _found(reading.events_named, _events_named(catalogue) - events)).keys())
    for index, product in enumerate(catalogue.products):
        if product.event_uid not in events:
            errors.append((f"products[{index}].event", f"there is no event {product.event_uid}"))
        errors += _wrong_parts(f"products[{index}].parts", product, every_product)
    errors += await _wrong_in_combos(reading, catalogue)
    for index, voucher in enumerate(catalogue.vouchers):
        if voucher.event_uid not in events:
            errors.append((f"vouchers[{index}].event", f"there is no event {voucher.event_uid}"))
        for uid in voucher.product_uids:
            if uid not in every_product or every_product[uid].event_uid != voucher.event_uid:
                said = f"there is no product {uid} of the event {voucher.event_uid}"
                errors.append((f"vouchers[{index}].products", said))
    _raise(errors)


async def check_stock(reading: CatalogueReading, catalogue: Catalogue) -> None:
    """Raise `FieldsError` for products of which orders hold more than the new total. Call it before loading."""
    known = await _found(reading.products, {one.uid for one in catalogue.products})
    errors = []
    for index, product in enumerate(catalogue.products):
        there = known.get(product.uid)
        if there is not None and there.total_availability - there.availability > product.total_availability:
            errors.append((f"products[{index}].total_availability", _more_held(product)))
    _raise(errors)


async def load_catalogue(tx: CatalogueTransaction, catalogue: Catalogue) -> Counter[str]:
    """Add new items and change those that differ; return how many were "added", "changed" and "as they were".

    Of a product's stock only the total is set: orders keep what they hold. Items that are not given stay as they are.
    Raises `ConflictError` with `more_held` if orders hold more of a product than its new total, and with `seats_held`
    if a valid ticket would lose its seat, or have none. The caller has checked the references.
    """
    done: Counter[str] = Counter()
    known_events = await tx.events_named([one.uid for one in catalogue.events])
    for event in sorted(catalogue.events, key=lambda one: one.uid):
        if _counted(done, known_events.get(event.uid), event):
            await tx.put_event(event)
    known_methods = await tx.methods([one.uid for one in catalogue.methods])
    for method in sorted(catalogue.methods, key=lambda one: one.uid):
        if _counted(done, known_methods.get(method.uid), method):
            await tx.put_method(method)
    known_vouchers = await tx.vouchers([one.code for one in catalogue.vouchers])
    for voucher in sorted(catalogue.vouchers, key=lambda one: one.code):
        if _counted(done, known_vouchers.get(voucher.code), voucher):
            await tx.put_voucher(voucher)
    known_products = await tx.products([one.uid for one in catalogue.products])
    known_plans = await tx.seat_plans([one.uid for one in catalogue.products])
    # Products come last. New ones come first, because nobody waits for these while their seats are written. The others
    # come by uid, the common lock order, and are locked for a short time only.
    for product in sorted(catalogue.products, key=lambda one: (one.uid in known_products, one.uid)):
        known, plan = known_products.get(product.uid), list(catalogue.seats.get(product.uid, ()))
        wanted = replace(product, availability=0, is_seated=bool(plan))
        known_plan = list(known_plans.get(product.uid, ()))
        if _counted(done, known and (replace(known, availability=0), known_plan), (wanted, plan)):
            await _put(tx, wanted)
            if plan or known is not None:
                await _put_seats(tx, product.uid, plan)
    return done


async def _found(
    look_up: Callable[[Sequence[str]], Awaitable[Mapping[str, Value]]], names: AbstractSet[str]
) -> Mapping[str, Value]:
    """Look up any number of names, in pieces, because a database takes only some thousands in one query."""
    found: dict[str, Value] = {}
    left = iter(sorted(names))
    while some := list(islice(left, _ASKED_AT_ONCE)):
        found.update(await look_up(some))
    return found


async def _put(tx: CatalogueWriting, product: Product) -> None:
    if not await tx.put_product(product):
        raise ConflictError("more_held", _more_held(product))


def _more_held(product: Product) -> str:
    return f"the product {product.uid} has more places sold than its new total of {product.total_availability}"


def _raise(errors: Sequence[tuple[str, str]]) -> None:
    if errors:
        raise FieldsError([(path, f"{path}: {said}") for path, said in errors])


async def _put_seats(tx: CatalogueTransaction, uid: str, plan: Sequence[SeatBlock]) -> None:
    """Write the seat plan of a product whose row is locked, unless the plan is the same."""
    if list((await tx.seat_plans([uid])).get(uid, ())) == plan:
        return
    held = await tx.held_seats(uid)
    if lost := _lost([one.seat for one in held], plan):
        first = min(lost)
        said = f"section {first.section}, row {first.row}, seat {first.number} of the product {uid} is held"
        raise ConflictError("seats_held", f"{said} and is missing in the new plan; {len(lost)} such seats in all")
    product = (await tx.products([uid]))[uid]
    unseated = product.total_availability - product.availability - len(held)
    if plan and unseated:
        raise ConflictError(
            "seats_held", f"the product {uid} has {unseated} valid tickets without a seat, so it takes no seat plan"
        )
    await tx.put_seats(uid, plan)


def _lost(held: Sequence[Seat], plan: Sequence[SeatBlock]) -> Sequence[Seat]:
    """Return the held seats that are in no block of the plan."""
    rows: dict[tuple[str, str], list[SeatBlock]] = defaultdict(list)
    for block in plan:
        rows[block.section, block.row].append(block)
    return [
        seat
        for seat in held
        if not any(block.first <= seat.number <= block.last for block in rows[seat.section, seat.row])
    ]


def _counted(done: Counter[str], known: object, wanted: object) -> bool:
    """Count the item as added, changed or unchanged, and return whether it must be written."""
    done[ADDED if known is None else AS_THEY_WERE if known == wanted else CHANGED] += 1
    return known != wanted


def _doubles(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    named: Mapping[str, tuple[str, Sequence[str]]] = {
        "events": ("uid", [one.uid for one in catalogue.events]),
        "products": ("uid", [one.uid for one in catalogue.products]),
        "methods": ("uid", [one.uid for one in catalogue.methods]),
        "vouchers": ("code", [one.code for one in catalogue.vouchers]),
    }
    for kind, (named_by, names) in named.items():
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if first.setdefault(name, index) != index:
                yield f"{kind}[{index}].{named_by}", f"{name} appears in {kind}[{first[name]}] as well"


def _products_named(catalogue: Catalogue) -> set[str]:
    parts = {str(part.product_uid) for product in catalogue.products for part in product.parts}
    return parts | {uid for voucher in catalogue.vouchers for uid in voucher.product_uids}


def _events_named(catalogue: Catalogue) -> set[str]:
    of_products = {str(one.event_uid) for one in catalogue.products if one.event_uid is not None}
    return of_products | {str(one.event_uid) for one in catalogue.vouchers}


async def _wrong_in_combos(reading: CatalogueReading, catalogue: Catalogue) -> Sequence[tuple[str, str]]:
    """Return the errors of products that would no longer fit into stored combo products that are not given."""
    given = {one.uid for one in catalogue.products}
    combos = await _found(reading.combos_of, given)
    staying = await _found(reading.products, {uid for uids in combos.values() for uid in uids} - given)
    errors = []
    for index, product in enumerate(catalogue.products):
        for combo in (staying[uid] for uid in combos.get(product.uid, ()) if uid in staying):
            said = f"{product.uid} is a part of the combo product {combo.uid}"
            if product.parts:
                errors.append((f"products[{index}].parts", said))
            if product.event_uid != combo.event_uid:
                errors.append((f"products[{index}].event", f"{said}, of the event {combo.event_uid}"))
            if product.price.currency != combo.price.currency:
                errors.append((f"products[{index}].price", f"{said}, which is sold in {combo.price.currency}"))
    return errors


def _wrong_parts(path: str, product: Product, products: Mapping[str, Product]) -> Iterator[tuple[str, str]]:
    for part in product.parts:
        found = products.get(part.product_uid)
        if found is None or found.event_uid != product.event_uid:
            yield path, f"there is no product {part.product_uid} of the same event"
        elif found.parts or found.uid == product.uid:
            yield path, f"{part.product_uid} is a combo product itself"
        elif found.price.currency != product.price.currency:
            yield path, f"{part.product_uid} is sold in {found.price.currency}, not in {product.price.currency}"

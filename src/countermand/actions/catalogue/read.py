"""Reads the catalogue: events and products, one at a time or by the page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from countermand.actions.catalogue.ports import CatalogueLists, CatalogueReading, Condition, Op, Page, Section
from countermand.actions.errors import NotFoundError
from countermand.actions.ports import Snapshots
from countermand.actions.ticketing.seat_ports import SeatPlans
from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher
from countermand.domain.ticketing.seating import SeatBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductView:
    """A product with its combo products and its event (None for a product from before there were events)."""

    product: Product
    event: Event | None
    combos: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventView:
    """An event. `products` has its products on sale if the event was read by itself, otherwise None."""

    event: Event
    is_sold_out: bool
    products: Sequence[ProductView] | None = None


Item = Event | Method | Product | Voucher
_PLANS_AT_ONCE: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """Some of the catalogue: each item with its section and name, and the seat plans by product."""

    items: Sequence[tuple[Section, str, Item]]
    seats: Mapping[str, Sequence[SeatBlock]]


class CatalogueWithSeats(CatalogueLists, SeatPlans, Protocol):
    """Reads the catalogue with its seat plans."""


async def list_catalogue(
    store: Snapshots[CatalogueWithSeats], section: Section, name: str, *, at_most: int, blocks_at_most: int
) -> Listed:
    """Return what follows a name in a section and in all later sections, whether on sale and enabled or not.

    The list ends early, after a product without its seat plan, once the plans before it have more than `blocks_at_most`
    seat blocks.
    """
    found: list[tuple[Section, str, Item]] = []
    async with store.snapshot() as reading:
        look_up: Mapping[Section, Callable[[Sequence[str]], Awaitable[Mapping[str, Item]]]] = {
            Section.EVENTS: reading.events_named,
            Section.METHODS: reading.methods,
            Section.PRODUCTS: reading.products,
            Section.COMBOS: reading.products,
            Section.VOUCHERS: reading.vouchers,
        }
        sections = list(Section)
        for each in sections[sections.index(section) :]:
            names = await reading.names_after(each, name if each is section else "", at_most - len(found))
            items = await look_up[each](names) if names else {}
            found += [(each, one, items[one]) for one in names]
            if len(found) == at_most:
                break
        return await _with_seats(reading, found, blocks_at_most)


async def _with_seats(reading: SeatPlans, found: Sequence[tuple[Section, str, Item]], blocks_at_most: int) -> Listed:
    """Return the items with their seat plans, which are read for a few products at a time."""
    seated = [place for place, (*_, item) in enumerate(found) if isinstance(item, Product) and item.is_seated]
    seats: dict[str, Sequence[SeatBlock]] = {}
    for first in range(0, len(seated), _PLANS_AT_ONCE):
        if sum(map(len, seats.values())) > blocks_at_most:
            return Listed(items=found[: seated[first] + 1], seats=seats)
        seats.update(await reading.seat_plans([found[at][1] for at in seated[first : first + _PLANS_AT_ONCE]]))
    return Listed(items=found, seats=seats)


async def list_events(
    store: Snapshots[CatalogueLists], conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[EventView]:
    """Return the enabled events that meet all conditions; an offset beyond the end gives the last page."""
    async with store.snapshot() as reading:
        page = await reading.events(conditions, offset=offset, at_most=at_most)
        sold_out = await reading.sold_out_events([event.uid for event in page.items])
    views = [EventView(event=event, is_sold_out=event.uid in sold_out) for event in page.items]
    return Page(items=views, total=page.total)


async def read_event(store: Snapshots[CatalogueLists], uid: str, now: datetime, *, at_most: int) -> EventView:
    """Return an enabled event with at most `at_most` of its products on sale. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        event = await reading.event(uid)
        if event is None or not event.is_enabled:
            raise NotFoundError("there is no such event")
        sold_out = await reading.sold_out_events([uid])
        its_own = [Condition("event", Op.EQ, uid)]
        page = await reading.products_listed(its_own, now, offset=0, at_most=at_most)
        products = await _views(reading, page.items, {event.uid: event})
    return EventView(event=event, is_sold_out=uid in sold_out, products=products)


async def list_products(
    store: Snapshots[CatalogueLists], conditions: Sequence[Condition], now: datetime, *, offset: int, at_most: int
) -> Page[ProductView]:
    """Return the products on sale that meet all conditions; an offset beyond the end gives the last page."""
    async with store.snapshot() as reading:
        page = await reading.products_listed(conditions, now, offset=offset, at_most=at_most)
        events = await reading.events_named(sorted({one.event_uid for one in page.items if one.event_uid is not None}))
        return Page(items=await _views(reading, page.items, events), total=page.total)


async def read_product(store: Snapshots[CatalogueReading], uid: str) -> ProductView:
    """Return an enabled product of an enabled event, whether on sale or not. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        product = (await reading.products([uid])).get(uid)
        if product is not None and product.is_enabled:
            event = None if product.event_uid is None else await reading.event(product.event_uid)
            if event is None or event.is_enabled:
                (view,) = await _views(reading, [product], {} if event is None else {event.uid: event})
                return view
    raise NotFoundError("there is no such product")


async def _views(
    reading: CatalogueReading, products: Sequence[Product], events: Mapping[str, Event]
) -> Sequence[ProductView]:
    combos = await reading.combos_of([product.uid for product in products])
    return [
        ProductView(
            product=product,
            event=None if product.event_uid is None else events.get(product.event_uid),
            combos=combos.get(product.uid, ()),
        )
        for product in products
    ]

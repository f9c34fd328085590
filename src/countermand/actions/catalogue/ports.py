"""What do the actions need of the catalogue? Protocols that `storage` fulfils."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher

Item = TypeVar("Item")


class Op(StrEnum):
    """How a field is compared: the suffixes of the shopping contract's filters."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    STARTSWITH = "startswith"


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison that a row must meet. `field` is one that `storage/repositories/catalogue.py` knows.

    `value` is text, a whole number, a truth, or an instant; for IN a tuple of these. Of a text in several languages,
    any one must meet it.
    """

    field: str
    op: Op
    value: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Item]):
    """Some of what there is, and how many there are in all."""

    items: Sequence[Item]
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """What came of taking places: the products that have too few, and those whose seats are numbered."""

    short: Sequence[str]
    seated: frozenset[str]


class Section(StrEnum):
    """The parts of a catalogue, in an order in which nothing refers to what comes after it."""

    EVENTS = "events"
    METHODS = "methods"
    PRODUCTS = "products"
    COMBOS = "combos"
    VOUCHERS = "vouchers"


class CatalogueReading(Protocol):
    """Reads of the catalogue."""

    async def names_after(self, section: Section, name: str, at_most: int) -> Sequence[str]:
        """The uids (of vouchers the codes) in a section that come after one, in order; not of products of no event."""
        ...

    async def event(self, uid: str) -> Event | None:
        """The event with this uid."""
        ...

    async def events_named(self, uids: Sequence[str]) -> Mapping[str, Event]:
        """The events with these uids; unknown ones are left out."""
        ...

    async def sold_out_events(self, uids: Sequence[str]) -> frozenset[str]:
        """Which of these events have enabled products, and nothing left of any."""
        ...

    async def events(self, conditions: Sequence[Condition], *, offset: int, at_most: int) -> Page[Event]:
        """The enabled events that meet all conditions, by the start of their sale and uid."""
        ...

    async def products(self, uids: Sequence[str]) -> Mapping[str, Product]:
        """The products with these uids, with their parts; unknown ones are left out."""
        ...

    async def products_listed(
        self, conditions: Sequence[Condition], now: datetime, *, offset: int, at_most: int
    ) -> Page[Product]:
        """The products on sale at `now`, of events on sale, that meet all conditions, by viewing order and uid."""
        ...

    async def combos_of(self, uids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """For each product the combo products that it is a part of."""
        ...

    async def methods(self, uids: Sequence[str] | None = None) -> Mapping[str, Method]:
        """The payment and shipping methods with these uids, or all; unknown ones are left out."""
        ...

    async def vouchers(self, codes: Sequence[str]) -> Mapping[str, Voucher]:
        """The vouchers with these codes; unknown ones are left out."""
        ...

    async def voucher_uses(self, code: str) -> int:
        """How many orders use a voucher: those that ended unfulfilled do not count."""
        ...


class CatalogueTransaction(CatalogueReading, Protocol):
    """Writes of the catalogue and of the stock, after everything else that a transaction takes; each by uid."""

    async def put_event(self, event: Event) -> None:
        """Add an event, or overwrite the one with the same uid."""
        ...

    async def put_product(self, product: Product) -> bool:
        """Add a product, or overwrite the one with the same uid. Of its stock only `total_availability` is taken.

        What is held of it stays held: `availability` moves by as much as the total does. False, and nothing written,
        where more is held than the new total.
        """
        ...

    async def put_method(self, method: Method) -> None:
        """Add a method, or overwrite the one with the same uid."""
        ...

    async def put_voucher(self, voucher: Voucher) -> None:
        """Add a voucher, or overwrite the one with the same code."""
        ...

    async def lock_vouchers(self, codes: Sequence[str]) -> None:
        """Take vouchers, by code, so that nobody else counts their uses meanwhile."""
        ...

    async def reserve(self, wanted: Mapping[str, int]) -> Reserved:
        """Take so many of each product off its availability, where it has so many."""
        ...

    async def lock_products(self, uids: Sequence[str]) -> None:
        """Take products' rows and leave them as they are."""
        ...

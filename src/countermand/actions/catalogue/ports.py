"""Protocols of the catalogue that the actions need, and `storage` implements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher

Item = TypeVar("Item")
FilterValue = str | int | bool | datetime


class Op(StrEnum):
    """The comparisons of a field, named by the suffixes of the shopping contract's filters."""

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
    """A comparison that a row must meet. `field` is a name that `storage/repositories/catalogue.py` knows.

    `value` is text, a whole number, a truth value, or an instant; for IN a tuple of these. If a text has several
    languages, it is enough that one of them meets the condition.
    """

    field: str
    op: Op
    value: FilterValue | tuple[FilterValue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Item]):
    """Some of the items of a list, and the number of all."""

    items: Sequence[Item]
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """The result of reserving products: the products with too little stock, and those with numbered seats, by uid.

    `left` has all other products as an order shows them, each with what is left of it.
    """

    short: Sequence[str]
    seated: frozenset[str]
    left: Mapping[str, Product] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What the catalogue says about what a buyer named, without the texts that are only shown.

    `products` are the named ones and their parts, `events` those of the named products.
    """

    products: Mapping[str, Product]
    events: Mapping[str, Event]
    vouchers: Mapping[str, Voucher]
    methods: Mapping[str, Method]


class Section(StrEnum):
    """The sections of a catalogue, in an order in which no section refers to a later one."""

    EVENTS = "events"
    METHODS = "methods"
    PRODUCTS = "products"
    COMBOS = "combos"
    VOUCHERS = "vouchers"


class OfferReading(Protocol):
    """Reads what the rules of an order look at."""

    async def offer(
        self, product_uids: Sequence[str], voucher_codes: Sequence[str], method_uids: Sequence[str]
    ) -> Offer:
        """Return these items of the catalogue, as of one instant; unknown names are left out."""
        ...


class NumberedOffers(Protocol):
    """Reads the same for a new order, which also needs a number."""

    async def offer_and_number(
        self, counter: str, product_uids: Sequence[str], voucher_codes: Sequence[str], method_uids: Sequence[str]
    ) -> tuple[Offer, int]:
        """Return the offer, and the counter's next number (`NumberSource.next_number`), which takes no further trip."""
        ...


class CatalogueReading(Protocol):
    """Reads items of the catalogue by name."""

    async def event(self, uid: str) -> Event | None:
        """Return the event with this uid, or None."""
        ...

    async def events_named(self, uids: Sequence[str]) -> Mapping[str, Event]:
        """Return the events with these uids; unknown uids are left out."""
        ...

    async def products(self, uids: Sequence[str]) -> Mapping[str, Product]:
        """Return the products with these uids, with their parts; unknown uids are left out."""
        ...

    async def combos_of(self, uids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return, for each product, the combo products that have it as a part."""
        ...

    async def methods(self, uids: Sequence[str] | None = None) -> Mapping[str, Method]:
        """Return the payment and shipping methods with these uids, or all; unknown uids are left out."""
        ...

    async def vouchers(self, codes: Sequence[str]) -> Mapping[str, Voucher]:
        """Return the vouchers with these codes; unknown codes are left out."""
        ...


class CatalogueLists(CatalogueReading, Protocol):
    """Lists the catalogue."""

    async def names_after(self, section: Section, name: str, at_most: int) -> Sequence[str]:
        """Return the uids (codes of vouchers) in a section after `name`, in order; products without event left out."""
        ...

    async def events(self, conditions: Sequence[Condition], *, offset: int, at_most: int) -> Page[Event]:
        """Return the enabled events that meet all conditions, by the start of their sale and uid."""
        ...

    async def sold_out_events(self, uids: Sequence[str]) -> frozenset[str]:
        """Return those of these events that have enabled products, none of which has stock left."""
        ...

    async def products_listed(
        self, conditions: Sequence[Condition], now: datetime, *, offset: int, at_most: int
    ) -> Page[Product]:
        """Return the products on sale at `now`, of events on sale, that meet all conditions.

        They are ordered by viewing order and uid.
        """
        ...


class CatalogueWriting(CatalogueReading, Protocol):
    """Writes the catalogue. A transaction locks it after all other rows, each kind by uid."""

    async def put_event(self, event: Event) -> None:
        """Add an event, or overwrite the event with the same uid."""
        ...

    async def put_product(self, product: Product) -> bool:
        """Add a product, or overwrite the product with the same uid. Of its stock only `total_availability` is taken.

        Orders keep what they hold: `availability` changes by as much as the total does. If orders hold more than the
        new total, write nothing and return False.
        """
        ...

    async def put_method(self, method: Method) -> None:
        """Add a method, or overwrite the method with the same uid."""
        ...

    async def put_voucher(self, voucher: Voucher) -> None:
        """Add a voucher, or overwrite the voucher with the same code."""
        ...


class ProductLock(Protocol):
    """Locks products. A transaction locks them last, by uid."""

    async def lock_products(self, uids: Sequence[str]) -> None:
        """Lock products' rows without changing them."""
        ...


class Stock(Protocol):
    """Takes places off the stock. A transaction locks products last, by uid."""

    async def reserve(self, wanted: Mapping[str, int]) -> Reserved:
        """Take the given quantity of each product off its availability, if it has that much."""
        ...


class VoucherReading(Protocol):
    """Reads how often vouchers are used."""

    async def voucher_uses(self, code: str) -> int:
        """Return how many orders use a voucher, without those that ended unfulfilled."""
        ...

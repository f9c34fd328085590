"""What can be bought, for which event, and how is it paid and sent?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NewType

from countermand.domain.money import Money

EventUid = NewType("EventUid", str)
ProductUid = NewType("ProductUid", str)

I18n = Mapping[str, str]  # language code: text


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event that tickets are sold for. `more` holds fields that are only shown: description, location, artists, …"""

    uid: EventUid
    reference: str
    title: I18n
    merchant_name: str
    sale_starts_at: datetime
    sale_ends_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_enabled: bool = True
    min_per_order: int | None = None
    max_per_order: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def is_on_sale(self, now: datetime) -> bool:
        """Return whether the event is on sale at `now`: from the start of the sale until just before its end."""
        return self.is_enabled and self.sale_starts_at <= now < self.sale_ends_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a combo product: `quantity` pieces of a product in each combo product."""

    product_uid: ProductUid
    quantity: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A product. `availability` is the rest of `total_availability` that no order holds.

    A combo product consists of `parts`; buying it also takes the parts off their own stocks. A product without sale
    dates of its own is sold as long as its event is. `event_uid` is None for products from before there were events.
    If a product `is_seated`, each of its places is a numbered seat.
    """

    uid: str
    name: I18n
    price: Money
    service_costs: Money
    availability: int
    total_availability: int
    event_uid: EventUid | None = None
    reference: str = ""
    min_per_order: int = 1
    max_per_order: int | None = None
    is_separately_saleable: bool = True
    is_enabled: bool = True
    needs_voucher: bool = False
    is_seated: bool = False
    sale_starts_at: datetime | None = None
    sale_ends_at: datetime | None = None
    viewing_order: int = 0
    parts: tuple[Part, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sold_out(self) -> bool:
        """Whether no piece is left."""
        return self.availability <= 0

    def is_on_sale(self, event: Event | None, now: datetime) -> bool:
        """Return whether the product is on sale at `now`: together with its event, within its own sale dates if set."""
        if not self.is_enabled or not self.price.is_known or (event is not None and not event.is_on_sale(now)):
            return False
        has_begun = self.sale_starts_at is None or self.sale_starts_at <= now
        return has_begun and (self.sale_ends_at is None or now < self.sale_ends_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A payment method (`kind` "payment") or a shipping method ("shipping"), with its costs.

    It is for consumers of `countries` (ISO 3166-1 alpha-2), or of all countries if the tuple is empty, and needs the
    `required_consumer_fields` of a consumer.
    """

    uid: str
    kind: str
    name: I18n
    image: str | None
    costs: Money
    countries: tuple[str, ...] = ()
    required_consumer_fields: tuple[str, ...] = ()
    pickup_location: str | None = None

    def is_for(self, country: str | None) -> bool:
        """Return whether consumers of a country can use the method."""
        return self.costs.is_known and (not self.countries or country in self.countries)


@dataclass(frozen=True, kw_only=True, slots=True)
class Voucher:
    """A code that opens products which need a voucher, or lowers their price, at most `uses_cap` times.

    It is for `product_uids`, or for all products of its event if the tuple is empty. `discount_percent` (1 to 100) is
    taken off each price, rounded half up to the minor unit; service costs stay.
    """

    code: str
    event_uid: EventUid
    product_uids: tuple[str, ...] = ()
    discount_percent: int = 0
    uses_cap: int | None = None

    def is_for(self, product: Product) -> bool:
        """Return whether the voucher can be used for a product."""
        if product.event_uid != self.event_uid:
            return False
        return not self.product_uids or product.uid in self.product_uids

    def price_of(self, price: Money) -> Money:
        """Return a price after the discount."""
        off = (price.minor * self.discount_percent + 50) // 100
        return Money(minor=price.minor - off, currency=price.currency)

"""What do events, products, lists of them, the root and the status look like in the shopping contract?"""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta, Struct

from countermand.contracts.http.answer import JsonObject
from countermand.contracts.http.money import Amount
from countermand.contracts.shopping.links import Links

Texts = Annotated[dict[str, str], Meta(description="A text for each language; a missing text is empty")]
_Instant = Annotated[str, Meta(description="In UTC, to the second")] | None


# The page names an object and not its fields (inferred, shopping decision 32).
Facilities = Annotated[
    JsonObject, Meta(description="For each facility whether it is there, or a text about it, also in languages")
]


class Genre(Struct, kw_only=True):
    """A genre. `title` is the same text as `name`: the vendor's shop of 2015 reads it (shopping decision 32)."""

    name: Texts
    title: Texts


class Location(Struct, kw_only=True):
    """The place of an event."""

    name: str | None = None
    address: str | None = None
    postal_code: str | None = None
    city: str | None = None
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2")] | None = None


class CatalogueProduct(Struct, kw_only=True, rename={"links": "_links"}):
    """A product that can be bought."""

    links: Links
    uid: str
    reference: str
    name: Texts
    subtitle: Texts
    price: Amount
    sold_out: Annotated[bool, Meta(description="Whether it is sold out")]
    sold_out_text: Texts
    min_per_order: int
    max_per_order: int | None
    separately_saleable: Annotated[bool, Meta(description="Whether it can be bought without another product")]
    availability: Annotated[int, Meta(description="The number that is left of total_availability")]
    total_availability: int
    additional_information: Texts
    viewing_order: Annotated[int, Meta(description="Its position in a list: the lowest number comes first")]
    parents: Annotated[list[str], Meta(description="The addresses of the combo products that it is a part of")]
    combo: Annotated[list[str], Meta(description="The addresses of the parts of a combo product")]
    types: list[str]
    sale_start: _Instant
    sale_end: _Instant
    requires_membership: bool
    provides_membership: bool


EmbeddedProducts = TypedDict("EmbeddedProducts", {"shop:product": list[CatalogueProduct]})


class Event(Struct, kw_only=True, omit_defaults=True, rename={"links": "_links", "embedded": "_embedded"}):
    """An event that tickets are sold for. A single event embeds its products on sale; an event in a list does not."""

    links: Links
    uid: str
    reference: str
    merchant_name: str
    title: Texts
    subtitle: Texts
    sale_start: str
    sale_end: str
    event_start: _Instant
    event_end: _Instant
    personalization_start: _Instant
    personalization_end: _Instant
    fulfillment_starts_at: Annotated[_Instant, Meta(description="Null if tickets are sent at once")]
    location: Location
    facilities: Facilities
    description: Texts
    long_description: Texts
    image: str | None
    artists: Annotated[list[Texts], Meta(description="The name of each artist, in languages")]
    genres: list[Genre]
    sold_out: Annotated[bool, Meta(description="Whether all of its products are sold out")]
    sold_out_text: Texts
    min_quantity_per_order: int | None
    max_quantity_per_order: int | None
    embedded: EmbeddedProducts | None = None


# The items of a page: events or products.
EmbeddedItems = TypedDict(
    "EmbeddedItems", {"shop:event": NotRequired[list[Event]], "shop:product": NotRequired[list[CatalogueProduct]]}
)


class Page(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """Up to 500 items of a list; `item_count` is the number of items on all pages."""

    links: Links
    item_count: int
    embedded: EmbeddedItems


class Root(Struct, kw_only=True, rename={"links": "_links"}):
    """The links to all resources of the API."""

    links: Links


class Status(Struct, kw_only=True, rename={"links": "_links"}):
    """Whether the service works."""

    links: Links
    status: str

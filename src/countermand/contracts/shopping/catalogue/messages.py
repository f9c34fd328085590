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

    name: Annotated[str | None, Meta(description="The name of the place")] = None
    address: Annotated[str | None, Meta(description="The street and the number of the house")] = None
    postal_code: Annotated[str | None, Meta(description="As the country's post writes it, such as 9712 AB")] = None
    city: Annotated[str | None, Meta(description="The town")] = None
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2")] | None = None


class CatalogueProduct(Struct, kw_only=True, rename={"links": "_links"}):
    """A product that can be bought."""

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    reference: Annotated[str, Meta(description="The shop's own name of the product")]
    name: Texts
    subtitle: Texts
    price: Annotated[Amount, Meta(description="The price of one piece, without service costs")]
    sold_out: Annotated[bool, Meta(description="Whether it is sold out")]
    sold_out_text: Texts
    min_per_order: Annotated[int, Meta(description="The least number in an order")]
    max_per_order: Annotated[int | None, Meta(description="The greatest number in an order; null for no limit")]
    separately_saleable: Annotated[bool, Meta(description="Whether it can be bought without another product")]
    availability: Annotated[int, Meta(description="The number that is left of total_availability")]
    total_availability: Annotated[int, Meta(description="The number that can be sold in all")]
    additional_information: Texts
    viewing_order: Annotated[int, Meta(description="Its position in a list: the lowest number comes first")]
    parents: Annotated[list[str], Meta(description="The addresses of the combo products that it is a part of")]
    combo: Annotated[list[str], Meta(description="The addresses of the parts of a combo product")]
    types: Annotated[list[str], Meta(description="The kinds that the shop gave the product")]
    sale_start: _Instant
    sale_end: _Instant
    requires_membership: Annotated[bool, Meta(description="Whether only members can buy it")]
    provides_membership: Annotated[bool, Meta(description="Whether the buyer becomes a member")]


_Products = Annotated[list[CatalogueProduct], Meta(description="The products")]
EmbeddedProducts = TypedDict("EmbeddedProducts", {"shop:product": _Products})


class Event(Struct, kw_only=True, omit_defaults=True, rename={"links": "_links", "embedded": "_embedded"}):
    """An event that tickets are sold for. A single event embeds its products on sale; an event in a list does not."""

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    reference: Annotated[str, Meta(description="The shop's own name of the event")]
    merchant_name: Annotated[str, Meta(description="The organiser who sells the tickets")]
    title: Texts
    subtitle: Texts
    sale_start: Annotated[str, Meta(description="When the sale begins, in UTC")]
    sale_end: Annotated[str, Meta(description="When the sale ends, in UTC")]
    event_start: _Instant
    event_end: _Instant
    personalization_start: _Instant
    personalization_end: _Instant
    fulfillment_starts_at: Annotated[_Instant, Meta(description="Null if tickets are sent at once")]
    location: Annotated[Location, Meta(description="The place of the event")]
    facilities: Facilities
    description: Texts
    long_description: Texts
    image: Annotated[str | None, Meta(description="The address of a picture")]
    artists: Annotated[list[Texts], Meta(description="The name of each artist, in languages")]
    genres: Annotated[list[Genre], Meta(description="What kind of event it is, each kind in languages")]
    sold_out: Annotated[bool, Meta(description="Whether all of its products are sold out")]
    sold_out_text: Texts
    min_quantity_per_order: Annotated[
        int | None, Meta(description="The least number of tickets in an order; null for no limit")
    ]
    max_quantity_per_order: Annotated[
        int | None, Meta(description="The greatest number of tickets in an order; null for no limit")
    ]
    embedded: Annotated[EmbeddedProducts | None, Meta(description="The products of the event that are on sale")] = None


# The items of a page: events or products.
EmbeddedItems = TypedDict(
    "EmbeddedItems",
    {
        "shop:event": NotRequired[Annotated[list[Event], Meta(description="The events, in a list of events")]],
        "shop:product": NotRequired[_Products],
    },
)


class Page(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """Up to 500 items of a list; `item_count` is the number of items on all pages."""

    links: Links
    item_count: Annotated[int, Meta(description="The number of items on all pages")]
    embedded: Annotated[EmbeddedItems, Meta(description="The events or products of this page")]


class Root(Struct, kw_only=True, rename={"links": "_links"}):
    """The links to all resources of the API."""

    links: Links


class Status(Struct, kw_only=True, rename={"links": "_links"}):
    """Whether the service works."""

    links: Links
    status: Annotated[str, Meta(description="OK if the service works")]

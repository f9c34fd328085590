"""What does a catalogue look like when the operator loads it?

The names are the shopping contract's, so that a catalogue that was read can be loaded again (`catalogue_output.py`);
`enabled`, `needs_voucher`, `service_costs`, `parts` and vouchers are our own.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from countermand.contracts.http.money import AmountGiven
from countermand.contracts.http.typed_text import Country
from countermand.domain.orders.order import UID_PATTERN

Uid = Annotated[str, Meta(pattern=f"^{UID_PATTERN}$(?!\\n)", examples=["87a2195h3gd162fb35c5a3dbd7bapo1l"])]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}$(?!\n)", examples=["nl"])]
Texts = Annotated[dict[Language, Annotated[str, Meta(max_length=10_000)]], Meta(examples=[{"en": "Day ticket"}])]
Instant = Annotated[datetime, Meta(tz=True)]
Url = Annotated[str, Meta(pattern=r"^https?://\S+$(?!\n)", max_length=2000, examples=["https://example.com/a.png"])]
_Word = Annotated[str, Meta(min_length=1, max_length=255)]
_Reference = Annotated[str, Meta(max_length=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_SeatNumber = Annotated[int, Meta(ge=1, le=99_999)]
_PerOrder = Annotated[int, Meta(ge=1, le=100)]
ConsumerField = Literal[
    "first_name",
    "last_name",
    "date_of_birth",
    "email",
    "gender",
    "phone_number",
    "address",
    "postal_code",
    "city",
    "country",
    "state",
    "language",
]


class LocationGiven(Struct, kw_only=True, omit_defaults=True):
    """The place of an event."""

    name: _Word | None = None
    address: _Word | None = None
    postal_code: _Word | None = None
    city: _Word | None = None
    country: Country | None = None


class GenreGiven(Struct, kw_only=True):
    """A genre, with its name in languages."""

    name: Texts


# Older catalogues have plain texts, which are still taken: they are texts in English, or facilities that are there.
Artists = Annotated[
    list[_Word | Texts],
    Meta(
        description="The name of each artist in languages; a plain text is taken as English",
        examples=[[{"en": "Low Bridge"}]],
        extra={"in_words": 'a list of artists, each with its name in languages, like {"en": "Low Bridge"}, or a text'},
    ),
]
Genres = Annotated[
    list[_Word | GenreGiven],
    Meta(
        description="Each genre with its name in languages; a plain text is taken as an English name",
        examples=[[{"name": {"en": "folk"}}]],
        extra={"in_words": 'a list of genres, like {"name": {"en": "folk"}}, or of texts'},
    ),
]
Facilities = Annotated[
    dict[_Word, bool | Annotated[str, Meta(max_length=10_000)] | Texts],
    Meta(
        description="For each facility whether it is there, or a text about it; a list names those that are there",
        examples=[{"lockers": True, "parking": {"en": "Behind the station"}}],
        extra={"in_words": 'an object of facilities, like {"lockers": true}, or a list of their names'},
    ),
]


class EventGiven(Struct, kw_only=True):
    """An event that tickets are sold for, from the start of its sale until just before the end."""

    uid: Uid
    reference: _Reference = ""
    merchant_name: _Word
    title: Texts
    sale_start: Instant
    sale_end: Instant
    event_start: Instant | None = None
    event_end: Instant | None = None
    enabled: bool = True
    min_quantity_per_order: _PerOrder | None = None
    max_quantity_per_order: _PerOrder | None = None
    subtitle: Texts | None = None
    description: Texts | None = None
    long_description: Texts | None = None
    sold_out_text: Texts | None = None
    location: LocationGiven | None = None
    facilities: Facilities | list[_Word] | None = None
    artists: Artists | None = None
    genres: Genres | None = None
    image: Url | None = None
    ticketshop: Url | None = None
    personalization_start: Instant | None = None
    personalization_end: Instant | None = None
    fulfillment_starts_at: Instant | None = None


class PartGiven(Struct, kw_only=True):
    """A part of a combo product: `quantity` pieces of a product in each combo product."""

    product: Uid
    quantity: Annotated[int, Meta(ge=1, le=100)] = 1


class SeatsGiven(Struct, kw_only=True):
    """Neighbouring seats with the numbers from `first` to `last`: a row, or a part of a row up to an aisle."""

    section: _Name
    row: _Name
    first: _SeatNumber
    last: _SeatNumber


class ProductGiven(Struct, kw_only=True):
    """A product. Orders keep what they hold of it when its total changes.

    With `seats`, the best first, each place of the product is a numbered seat, and the total may be left out.
    """

    uid: Uid
    event: Uid
    reference: _Reference = ""
    name: Texts
    price: AmountGiven
    service_costs: AmountGiven | None = None
    total_availability: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None
    seats: Annotated[list[SeatsGiven], Meta(max_length=2000)] = []
    min_per_order: _PerOrder = 1
    max_per_order: _PerOrder | None = None
    separately_saleable: bool = True
    enabled: bool = True
    needs_voucher: bool = False
    sale_start: Instant | None = None
    sale_end: Instant | None = None
    viewing_order: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    parts: list[PartGiven] = []
    subtitle: Texts | None = None
    sold_out_text: Texts | None = None
    additional_information: Texts | None = None
    types: list[_Word] | None = None
    requires_membership: bool | None = None
    provides_membership: bool | None = None


class MethodGiven(Struct, kw_only=True):
    """A payment or shipping method, for consumers of some countries, or of all if none are named."""

    uid: Uid
    kind: Literal["payment", "shipping"]
    name: Texts
    costs: AmountGiven
    image: Url | None = None
    countries: list[Country] = []
    required_consumer_fields: list[ConsumerField] = []
    pickup_location: _Word | None = None


class VoucherGiven(Struct, kw_only=True):
    """A code for some products of an event, or for all if none are named, with the discount on their price."""

    code: Annotated[str, Meta(pattern=r"^[!-~]{1,64}$(?!\n)", examples=["SUMMER-26"])]
    event: Uid
    products: list[Uid] = []
    discount_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    uses_cap: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None


class CatalogueGiven(Struct, kw_only=True):
    """Any of these lists. Items that are not named stay unchanged."""

    events: list[EventGiven] = []
    products: list[ProductGiven] = []
    methods: list[MethodGiven] = []
    vouchers: list[VoucherGiven] = []


KINDS: Final[dict[str, type[Struct]]] = {
    "events": EventGiven,
    "products": ProductGiven,
    "methods": MethodGiven,
    "vouchers": VoucherGiven,
}

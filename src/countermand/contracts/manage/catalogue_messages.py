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

    name: Annotated[_Word | None, Meta(description="The name of the place")] = None
    address: Annotated[_Word | None, Meta(description="The street and the number of the house")] = None
    postal_code: Annotated[_Word | None, Meta(description="As the country's post writes it, such as 9712 AB")] = None
    city: Annotated[_Word | None, Meta(description="The town")] = None
    country: Annotated[Country | None, Meta(description="ISO 3166-1 alpha-2")] = None


class GenreGiven(Struct, kw_only=True):
    """A genre, with its name in languages."""

    name: Annotated[Texts, Meta(description="The name for each language")]


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

    uid: Annotated[
        Uid, Meta(description="The identifier, of your choice: 32 of 0-9 and a-z. An event with a known uid is changed")
    ]
    reference: Annotated[_Reference, Meta(description="Your own name of the event")] = ""
    merchant_name: Annotated[_Word, Meta(description="The organiser who sells the tickets")]
    title: Annotated[Texts, Meta(description="The title for each language")]
    sale_start: Annotated[Instant, Meta(description="When the sale begins, with a UTC offset")]
    sale_end: Annotated[Instant, Meta(description="When the sale ends: from this instant on nothing is sold")]
    event_start: Annotated[Instant | None, Meta(description="When the event begins")] = None
    event_end: Annotated[Instant | None, Meta(description="When the event ends")] = None
    enabled: Annotated[bool, Meta(description="Whether the event is shown and sold")] = True
    min_quantity_per_order: Annotated[
        _PerOrder | None, Meta(description="The least number of tickets in an order; null for no limit")
    ] = None
    max_quantity_per_order: Annotated[
        _PerOrder | None, Meta(description="The greatest number of tickets in an order; null for no limit")
    ] = None
    subtitle: Annotated[Texts | None, Meta(description="A line below the title, for each language")] = None
    description: Annotated[Texts | None, Meta(description="A short description for each language")] = None
    long_description: Annotated[Texts | None, Meta(description="A long description for each language")] = None
    sold_out_text: Annotated[
        Texts | None, Meta(description="What to show once the event is sold out, for each language")
    ] = None
    location: Annotated[LocationGiven | None, Meta(description="The place of the event")] = None
    facilities: Facilities | list[_Word] | None = None
    artists: Artists | None = None
    genres: Genres | None = None
    image: Annotated[Url | None, Meta(description="The address of a picture")] = None
    ticketshop: Annotated[Url | None, Meta(description="The address of the shop's own page about the event")] = None
    personalization_start: Annotated[
        Instant | None, Meta(description="From when tickets can be given names; shown, but not enforced")
    ] = None
    personalization_end: Annotated[
        Instant | None, Meta(description="Until when tickets can be given names; shown, but not enforced")
    ] = None
    fulfillment_starts_at: Annotated[
        Instant | None, Meta(description="From when tickets are sent; null for at once")
    ] = None


class PartGiven(Struct, kw_only=True):
    """A part of a combo product: `quantity` pieces of a product in each combo product."""

    product: Annotated[Uid, Meta(description="The uid of the product that is a part")]
    quantity: Annotated[int, Meta(description="The number of pieces in each combo product", ge=1, le=100)] = 1


class SeatsGiven(Struct, kw_only=True):
    """Neighbouring seats with the numbers from `first` to `last`: a row, or a part of a row up to an aisle."""

    section: Annotated[_Name, Meta(description="The section of the hall")]
    row: Annotated[_Name, Meta(description="The row in the section")]
    first: Annotated[_SeatNumber, Meta(description="The lowest seat number")]
    last: Annotated[_SeatNumber, Meta(description="The highest seat number")]


class ProductGiven(Struct, kw_only=True):
    """A product. Orders keep what they hold of it when its total changes.

    With `seats`, the best first, each place of the product is a numbered seat, and the total may be left out.
    """

    uid: Annotated[
        Uid,
        Meta(description="The identifier, of your choice: 32 of 0-9 and a-z. A product with a known uid is changed"),
    ]
    event: Annotated[Uid, Meta(description="The uid of its event")]
    reference: Annotated[_Reference, Meta(description="Your own name of the product")] = ""
    name: Annotated[Texts, Meta(description="The name for each language")]
    price: Annotated[AmountGiven, Meta(description="The price of one piece, without service costs")]
    service_costs: Annotated[AmountGiven | None, Meta(description="The service costs of one piece; null for none")] = (
        None
    )
    total_availability: (
        Annotated[
            int,
            Meta(
                description="The number that can be sold in all. It may be left out if there are seats",
                ge=0,
                le=100_000_000,
            ),
        ]
        | None
    ) = None
    seats: Annotated[
        list[SeatsGiven],
        Meta(description="The numbered seats, the best first; empty for places without numbers", max_length=2000),
    ] = []
    min_per_order: Annotated[_PerOrder, Meta(description="The least number in an order")] = 1
    max_per_order: Annotated[
        _PerOrder | None, Meta(description="The greatest number in an order; null for no limit")
    ] = None
    separately_saleable: Annotated[bool, Meta(description="Whether it can be bought without another product")] = True
    enabled: Annotated[bool, Meta(description="Whether the product is shown and sold")] = True
    needs_voucher: Annotated[bool, Meta(description="Whether it is sold only with a voucher")] = False
    sale_start: Annotated[Instant | None, Meta(description="When its sale begins; null for the event's sale_start")] = (
        None
    )
    sale_end: Annotated[Instant | None, Meta(description="When its sale ends; null for the event's sale_end")] = None
    viewing_order: Annotated[
        int, Meta(description="Its position in a list: the lowest number comes first", ge=0, le=1_000_000)
    ] = 0
    parts: Annotated[
        list[PartGiven], Meta(description="The parts of a combo product; empty for any other product")
    ] = []
    subtitle: Annotated[Texts | None, Meta(description="A line below the name, for each language")] = None
    sold_out_text: Annotated[
        Texts | None, Meta(description="What to show once the product is sold out, for each language")
    ] = None
    additional_information: Annotated[Texts | None, Meta(description="More about the product, for each language")] = (
        None
    )
    types: Annotated[list[_Word] | None, Meta(description="Kinds of your own choice")] = None
    requires_membership: Annotated[
        bool | None, Meta(description="Whether only members can buy it; shown, but not enforced")
    ] = None
    provides_membership: Annotated[
        bool | None, Meta(description="Whether the buyer becomes a member; shown, but without effect here")
    ] = None


class MethodGiven(Struct, kw_only=True):
    """A payment or shipping method, for consumers of some countries, or of all if none are named."""

    uid: Annotated[
        Uid, Meta(description="The identifier, of your choice: 32 of 0-9 and a-z. A method with a known uid is changed")
    ]
    kind: Annotated[
        Literal["payment", "shipping"], Meta(description="Whether the method is for paying or for sending the tickets")
    ]
    name: Annotated[Texts, Meta(description="The name for each language")]
    costs: Annotated[AmountGiven, Meta(description="What an order with this method costs more")]
    image: Annotated[Url | None, Meta(description="The address of a picture")] = None
    countries: Annotated[
        list[Country], Meta(description="The consumers' countries, ISO 3166-1 alpha-2; empty for all")
    ] = []
    required_consumer_fields: Annotated[
        list[ConsumerField], Meta(description="The fields of the consumer that an order with this method must have")
    ] = []
    pickup_location: Annotated[
        _Word | None, Meta(description="Where the buyer fetches the tickets; null for no such place")
    ] = None


class VoucherGiven(Struct, kw_only=True):
    """A code for some products of an event, or for all if none are named, with the discount on their price."""

    code: Annotated[
        str,
        Meta(
            description="What the buyer types: 1 to 64 visible ASCII characters",
            pattern=r"^[!-~]{1,64}$(?!\n)",
            examples=["SUMMER-26"],
        ),
    ]
    event: Annotated[Uid, Meta(description="The uid of the event")]
    products: Annotated[
        list[Uid], Meta(description="The uids of the products that the voucher is for; empty for all of the event")
    ] = []
    discount_percent: Annotated[
        int,
        Meta(
            description="The discount on the price in per cent; 0 for a voucher that only opens a product", ge=0, le=100
        ),
    ] = 0
    uses_cap: (
        Annotated[
            int,
            Meta(description="The number of orders that may use the voucher; null for no limit", ge=1, le=100_000_000),
        ]
        | None
    ) = None


class CatalogueGiven(Struct, kw_only=True):
    """Any of these lists. Items that are not named stay unchanged."""

    events: Annotated[list[EventGiven], Meta(description="Events to add or change")] = []
    products: Annotated[list[ProductGiven], Meta(description="Products to add or change")] = []
    methods: Annotated[list[MethodGiven], Meta(description="Payment and shipping methods to add or change")] = []
    vouchers: Annotated[list[VoucherGiven], Meta(description="Vouchers to add or change")] = []


KINDS: Final[dict[str, type[Struct]]] = {
    "events": EventGiven,
    "products": ProductGiven,
    "methods": MethodGiven,
    "vouchers": VoucherGiven,
}

"""What do the bodies of the shopping contract look like? Each Struct decodes, checks and describes one body."""

from datetime import date
from typing import Annotated, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from countermand.contracts.http.money import Amount
from countermand.contracts.http.number_text import whole_number
from countermand.contracts.http.typed_text import EMAIL_IN_WORDS, EMAIL_PATTERN, Country, Language
from countermand.contracts.shopping.links import Links

REASON_CAP = 2000  # characters; the published page names no limit (inferred, shopping decision 9)


class CancelRequest(Struct, kw_only=True):
    """The published body of a cancellation."""

    order: Annotated[str, Meta(description="The uri of the order you wish to cancel.", min_length=1)]
    reason: Annotated[
        str, Meta(description="The reason for cancelling this order.", min_length=1, max_length=REASON_CAP)
    ]


class Consumer(Struct, kw_only=True):
    """The person whom an order or a ticket is for.

    With the `uid` of a stored consumer, all other fields are optional.
    """

    uid: (
        Annotated[
            str,
            Meta(
                description="The identifier of a stored consumer",
                pattern=r"^[0-9a-z]{32}$(?!\n)",
                examples=["87a2195h3gd162fb35c5a3dbd7bapo1l"],
            ),
        ]
        | UnsetType
    ) = UNSET
    first_name: Annotated[str, Meta(description="The given name", max_length=255)] | UnsetType = UNSET
    last_name: Annotated[str, Meta(description="The family name", max_length=255)] | UnsetType = UNSET
    date_of_birth: Annotated[date, Meta(description="The date of birth, as 1990-12-31")] | UnsetType = UNSET
    email: (
        Annotated[
            str, Meta(description="The e-mail address", max_length=255, pattern=EMAIL_PATTERN, extra=EMAIL_IN_WORDS)
        ]
        | UnsetType
    ) = UNSET
    gender: Annotated[Literal[0, 1, 2, 9], whole_number("0 unknown, 1 male, 2 female, 9 other")] | UnsetType = UNSET
    phone_number: (
        Annotated[
            str,
            Meta(description="As the consumer gave it", max_length=50),
        ]
        | UnsetType
    ) = UNSET
    address: Annotated[str, Meta(description="The street and the number of the house", max_length=255)] | UnsetType = (
        UNSET
    )
    postal_code: (
        Annotated[str, Meta(description="As the country's post writes it, such as 9712 AB", max_length=32)] | UnsetType
    ) = UNSET
    city: Annotated[str, Meta(description="The town", max_length=255)] | UnsetType = UNSET
    country: Annotated[Country, Meta(description="ISO 3166-1 alpha-2")] | UnsetType = UNSET
    state: Annotated[str, Meta(description="The state or province", max_length=255)] | UnsetType = UNSET
    language: Annotated[Language, Meta(description="ISO 639-1")] | UnsetType = UNSET
    cognito_user: (
        Annotated[str, Meta(description="The identifier of the consumer's account at the shop", max_length=36)]
        | UnsetType
    ) = UNSET


class Selection(Struct, kw_only=True, omit_defaults=True):
    """A line of an order. Parts of a combo product have a `parent`."""

    parent: Annotated[str, Meta(description="The address of the combo product that this is a part of")] | UnsetType = (
        UNSET
    )
    product: Annotated[str, Meta(description="The address of the product")]
    quantity: Annotated[int, Meta(description="The number of pieces")]


class Method(Struct, kw_only=True, omit_defaults=True):
    """The way to pay, or to send the tickets. Empty if none was chosen (documented).

    Only a bill has `required_consumer_fields` (documented).
    """

    uid: Annotated[str, Meta(description="The identifier to order with")] | UnsetType = UNSET
    name: Annotated[dict[str, str], Meta(description="The name in each language")] | UnsetType = UNSET
    image: Annotated[str, Meta(description="The address of a picture")] | UnsetType = UNSET
    costs: Annotated[Amount, Meta(description="What the method costs")] | UnsetType = UNSET
    pickup_location: Annotated[str, Meta(description="Where the tickets can be picked up")] | UnsetType = UNSET
    required_consumer_fields: (
        Annotated[list[str], Meta(description="The fields of the consumer that the method needs")] | UnsetType
    ) = UNSET


class ExternalPurchase(Struct, kw_only=True):
    """Something that the buyer bought elsewhere."""

    title: Annotated[dict[str, str], Meta(description="The name in each language")]
    product_reference: Annotated[str, Meta(description="The identifier of the product at its seller")]
    unit_price: Annotated[Amount, Meta(description="The price of one piece")]
    quantity: Annotated[int, Meta(description="The number of pieces")]


class Product(Struct, kw_only=True, rename={"links": "_links"}):
    """A product that was bought."""

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    name: Annotated[dict[str, str], Meta(description="The name in each language")]
    price: Annotated[
        Amount, Meta(description="The price of one piece, without service costs, when the order was placed")
    ]
    availability: Annotated[int, Meta(description="The number that is left of total_availability")]
    total_availability: Annotated[int, Meta(description="The number that can be sold in all")]


class Seating(Struct, kw_only=True):
    """The place of a ticket's seat. The object is documented; its fields are inferred."""

    section: Annotated[str, Meta(description="The section of the hall")]
    row: Annotated[str, Meta(description="As it is written on the row, such as A")]
    seat: Annotated[str, Meta(description="The seat in the row")]


class Ticket(Struct, kw_only=True, rename={"links": "_links"}):
    """One ticket. `valid` is ours (shopping decision 24): the ticket gives entry, so its order is completed.

    `seating` is present if seats are numbered (not in the example).
    """

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    code: Annotated[str, Meta(description="The text of the ticket's QR code")]
    valid: Annotated[bool, Meta(description="Whether the ticket gives entry")]
    seating: Annotated[Seating, Meta(description="The seat, if seats are numbered")] | UnsetType = UNSET


class ShownConsumer(TypedDict, total=False):
    """The consumer of an order or a ticket. Fields that the client did not give are left out."""

    uid: Annotated[str, Meta(description="The identifier of a stored consumer")]
    first_name: Annotated[str, Meta(description="The given name")]
    last_name: Annotated[str, Meta(description="The family name")]
    date_of_birth: Annotated[str, Meta(description="The date of birth, as 1990-12-31")]
    email: Annotated[str, Meta(description="The e-mail address")]
    gender: Annotated[int, Meta(description="0 unknown, 1 male, 2 female, 9 other")]
    phone_number: Annotated[str, Meta(description="As the consumer gave it")]
    address: Annotated[str, Meta(description="The street and the number of the house")]
    postal_code: Annotated[str, Meta(description="As the country's post writes it, such as 9712 AB")]
    city: Annotated[str, Meta(description="The town")]
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2")]
    state: Annotated[str, Meta(description="The state or province")]
    language: Annotated[str, Meta(description="ISO 639-1")]
    cognito_user: Annotated[str, Meta(description="The identifier of the consumer's account at the shop")]
    ip: Annotated[str, Meta(description="The address of the buyer's device")]


# The products and tickets of an order.
EmbeddedInOrder = TypedDict(
    "EmbeddedInOrder",
    {
        "shop:product": Annotated[list[Product], Meta(description="The products that were bought, each once")],
        "shop:ticket": Annotated[list[Ticket], Meta(description="The tickets of the order")],
    },
)


class Order(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """The order, with every key and link of the published example, in the example's sequence.

    `redirect_url` is present if the request had one (documented; not in the example).
    """

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    reference: Annotated[str, Meta(description="The number of the order, for people")]
    created_date: Annotated[str, Meta(description="When the order was placed, in UTC")]
    status: Annotated[str, Meta(description="pending, completed, expired, failed or cancelled")]
    product_selection: Annotated[list[Selection], Meta(description="The lines of the order")]
    consumer: Annotated[ShownConsumer, Meta(description="The person whom the order is for")]
    payment_method: Annotated[Method, Meta(description="How the order is paid; empty if that was not chosen")]
    shipping_method: Annotated[Method, Meta(description="How the tickets are sent; empty if that was not chosen")]
    product_total: Annotated[Amount, Meta(description="What the products cost, without service costs")]
    service_costs: Annotated[Amount, Meta(description="The service costs of all products")]
    grand_total: Annotated[Amount, Meta(description="What the buyer pays in all")]
    external_purchases: Annotated[
        list[ExternalPurchase],
        Meta(description="Things bought elsewhere that the invoice names; no total contains them"),
    ]
    external_reference: Annotated[
        str | None, Meta(description="The order's number at the shop, if the request had one")
    ]
    redirect_url: (
        Annotated[str, Meta(description="The shop's page that the payment page leads back to")] | UnsetType
    ) = UNSET
    embedded: Annotated[EmbeddedInOrder, Meta(description="The products and tickets of the order")]


class Reason(Struct, kw_only=True):
    """One error; `path` names the field that is wrong, if there is one."""

    code: Annotated[
        str, Meta(description=("Why this was refused; stable, for programs: INVALID_FIELD, or the code of a rule"))
    ]
    message: Annotated[str, Meta(description="A sentence for people")]
    path: Annotated[str | None, Meta(description="The path of the wrong field; null if no field is wrong")] = None


class Error(Struct, kw_only=True, omit_defaults=True):
    """`type` and `message` are from the vendor's own client; `errors` is ours: it lists every reason."""

    type: Annotated[
        str,
        Meta(description=("Why the request failed; stable, for programs. The description of this API lists all types")),
    ]
    message: Annotated[str, Meta(description="A sentence for people")]
    errors: Annotated[
        list[Reason], Meta(description=("Every reason of the error, if there is more to say; otherwise left out"))
    ] = []


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changes_at` is the first instant at which its finding will differ."""

    code: Annotated[str, Meta(description="The rule, as a stable word for programs")]
    passed: Annotated[bool, Meta(description="Whether the rule allows the cancellation")]
    message: Annotated[str, Meta(description="A sentence for people")]
    changes_at: Annotated[
        str | None,
        Meta(
            description="The first instant, in UTC, at which the finding will differ; null if time does not change it"
        ),
    ]


class Cancellability(Struct, kw_only=True, rename={"links": "_links"}):
    """Ours: whether an order may be cancelled, why not, and until when.

    `cancellable_until` is the first instant at which the order can no longer be cancelled.
    """

    links: Links
    cancellable: Annotated[bool, Meta(description="Whether the order may be cancelled now")]
    cancellable_until: Annotated[
        str | None,
        Meta(description="The first instant, in UTC, at which it can no longer be cancelled; null if there is none"),
    ]
    decided_at: Annotated[str, Meta(description="The instant of this decision, in UTC")]
    findings: Annotated[list[Finding], Meta(description="What each rule of the policy found")]

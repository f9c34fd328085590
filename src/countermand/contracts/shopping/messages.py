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
        Annotated[str, Meta(pattern=r"^[0-9a-z]{32}$(?!\n)", examples=["87a2195h3gd162fb35c5a3dbd7bapo1l"])] | UnsetType
    ) = UNSET
    first_name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    last_name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    date_of_birth: date | UnsetType = UNSET
    email: Annotated[str, Meta(max_length=255, pattern=EMAIL_PATTERN, extra=EMAIL_IN_WORDS)] | UnsetType = UNSET
    gender: Annotated[Literal[0, 1, 2, 9], whole_number("0 unknown, 1 male, 2 female, 9 other")] | UnsetType = UNSET
    phone_number: Annotated[str, Meta(max_length=50)] | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    postal_code: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    city: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    state: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    cognito_user: Annotated[str, Meta(max_length=36)] | UnsetType = UNSET


class Selection(Struct, kw_only=True, omit_defaults=True):
    """A line of an order. Parts of a combo product have a `parent`."""

    parent: str | UnsetType = UNSET
    product: str
    quantity: int


class Method(Struct, kw_only=True, omit_defaults=True):
    """The way to pay, or to send the tickets. Empty if none was chosen (documented).

    Only a bill has `required_consumer_fields` (documented).
    """

    uid: str | UnsetType = UNSET
    name: dict[str, str] | UnsetType = UNSET
    image: str | UnsetType = UNSET
    costs: Amount | UnsetType = UNSET
    pickup_location: str | UnsetType = UNSET
    required_consumer_fields: list[str] | UnsetType = UNSET


class ExternalPurchase(Struct, kw_only=True):
    """Something that the buyer bought elsewhere."""

    title: dict[str, str]
    product_reference: str
    unit_price: Amount
    quantity: int


class Product(Struct, kw_only=True, rename={"links": "_links"}):
    """A product that was bought."""

    links: Links
    uid: str
    name: dict[str, str]
    price: Amount
    availability: int
    total_availability: int


class Seating(Struct, kw_only=True):
    """The place of a ticket's seat. The object is documented; its fields are inferred."""

    section: str
    row: str
    seat: str


class Ticket(Struct, kw_only=True, rename={"links": "_links"}):
    """One ticket. `valid` is ours (shopping decision 24): the ticket gives entry, so its order is completed.

    `seating` is present if seats are numbered (not in the example).
    """

    links: Links
    uid: str
    code: str
    valid: bool
    seating: Seating | UnsetType = UNSET


class ShownConsumer(TypedDict, total=False):
    """The consumer of an order or a ticket. Fields that the client did not give are left out."""

    uid: str
    first_name: str
    last_name: str
    date_of_birth: str
    email: str
    gender: int
    phone_number: str
    address: str
    postal_code: str
    city: str
    country: str
    state: str
    language: str
    cognito_user: str
    ip: str


# The products and tickets of an order.
EmbeddedInOrder = TypedDict("EmbeddedInOrder", {"shop:product": list[Product], "shop:ticket": list[Ticket]})


class Order(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """The order, with every key and link of the published example, in the example's sequence.

    `redirect_url` is present if the request had one (documented; not in the example).
    """

    links: Links
    uid: str
    reference: str
    created_date: str
    status: str
    product_selection: list[Selection]
    consumer: ShownConsumer
    payment_method: Method
    shipping_method: Method
    product_total: Amount
    service_costs: Amount
    grand_total: Amount
    external_purchases: list[ExternalPurchase]
    external_reference: str | None
    redirect_url: str | UnsetType = UNSET
    embedded: EmbeddedInOrder


class Reason(Struct, kw_only=True):
    """One error; `path` names the field that is wrong, if there is one."""

    code: str
    message: str
    path: str | None = None


class Error(Struct, kw_only=True, omit_defaults=True):
    """`type` and `message` are from the vendor's own client; `errors` is ours: it lists every reason."""

    type: str
    message: str
    errors: list[Reason] = []


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changes_at` is the first instant at which its finding will differ."""

    code: str
    passed: bool
    message: str
    changes_at: str | None


class Cancellability(Struct, kw_only=True, rename={"links": "_links"}):
    """Ours: whether an order may be cancelled, why not, and until when.

    `cancellable_until` is the first instant at which the order can no longer be cancelled.
    """

    links: Links
    cancellable: bool
    cancellable_until: str | None
    decided_at: str
    findings: list[Finding]

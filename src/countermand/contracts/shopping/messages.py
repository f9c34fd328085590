"""What do the bodies of the shopping contract look like? One Struct each: it decodes, checks, and describes itself."""

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from countermand.contracts.http.answer import JsonObject
from countermand.contracts.http.money import Amount
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
    """Who something is for, as given. `uid` names a consumer that is kept already, and then all else is optional."""

    uid: (
        Annotated[str, Meta(pattern=r"^[0-9a-z]{32}$(?!\n)", examples=["87a2195h3gd162fb35c5a3dbd7bapo1l"])] | UnsetType
    ) = UNSET
    first_name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    last_name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    date_of_birth: date | UnsetType = UNSET
    email: Annotated[str, Meta(max_length=255, pattern=EMAIL_PATTERN, extra=EMAIL_IN_WORDS)] | UnsetType = UNSET
    gender: Annotated[Literal[0, 1, 2, 9], Meta(description="unknown, male, female, other")] | UnsetType = UNSET
    phone_number: Annotated[str, Meta(max_length=50)] | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    postal_code: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    city: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    state: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    cognito_user: Annotated[str, Meta(max_length=36)] | UnsetType = UNSET


class Selection(Struct, kw_only=True, omit_defaults=True):
    """A line of an order; `parent` is there on parts of a combo product."""

    parent: str | UnsetType = UNSET
    product: str
    quantity: int


class Method(Struct, kw_only=True, omit_defaults=True):
    """How the order is paid, or how the tickets are sent. Empty where none was chosen (documented).

    `required_consumer_fields` are in a bill alone (documented).
    """

    uid: str | UnsetType = UNSET
    name: dict[str, str] | UnsetType = UNSET
    image: str | UnsetType = UNSET
    costs: Amount | UnsetType = UNSET
    pickup_location: str | UnsetType = UNSET
    required_consumer_fields: list[str] | UnsetType = UNSET


class ExternalPurchase(Struct, kw_only=True):
    """Something bought elsewhere."""

    title: dict[str, str]
    product_reference: str
    unit_price: Amount
    quantity: int


class Product(Struct, kw_only=True, rename={"links": "_links"}):
    """What was bought."""

    links: Links
    uid: str
    name: dict[str, str]
    price: Amount
    availability: int
    total_availability: int


class Seating(Struct, kw_only=True):
    """Where a ticket's seat is: that there is such an object is documented, its fields are inferred."""

    section: str
    row: str
    seat: str


class Ticket(Struct, kw_only=True, rename={"links": "_links"}):
    """One place; `valid` is ours (shopping decision 24): it gives entry, so it is of a completed order.

    `seating` is there where seats are numbered (not in the example).
    """

    links: Links
    uid: str
    code: str
    valid: bool
    seating: Seating | UnsetType = UNSET


class Order(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """The order, with every key and link of the published example, in its order.

    `redirect_url` is there where one was given (documented; not in the example).
    """

    links: Links
    uid: str
    reference: str
    created_date: str
    status: str
    product_selection: list[Selection]
    consumer: JsonObject
    payment_method: Method
    shipping_method: Method
    product_total: Amount
    service_costs: Amount
    grand_total: Amount
    external_purchases: list[ExternalPurchase]
    external_reference: str | None
    redirect_url: str | UnsetType = UNSET
    embedded: JsonObject


class Reason(Struct, kw_only=True):
    """One thing that is wrong; `path` names the field, where it is one."""

    code: str
    message: str
    path: str | None = None


class Error(Struct, kw_only=True, omit_defaults=True):
    """`type` and `message` (from the vendor's own client); `errors` is ours: every reason by itself."""

    type: str
    message: str
    errors: list[Reason] = []


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changes_at` is the first instant at which it would find otherwise."""

    code: str
    passed: bool
    message: str
    changes_at: str | None


class Cancellability(Struct, kw_only=True, rename={"links": "_links"}):
    """Ours: may this order be cancelled, why not, until when? `cancellable_until` is the first instant of no."""

    links: Links
    cancellable: bool
    cancellable_until: str | None
    decided_at: str
    findings: list[Finding]

"""What do requests about orders look like in the shopping contract, and all answers besides the order itself?"""

from typing import Annotated, NotRequired, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from countermand.contracts.http import money
from countermand.contracts.http.body import Number
from countermand.contracts.http.money import Amount, Currency
from countermand.contracts.http.number_text import amount_text, decimal_number, truth, whole_number
from countermand.contracts.http.redirect_url import RedirectUrl
from countermand.contracts.http.typed_text import Country
from countermand.contracts.shopping.catalogue.messages import Event
from countermand.contracts.shopping.links import Links
from countermand.contracts.shopping.messages import (
    Consumer,
    Method,
    Order,
    Product,
    Seating,
    Selection,
    ShownConsumer,
)


class AmountGiven(money.AmountGiven, kw_only=True):
    """An amount in a request. The whole amount may be text, too, like "EUR2.50"."""

    amount: Annotated[
        Number,
        decimal_number(),
        Meta(extra_json_schema={"type": "number", "minimum": 0, "multipleOf": 0.01}),
    ]


class OrderConsumer(Consumer, kw_only=True):
    """The person whom an order is for. Only an order's consumer has an `ip`."""

    ip: Annotated[str, Meta(max_length=45)] | UnsetType = UNSET


class SelectionGiven(Struct, kw_only=True):
    """A product and its quantity. `consumers` names the person for each ticket, as many as the quantity."""

    product: Annotated[str, Meta(min_length=1, description="The uri of the product")]
    quantity: Annotated[int, whole_number(), Meta(ge=1, le=100)]
    parent: Annotated[
        str | None,
        Meta(
            description="The uri of the combo product that this line is a part of, as in a bill: its parts come with it"
        ),
    ] = None
    consumers: Annotated[list[Consumer], Meta(max_length=100)] | None = None


class ExternalPurchaseGiven(Struct, kw_only=True):
    """Something bought elsewhere that the invoice names.

    It is not part of the totals (inferred, shopping decision 20).
    """

    title: dict[str, str]
    product_reference: Annotated[str, Meta(max_length=255)]
    unit_price: Annotated[AmountGiven, amount_text()]
    quantity: Annotated[int, whole_number(), Meta(ge=1, le=10_000)]


class ShippingGiven(Struct, kw_only=True):
    """A shipping method, and an address (inferred: the page names the object and says that it is like a consumer)."""

    uid: Annotated[str, Meta(min_length=1, max_length=32)]
    address: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    postal_code: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    city: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    state: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET


class CreateRequest(Struct, kw_only=True):
    """An order for tickets, or for tickets of another order (documented). A bill takes the same body."""

    products: Annotated[list[SelectionGiven], Meta(min_length=1, max_length=100)] | None = None
    tickets: (
        Annotated[
            list[str],
            Meta(
                min_length=1,
                max_length=100,
                description="The uris of tickets to transfer; not allowed together with products",
            ),
        ]
        | None
    ) = None
    consumer: OrderConsumer | None = None
    payment_method: (
        Annotated[str, Meta(min_length=1, max_length=32, description="The method's uid; optional for free orders")]
        | None
    ) = None
    shipping_method: (
        Annotated[str, Meta(min_length=1, max_length=32, description="The method's uid")] | ShippingGiven | None
    ) = None
    external_purchases: Annotated[list[ExternalPurchaseGiven], Meta(max_length=100)] = []
    external_reference: Annotated[str, Meta(max_length=32)] | None = None
    redirect_url: (
        Annotated[
            RedirectUrl,
            Meta(
                description=(
                    "Where the buyer is led back to, instead of the client's default: http or https, or a scheme of "
                    "the client's list"
                )
            ),
        ]
        | None
    ) = None
    check_consecutive_seats: Annotated[
        bool, truth("Numbered seats of one line must be neighbours; with false, any free seats will do")
    ] = True
    vouchers: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=20)] = []
    currency: Currency | None = None
    opt_in: Annotated[bool | None, truth()] = None
    captcha: Annotated[str, Meta(max_length=4096, description="Accepted, but not verified (ours)")] | None = None
    donation_amount: Annotated[AmountGiven | None, amount_text()] = None


class Bill(Struct, kw_only=True, rename={"links": "_links"}):
    """What an order would cost now. It promises nothing. The available methods are those for the consumer's country."""

    links: Links
    products: list[Selection]
    product_total: Amount
    service_costs: Amount
    payment_method: Method
    shipping_method: Method
    grand_total: Amount
    available_payment_methods: list[Method]
    available_shipping_methods: list[Method]


class EmbeddedOrders(Struct, kw_only=True, rename={"orders": "shop:order"}):
    """The orders of a page."""

    orders: list[Order]


class OrderPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """A page of orders, newest first; `item_count` is the number of orders on all pages."""

    links: Links
    item_count: int
    embedded: EmbeddedOrders


# The product of a ticket, and its event, if it has one.
EmbeddedInTicket = TypedDict("EmbeddedInTicket", {"shop:event": NotRequired[Event], "shop:product": Product})


class WholeTicket(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """One ticket. `valid` is ours (shopping decision 24).

    `service_fee_paid` is null until the order is completed (documented). `seating` is null if no seats are numbered.
    The fields about personalisation say that the ticket is not personalised, because no ticket here is.
    """

    links: Links
    uid: str
    code: str
    valid: bool
    consumer: ShownConsumer
    seating: Seating | None
    subproduct: None
    has_valid_subscription: bool
    needs_personalization: bool
    personalization_start: str | None
    personalization_end: str | None
    price: Amount | None
    service_fee_paid: Amount | None
    fulfillment_starts_at: str | None
    scannable_until: str | None
    embedded: EmbeddedInTicket


class EmbeddedTickets(Struct, kw_only=True, rename={"tickets": "shop:ticket"}):
    """The tickets that were found."""

    tickets: list[WholeTicket]


class TicketPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """The valid tickets with a code."""

    links: Links
    item_count: int
    embedded: EmbeddedTickets


class WholeConsumer(Struct, kw_only=True, omit_defaults=True, rename={"links": "_links"}):
    """A stored consumer. Fields that the client did not give are left out."""

    links: Links
    uid: str
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    date_of_birth: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    gender: int | UnsetType = UNSET
    phone_number: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    cognito_user: str | UnsetType = UNSET


class EmbeddedConsumers(Struct, kw_only=True, rename={"consumers": "shop:consumer"}):
    """The consumers of a page."""

    consumers: list[WholeConsumer]


class ConsumerPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """A page of the client's consumers, oldest first."""

    links: Links
    item_count: int
    embedded: EmbeddedConsumers

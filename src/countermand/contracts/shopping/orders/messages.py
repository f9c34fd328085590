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

    ip: Annotated[str, Meta(description="The address of the buyer's device", max_length=45)] | UnsetType = UNSET


class SelectionGiven(Struct, kw_only=True):
    """A product and its quantity. `consumers` names the person for each ticket, as many as the quantity."""

    product: Annotated[str, Meta(min_length=1, description="The uri of the product")]
    quantity: Annotated[int, whole_number("The number of pieces"), Meta(ge=1, le=100)]
    parent: Annotated[
        str | None,
        Meta(
            description="The uri of the combo product that this line is a part of, as in a bill: its parts come with it"
        ),
    ] = None
    consumers: (
        Annotated[
            list[Consumer], Meta(description="The person for each ticket, as many as the quantity", max_length=100)
        ]
        | None
    ) = None


class ExternalPurchaseGiven(Struct, kw_only=True):
    """Something bought elsewhere that the invoice names.

    It is not part of the totals (inferred, shopping decision 20).
    """

    title: Annotated[dict[str, str], Meta(description="The name in each language")]
    product_reference: Annotated[str, Meta(description="The identifier of the product at its seller", max_length=255)]
    unit_price: Annotated[AmountGiven, amount_text("The price of one piece")]
    quantity: Annotated[int, whole_number("The number of pieces"), Meta(ge=1, le=10_000)]


class ShippingGiven(Struct, kw_only=True):
    """A shipping method, and an address (inferred: the page names the object and says that it is like a consumer)."""

    uid: Annotated[str, Meta(description="The method's uid", min_length=1, max_length=32)]
    address: (
        Annotated[str, Meta(description=("The street and the number of the house"), max_length=255)] | UnsetType
    ) = UNSET
    postal_code: (
        Annotated[str, Meta(description="As the country's post writes it, such as 9712 AB", max_length=32)] | UnsetType
    ) = UNSET
    city: Annotated[str, Meta(description="The town", max_length=255)] | UnsetType = UNSET
    country: Annotated[Country | UnsetType, Meta(description="ISO 3166-1 alpha-2")] = UNSET
    state: Annotated[str, Meta(description="The state or province", max_length=255)] | UnsetType = UNSET


class CreateRequest(Struct, kw_only=True):
    """An order for tickets, or for tickets of another order (documented). A bill takes the same body."""

    products: (
        Annotated[list[SelectionGiven], Meta(description="What is ordered", min_length=1, max_length=100)] | None
    ) = None
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
    consumer: Annotated[OrderConsumer | None, Meta(description="The person whom the order is for")] = None
    payment_method: (
        Annotated[str, Meta(min_length=1, max_length=32, description="The method's uid; optional for free orders")]
        | None
    ) = None
    shipping_method: (
        Annotated[str, Meta(min_length=1, max_length=32, description="The method's uid")] | ShippingGiven | None
    ) = None
    external_purchases: Annotated[
        list[ExternalPurchaseGiven], Meta(description="Things bought elsewhere that the invoice names", max_length=100)
    ] = []
    external_reference: Annotated[str, Meta(description="The order's number at the shop", max_length=32)] | None = None
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
    vouchers: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]],
        Meta(description="The codes of vouchers", max_length=20),
    ] = []
    currency: Annotated[
        Currency | None, Meta(description="ISO 4217; the order is refused if its products have another currency")
    ] = None
    opt_in: Annotated[bool | None, truth("Whether the consumer agrees to receive news")] = None
    captcha: Annotated[str, Meta(max_length=4096, description="Accepted, but not verified (ours)")] | None = None
    donation_amount: Annotated[AmountGiven | None, amount_text("What the buyer gives on top of the price")] = None


class Bill(Struct, kw_only=True, rename={"links": "_links"}):
    """What an order would cost now. It promises nothing. The available methods are those for the consumer's country."""

    links: Links
    products: Annotated[list[Selection], Meta(description="The lines that the order would have")]
    product_total: Annotated[Amount, Meta(description="What the products cost, without service costs")]
    service_costs: Annotated[Amount, Meta(description="The service costs of all products")]
    payment_method: Annotated[Method, Meta(description="How the order is paid; empty if that was not chosen")]
    shipping_method: Annotated[Method, Meta(description="How the tickets are sent; empty if that was not chosen")]
    grand_total: Annotated[Amount, Meta(description="What the buyer pays in all")]
    available_payment_methods: Annotated[list[Method], Meta(description="The ways to pay that this order could use")]
    available_shipping_methods: Annotated[
        list[Method], Meta(description="The ways to send the tickets that this order could use")
    ]


class EmbeddedOrders(Struct, kw_only=True, rename={"orders": "shop:order"}):
    """The orders of a page."""

    orders: Annotated[list[Order], Meta(description="The orders of this page")]


class OrderPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """A page of orders, newest first; `item_count` is the number of orders on all pages."""

    links: Links
    item_count: Annotated[int, Meta(description="The number of orders on all pages")]
    embedded: Annotated[EmbeddedOrders, Meta(description="The orders of this page")]


# The product of a ticket, and its event, if it has one.
EmbeddedInTicket = TypedDict(
    "EmbeddedInTicket",
    {
        "shop:event": NotRequired[Annotated[Event, Meta(description="The event of the ticket")]],
        "shop:product": Annotated[Product, Meta(description="The product of the ticket")],
    },
)


class WholeTicket(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """One ticket. `valid` is ours (shopping decision 24).

    `service_fee_paid` is null until the order is completed (documented). `seating` is null if no seats are numbered.
    The fields about personalisation say that the ticket is not personalised, because no ticket here is.
    """

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    code: Annotated[str, Meta(description="The text of the ticket's QR code")]
    valid: Annotated[bool, Meta(description="Whether the ticket gives entry")]
    consumer: Annotated[ShownConsumer, Meta(description="The person whom the ticket is for")]
    seating: Annotated[Seating | None, Meta(description="The seat; null if seats are not numbered")]
    subproduct: Annotated[None, Meta(description="Always null, because no product here has subproducts")]
    has_valid_subscription: Annotated[bool, Meta(description="Always false, because there are no subscriptions here")]
    needs_personalization: Annotated[bool, Meta(description="Always false, because no ticket here is personalised")]
    personalization_start: Annotated[
        str | None, Meta(description="Always null, because no ticket here is personalised")
    ]
    personalization_end: Annotated[str | None, Meta(description="Always null, because no ticket here is personalised")]
    price: Annotated[Amount | None, Meta(description="What the buyer paid for the ticket; null if that is not known")]
    service_fee_paid: Annotated[
        Amount | None, Meta(description="The service costs of the ticket; null until the order is completed")
    ]
    fulfillment_starts_at: Annotated[
        str | None, Meta(description="When tickets are sent, in UTC; null if they are sent at once")
    ]
    scannable_until: Annotated[
        str | None, Meta(description="Until when the code can be scanned, in UTC; null for no limit")
    ]
    embedded: Annotated[EmbeddedInTicket, Meta(description="The product of the ticket, and its event")]


class EmbeddedTickets(Struct, kw_only=True, rename={"tickets": "shop:ticket"}):
    """The tickets that were found."""

    tickets: Annotated[list[WholeTicket], Meta(description="The tickets that were found")]


class TicketPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """The valid tickets with a code."""

    links: Links
    item_count: Annotated[int, Meta(description="The number of tickets that were found")]
    embedded: Annotated[EmbeddedTickets, Meta(description="The tickets that were found")]


class WholeConsumer(Struct, kw_only=True, omit_defaults=True, rename={"links": "_links"}):
    """A stored consumer. Fields that the client did not give are left out."""

    links: Links
    uid: Annotated[str, Meta(description="The identifier: 32 of 0-9 and a-z")]
    first_name: Annotated[str, Meta(description="The given name")] | UnsetType = UNSET
    last_name: Annotated[str, Meta(description="The family name")] | UnsetType = UNSET
    date_of_birth: Annotated[str, Meta(description="The date of birth, as 1990-12-31")] | UnsetType = UNSET
    email: Annotated[str, Meta(description="The e-mail address")] | UnsetType = UNSET
    gender: Annotated[int, Meta(description="0 unknown, 1 male, 2 female, 9 other")] | UnsetType = UNSET
    phone_number: Annotated[str, Meta(description="As the consumer gave it")] | UnsetType = UNSET
    address: Annotated[str, Meta(description="The street and the number of the house")] | UnsetType = UNSET
    postal_code: Annotated[str, Meta(description="As the country's post writes it, such as 9712 AB")] | UnsetType = (
        UNSET
    )
    city: Annotated[str, Meta(description="The town")] | UnsetType = UNSET
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2")] | UnsetType = UNSET
    state: Annotated[str, Meta(description="The state or province")] | UnsetType = UNSET
    language: Annotated[str, Meta(description="ISO 639-1")] | UnsetType = UNSET
    cognito_user: (
        Annotated[str, Meta(description="The identifier of the consumer's account at the shop")] | UnsetType
    ) = UNSET


class EmbeddedConsumers(Struct, kw_only=True, rename={"consumers": "shop:consumer"}):
    """The consumers of a page."""

    consumers: Annotated[list[WholeConsumer], Meta(description="The consumers of this page")]


class ConsumerPage(Struct, kw_only=True, rename={"links": "_links", "embedded": "_embedded"}):
    """A page of the client's consumers, oldest first."""

    links: Links
    item_count: Annotated[int, Meta(description="The number of consumers on all pages")]
    embedded: Annotated[EmbeddedConsumers, Meta(description="The consumers of this page")]

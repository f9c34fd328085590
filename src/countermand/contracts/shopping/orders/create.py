"""`POST /orders`: how does a buyer order tickets, or transfer tickets of another order?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from countermand.actions.ordering.views import OrderView
from countermand.actions.ticketing.consumers import consumer_of_order
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.actions.ticketing.transfer import TransferOrder, transfer_tickets
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, TransactionCall
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.http.store import Transaction
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import check_application
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, WITH_BODY
from countermand.contracts.shopping.contract import NAME
from countermand.contracts.shopping.orders.messages import CreateRequest
from countermand.contracts.shopping.orders.order_request import wanted_of
from countermand.contracts.shopping.translate import order_answer
from countermand.domain.client import Client, Permission

ORDERS: Final = "/orders"
# The types are from the vendor's own client; their statuses are inferred. Errors without a type there are BAD_REQUEST.
REFUSALS: Final[Mapping[int, Reply]] = {
    400: Reply(
        when=(
            "BAD_REQUEST, MULTIPLE_EVENTS, PROFILE_MISSING, NON_SEPARATELY_SALEABLE_PRODUCT, PAYMENT_METHOD_MISSING, "
            "MAX_PER_ORDER_EXCEEDED, PAYMENT_METHOD_NOT_APPLICABLE, SHIPPING_METHOD_NOT_APPLICABLE, "
            "VOUCHER_NOT_APPLICABLE (ours): the request is invalid"
        ),
        message=messages.Error,
    ),
    404: Reply(
        when="PRODUCT_NOT_AVAILABLE: the product does not exist; NOT_FOUND: the ticket does not exist",
        message=messages.Error,
    ),
    409: Reply(
        when=(
            "NOT_ON_SALE; INSUFFICIENT_PRODUCTS: too few are left; INSUFFICIENT_CONSECUTIVE_SEATS: too few "
            "neighbouring seats are free; "
            "ours: VOUCHER_USED_UP, TICKETS_NOT_TRANSFERABLE"
        ),
        message=messages.Error,
    ),
}
_OPERATION: Final = Operation(
    name="createOrder",
    method="POST",
    path=ORDERS,
    summary="Place an order",
    description=(
        "Takes the tickets off the stock. An order that costs nothing is completed at once. Any other order is pending "
        "until it is paid, and expires if it is not paid in time."
    ),
    permission=Permission.CREATE,
    request=CreateRequest,
    takes_key=True,
    replies={
        **FAILURES,
        **WITH_BODY,
        **REFUSALS,
        201: Reply(
            when="The new order",
            message=messages.Order,
            media_type=HAL,
            headers={"Location": "the order's uri"},
        ),
    },
)


@dataclass(frozen=True, slots=True)
class WantedOrder:
    """Reads the body of an order, or of its bill, with these addresses."""

    addresses: Addresses

    def __call__(self, given: DecodedBody) -> TicketOrder | TransferOrder:
        """Return the order in the form that the actions use. Raises `FieldsError`, `ForbiddenError`."""
        request = read(CreateRequest, given.json)
        wanted = wanted_of(request, self.addresses, given.client)
        if isinstance(wanted, TransferOrder):
            check_application(given.client)
        return wanted


@dataclass(frozen=True, slots=True)
class OrderCreation:
    """`POST /orders`. An order that is not paid within `payment_limit` expires."""

    addresses: Addresses
    payment_limit: timedelta

    def calls(self) -> tuple[Call, ...]:
        """The call and what answers it."""
        wanted = WantedOrder(self.addresses)
        return (TransactionCall(operation=_OPERATION, body=wanted, handle=self._create, products=_products),)

    async def _create(self, tx: Transaction, context: CallContext[TicketOrder | TransferOrder]) -> Answer:
        view = await _placed(tx, context.client, context.body, context.services.clock(), self.payment_limit)
        location = self.addresses.order(view.order.uid or "").encode()
        return order_answer(201, view, self.addresses, headers=((b"location", location),))


def _products(wanted: TicketOrder | TransferOrder) -> list[str]:
    """The products that are named. Those of tickets that are given on are not known yet, nor the parts of combos."""
    return [] if isinstance(wanted, TransferOrder) else [line.product_uid for line in wanted.lines]


async def _placed(
    tx: Transaction,
    client: Client,
    wanted: TicketOrder | TransferOrder,
    now: datetime,
    payment_limit: timedelta,
) -> OrderView:
    given = wanted.given
    if given.consumer is not None:
        given = structs.replace(given, consumer=await consumer_of_order(tx, client, given.consumer, now))
    if isinstance(wanted, TransferOrder):
        return await transfer_tickets(tx, client.id, replace(wanted, given=given), now)
    for_whom = {
        line: [await consumer_of_order(tx, client, one, now) for one in consumers]
        for line, consumers in (wanted.ticket_consumers or {}).items()
    }
    wanted = replace(wanted, given=given, ticket_consumers=for_whom)
    return await place_ticket_order(tx, client.id, wanted, now, contract=NAME, expires_at=now + payment_limit)

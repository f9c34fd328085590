"""`POST /orders`: place an order for tickets, or for tickets of another order."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from msgspec import structs

from countermand.actions.ports import OrderView, Transaction
from countermand.actions.run_idempotently import run_idempotently
from countermand.actions.ticketing.consumers import consumer_of_order
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.actions.ticketing.transfer import TransferOrder, transfer_tickets
from countermand.contracts.http.answer import HAL, Answer, check_media_type, restored, stored
from countermand.contracts.http.body import decode, read
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.http.idempotency import idempotency_key
from countermand.contracts.http.openapi import IDEMPOTENCY_KEY, Operation, Reply
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import caller, check_application
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, WITH_BODY, refused
from countermand.contracts.shopping.contract import NAME
from countermand.contracts.shopping.orders.messages import CreateRequest
from countermand.contracts.shopping.orders.order_request import wanted_of
from countermand.contracts.shopping.translate import order_answer
from countermand.domain.client import ClientId, Permission

ORDERS: Final = "/orders"
# The types are the vendor's own client's; their statuses are inferred. BAD_REQUEST is for all that has no type there.
REFUSALS: Final[Mapping[int, Reply]] = {
    400: Reply(
        when=(
            "BAD_REQUEST, MULTIPLE_EVENTS, PROFILE_MISSING, NON_SEPARATELY_SALEABLE_PRODUCT, PAYMENT_METHOD_MISSING, "
            "MAX_PER_ORDER_EXCEEDED, PAYMENT_METHOD_NOT_APPLICABLE, SHIPPING_METHOD_NOT_APPLICABLE, "
            "VOUCHER_NOT_APPLICABLE (ours): the request does not hold"
        ),
        message=messages.Error,
    ),
    404: Reply(
        when="PRODUCT_NOT_AVAILABLE: there is no such product; NOT_FOUND: there is no such ticket",
        message=messages.Error,
    ),
    409: Reply(
        when=(
            "NOT_ON_SALE; INSUFFICIENT_PRODUCTS: too few are left; INSUFFICIENT_CONSECUTIVE_SEATS: not side by side; "
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
        "Takes the tickets off the stock. An order that costs nothing is completed at once; any other is pending until "
        "it is paid, and expires when it is not paid in time."
    ),
    request=CreateRequest,
    parameters=(IDEMPOTENCY_KEY,),
    replies={
        **FAILURES,
        **WITH_BODY,
        **REFUSALS,
        201: Reply(
            when="The order as it was created",
            message=messages.Order,
            media_type=HAL,
            headers={"Location": "the order's uri"},
        ),
    },
)


def routes(addresses: Addresses, payment_limit: timedelta) -> tuple[Route, ...]:
    """The call, spoken with these addresses. An order that is not paid within `payment_limit` expires."""

    async def create(call: Call, services: Services) -> Answer:
        client = await caller(call, services, Permission.CREATE)
        check_media_type(call.headers, also=(HAL,))
        key = idempotency_key(call.headers, "POST", ORDERS, call.body)
        wanted = wanted_of(read(CreateRequest, decode(call.body)), addresses, only_event=client.only_event)

        if isinstance(wanted, TransferOrder):
            check_application(client)

        async def place(tx: Transaction) -> bytes:
            view = await _placed(tx, client.id, wanted, services, payment_limit)
            location = addresses.order(view.order.uid or "").encode()
            return stored(order_answer(201, view, addresses, headers=((b"location", location),)))

        return restored(await run_idempotently(services.store, services.clock, client.id, key, place, refused))

    return (Route(operation=_OPERATION, handle=create),)


async def _placed(
    tx: Transaction,
    client_id: ClientId,
    wanted: TicketOrder | TransferOrder,
    services: Services,
    payment_limit: timedelta,
) -> OrderView:
    now = services.clock()
    given = wanted.given
    if given.consumer is not None:
        given = structs.replace(given, consumer=await consumer_of_order(tx, client_id, given.consumer, now))
    if isinstance(wanted, TransferOrder):
        return await transfer_tickets(tx, client_id, replace(wanted, given=given), now)
    for_whom = {
        line: [await consumer_of_order(tx, client_id, one, now) for one in consumers]
        for line, consumers in (wanted.ticket_consumers or {}).items()
    }
    wanted = replace(wanted, given=given, ticket_consumers=for_whom)
    return await place_ticket_order(tx, client_id, wanted, now, contract=NAME, expires_at=now + payment_limit)

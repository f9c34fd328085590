"""Which tickets does a caller see, and is a ticket at the entrance valid?

`GET /tickets/{uid}` reads a ticket, and `GET /tickets?event=&code=` finds one by its barcode.
"""

from dataclasses import dataclass
from typing import Final

from countermand.actions.ticketing.read import TicketView, find_tickets, read_ticket
from countermand.actions.ticketing.seat import seat_of
from countermand.actions.ticketing.transfer import prices_of_tickets
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, no_body
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.shopping.access import owner_for
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WRONG_QUERY, asked_at, uid_in
from countermand.contracts.shopping.catalogue.events import event_shown
from countermand.contracts.shopping.contract import NAME
from countermand.contracts.shopping.hal import hal_answer, resource_links
from countermand.contracts.shopping.orders.messages import EmbeddedInTicket, EmbeddedTickets, TicketPage, WholeTicket
from countermand.contracts.shopping.translate import amount, consumer_shown, product_shown, seating_shown
from countermand.domain.client import Permission
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.consumer import Consumer

_TICKETS: Final = "/tickets"
_CODE_CAP: Final = 64
_FIND: Final = Operation(
    name="findTickets",
    method="GET",
    path=_TICKETS,
    summary="Find a ticket by its barcode",
    description="Finds only valid tickets (ours) of the caller's own orders.",
    permission=Permission.READ,
    needs_secret=True,
    parameters=(
        parameter("event", "query", "The event's uri", {"type": "string", "format": "uri"}),
        parameter("code", "query", "The barcode", {"type": "string", "minLength": 1, "maxLength": _CODE_CAP}),
    ),
    replies={
        **FAILURES,
        200: Reply(when="The tickets that were found, or an empty list", message=TicketPage, media_type=HAL),
        400: WRONG_QUERY,
    },
)
_READ: Final = Operation(
    name="readTicket",
    method="GET",
    path=_TICKETS + "/{uid}",
    summary="Read a ticket",
    description="A ticket of one of the caller's own orders. `valid` is ours.",
    permission=Permission.READ,
    needs_secret=True,
    parameters=(UID,),
    replies={
        **FAILURES,
        200: Reply(when="The ticket", message=WholeTicket, media_type=HAL),
        404: NOT_FOUND,
    },
)


@dataclass(frozen=True, slots=True)
class TicketCalls:
    """`/tickets` and `/tickets/{uid}`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on tickets with their handlers."""
        return (
            ServiceCall(operation=_FIND, body=no_body, handle=self._find),
            ServiceCall(operation=_READ, body=no_body, handle=self._read),
        )

    async def _find(self, context: CallContext[None]) -> Answer:
        request, addresses = context.request, self.addresses
        event, code = _wanted(request, addresses)
        found = await find_tickets(context.services.store, event, code, contract=NAME, owner=owner_for(context.client))
        return hal_answer(
            TicketPage(
                links=resource_links(addresses, asked_at(request, addresses), "tickets"),
                item_count=len(found),
                embedded=EmbeddedTickets(tickets=[_shown(one, addresses) for one in found]),
            )
        )

    async def _read(self, context: CallContext[None]) -> Answer:
        uid = uid_in(context.request, "ticket")
        found = await read_ticket(context.services.store, uid, contract=NAME, owner=owner_for(context.client))
        return hal_answer(_shown(found, self.addresses))


def _wanted(request: Request, addresses: Addresses) -> tuple[str, str]:
    """Return the event's uid and the code. Both are required (inferred from the root's link). Raises `FieldsError`."""
    query = Query(request.query_string)
    given, code = query.one("event") or "", query.one("code") or ""
    query.check()
    event = addresses.uid_of_event(given)
    if event is None:
        query.wrong("event", f"the uri of an event, like {addresses.event('<uid>')}", given)
    if not 1 <= len(code) <= _CODE_CAP or "\0" in code:
        query.wrong("code", f"1 to {_CODE_CAP} characters", code)
    query.check()
    assert event is not None, "its error was raised"
    return event, code


def _shown(view: TicketView, addresses: Addresses) -> WholeTicket:
    ticket, order, details = view.ticket, view.order.order, view.order.ticket_details
    price = prices_of_tickets(view.order).get(ticket.uid)
    seat = seat_of(view.order, ticket)
    is_paid = order.state is OrderState.COMPLETED
    buyer = (details.consumer or Consumer()).without("ip")
    product = product_shown(view.product, addresses, view.product.price)
    embedded: EmbeddedInTicket = {"shop:product": product}
    if view.event is not None:
        embedded = {"shop:event": event_shown(view.event, addresses), "shop:product": product}
    return WholeTicket(
        links=resource_links(
            addresses,
            addresses.ticket(ticket.uid),
            "ticket",
            shop_order={"href": addresses.order(order.uid or "")},
        ),
        uid=ticket.uid,
        code=ticket.code,
        valid=view.order.admits(ticket),
        consumer=consumer_shown((details.ticket_consumers or {}).get(ticket.uid, buyer)),
        seating=None if seat is None else seating_shown(seat),
        subproduct=None,
        has_valid_subscription=False,
        needs_personalization=False,
        personalization_start=None,
        personalization_end=None,
        price=None if price is None else amount(price.paid_minor, details.currency),
        service_fee_paid=amount(price.service_costs_minor, details.currency) if price and is_paid else None,
        fulfillment_starts_at=None if view.event is None else view.event.event.more.get("fulfillment_starts_at"),
        scannable_until=None,
        embedded=embedded,
    )

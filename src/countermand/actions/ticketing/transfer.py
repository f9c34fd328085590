"""Transfers tickets to a new order for another consumer. Their places and seats stay taken; their codes become invalid.

Documented: a transfer makes a new ticket with a new code and invalidates the old ticket; all are from one order.
Inferred: only tickets of a completed order can be transferred, by a client that may read that order; a transfer costs
nothing; if the new order is cancelled, the places become free, while the old tickets stay invalid.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec import UNSET, structs

from countermand.actions.catalogue.ports import ProductLock
from countermand.actions.errors import ConflictError
from countermand.actions.ordering.insert_order import insert_with_event
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ordering.ports import OrderChange, OrderInsertion, OrderReading
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.actions.ordering.visibility import check_known
from countermand.actions.ports import NumberSource
from countermand.actions.ticketing.place import new_ticket, new_ticket_order, page_token
from countermand.actions.ticketing.ports import TicketReading, TicketWithdrawal
from countermand.actions.ticketing.seat import seat_of, take
from countermand.actions.ticketing.seat_ports import SeatAssignment
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderDetails, TicketOrderGiven
from countermand.domain.ticketing.bill import LinePrice


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferOrder:
    """The tickets to transfer, by uid, and what the new order stores and shows, its consumer included."""

    ticket_uids: Sequence[str]
    given: TicketOrderGiven


class TransferReading(TicketReading, OrderReading, Protocol):
    """Reads tickets and their orders."""


class TransferTransaction(
    TransferReading,
    OrderInsertion,
    OrderChange,
    NumberSource,
    TicketWithdrawal,
    ProductLock,
    SeatAssignment,
    Protocol,
):
    """Implemented by a transaction in which tickets can be transferred."""


async def transferable(reading: TransferReading, client_id: ClientId, ticket_uids: Sequence[str]) -> OrderId:
    """Return the order that all these tickets belong to.

    Raises `ConflictError` with the codes `ticket_not_found`, `tickets_of_several_orders`.
    """
    found = {await reading.order_of_ticket(uid) for uid in ticket_uids}
    orders = [None if one is None else await reading.order(one) for one in found]
    its_own = [order for order in orders if order is not None and order.client_id == client_id]
    if len(its_own) < len(orders):
        raise ConflictError("ticket_not_found", "there is no such ticket")
    for order in its_own:
        check_known(order)
    if len(its_own) > 1:
        raise ConflictError(
            "tickets_of_several_orders",
            "the tickets are of several orders; transfer the tickets of one order at a time",
        )
    (order,) = its_own
    return order.id


async def transfer_tickets(
    tx: TransferTransaction, client_id: ClientId, wanted: TransferOrder, now: datetime
) -> OrderView:
    """Place the new order. Raises as `transferable` does, and with `tickets_not_transferable`, `profile_missing`."""
    if wanted.given.consumer is None:
        raise ConflictError("profile_missing", "consumer is missing; say whom the order is for")
    before = await locked(tx, await transferable(tx, client_id, wanted.ticket_uids))
    view = (await tx.views([before.id]))[before.id]
    old = _valid(view, wanted.ticket_uids)
    reference = await tx.next_number("reference")
    order = new_ticket_order(reference, client_id, now, contract=before.contract, is_completed=True)
    prices = prices_of_tickets(view)
    kinds: dict[tuple[str, LinePrice | None], list[Ticket]] = {}
    for ticket in old:
        kinds.setdefault((ticket.product_uid, prices.get(ticket.uid)), []).append(ticket)
    given_on = [(ticket, new_ticket(ticket.product_uid)) for alike in kinds.values() for ticket in alike]
    seats = {new.uid: seat for ticket, new in given_on if (seat := seat_of(view, ticket)) is not None}
    made = OrderView(
        order=order,
        details=TicketOrderDetails(
            **structs.asdict(wanted.given),
            currency=view.ticket_details.currency,
            product_total_minor=0,
            service_costs_minor=0,
            grand_total_minor=0,
            prices=tuple(price for _, price in kinds),
            etickets_token=page_token(order),
            order_token=page_token(order),
            seats=seats or UNSET,
        ),
        lines=tuple(Line(product_uid=uid, quantity=len(alike)) for (uid, _), alike in kinds.items()),
        tickets=tuple(new for _, new in given_on),
    )
    await insert_with_event(tx, made, now)
    await tx.withdraw_tickets(before.id, [ticket.uid for ticket in old])
    # A new version makes a cancellation that waits for the order read its tickets again.
    await tx.change_order(before, before.facts)
    if seats:  # every transaction locks products last
        await tx.lock_products([ticket.product_uid for ticket in made.tickets if ticket.uid in seats])
        await take(tx, order.id, made.tickets, seats)
    return (await tx.views([order.id]))[order.id]


async def lines_of_transfer(
    reading: TransferReading, client_id: ClientId, ticket_uids: Sequence[str]
) -> tuple[Sequence[Line], str]:
    """Return the lines of a transfer, and the currency of its bill. Raises as `transfer_tickets` does."""
    order_id = await transferable(reading, client_id, ticket_uids)
    view = (await reading.views([order_id]))[order_id]
    counted = Counter(ticket.product_uid for ticket in _valid(view, ticket_uids))
    lines = [Line(product_uid=uid, quantity=quantity) for uid, quantity in counted.items()]
    return lines, view.ticket_details.currency


def _valid(view: OrderView, ticket_uids: Sequence[str]) -> Sequence[Ticket]:
    wanted = set(ticket_uids)
    found = [ticket for ticket in view.tickets if ticket.uid in wanted and view.admits(ticket)]
    if len(found) != len(wanted):
        raise ConflictError(
            "tickets_not_transferable", "a ticket is not valid or its order is not completed; nothing was transferred"
        )
    return found


def prices_of_lines(view: OrderView) -> Sequence[tuple[Line, LinePrice | None]]:
    """Return each line of an order with the price of each piece; None if the order did not store it."""
    prices = view.ticket_details.prices or (None,) * len(view.lines)
    return list(zip(view.lines, prices, strict=True))


def prices_of_tickets(view: OrderView) -> Mapping[str, LinePrice]:
    """Return the price of each ticket by uid, if the order stored it. Tickets are in the order of the lines."""
    by_ticket = [price for line, price in prices_of_lines(view) for _ in range(line.quantity)]
    return {ticket.uid: price for ticket, price in zip(view.tickets, by_ticket, strict=False) if price is not None}

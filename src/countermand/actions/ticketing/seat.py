"""Which seats do an order's tickets get? The products' rows are locked, so no other transaction chooses meanwhile.

The page says only that seats must be side by side. Inferred: the seats of one line of an order, in one row.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

from msgspec import structs

from countermand.actions.errors import ConflictError
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.actions.ticketing.ports import TicketDetails
from countermand.actions.ticketing.rules import insufficient
from countermand.actions.ticketing.seat_ports import FreeSeats, SeatAssignment, SeatTaken
from countermand.domain.orders.order import OrderId
from countermand.domain.ticketing.seating import Seat, choose_seats


class SeatingTransaction(FreeSeats, SeatAssignment, TicketDetails, Protocol):
    """Implemented by a transaction in which an order's tickets can get seats."""


async def seats_of_lines(
    reading: FreeSeats, lines: Sequence[Line], seated: AbstractSet[str], *, together: bool
) -> Mapping[int, Sequence[Seat]]:
    """Return, by the index of a line, seats for all its tickets, for the lines of `seated` products.

    Raises `ConflictError` with the codes `insufficient_consecutive_seats`, and `insufficient_products` if the product
    has too few seats in any arrangement.
    """
    if not seated:
        return {}
    gaps = await reading.free_seats(sorted(seated))
    found: dict[int, Sequence[Seat]] = {}
    for uid in sorted(seated):
        places = [place for place, line in enumerate(lines) if line.product_uid == uid]
        counts = [lines[place].quantity for place in places]
        chosen = choose_seats(gaps.get(uid, ()), counts, together=together)
        if chosen is None and together:
            wanted = " and ".join(str(count) for count in counts)
            said = (
                f"product {uid} has no {wanted} seats side by side; nothing was reserved; "
                "set check_consecutive_seats to false to take any seats"
            )
            raise ConflictError("insufficient_consecutive_seats", said)
        if chosen is None:
            raise insufficient(uid)
        found.update(zip(places, chosen, strict=True))
    return found


async def seat_tickets(
    tx: SeatingTransaction, view: OrderView, seated: AbstractSet[str], *, together: bool
) -> OrderView:
    """Give an order's tickets their seats, after their places were taken, and return the order with its seats.

    Raises as `seats_of_lines` does.
    """
    by_line = await seats_of_lines(tx, view.lines, seated, together=together)
    tickets = iter(view.tickets)
    seats: dict[str, Seat] = {}
    for place, line in enumerate(view.lines):
        of_line = [next(tickets) for _ in range(line.quantity)]
        if place in by_line:
            seats.update(zip((one.uid for one in of_line), by_line[place], strict=True))
    if not seats:
        return view
    await take(tx, view.order.id, view.tickets, seats)
    before = view.ticket_details
    after = structs.replace(before, seats=seats)
    await tx.change_details(view.order.id, before, after)
    return replace(view, details=after)


async def take(tx: SeatAssignment, order_id: OrderId, tickets: Sequence[Ticket], seats: Mapping[str, Seat]) -> None:
    """Record the seats of tickets: `seats` are by the ticket's uid, `tickets` are all tickets of the order."""
    await tx.take_seats(
        [
            SeatTaken(product_uid=one.product_uid, seat=seats[one.uid], order_id=order_id, ticket_number=number)
            for number, one in enumerate(tickets, start=1)
            if one.uid in seats
        ]
    )


def seat_of(view: OrderView, ticket: Ticket) -> Seat | None:
    """Return the seat that a ticket has or had; None if the product has no numbered seats."""
    return (view.ticket_details.seats or {}).get(ticket.uid)

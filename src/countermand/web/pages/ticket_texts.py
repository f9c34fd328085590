"""What stands on an e-ticket besides its code: the event, time, place, name and seat."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from countermand.actions.ordering.views import OrderView, Ticket
from countermand.actions.ticketing.seat import seat_of
from countermand.domain.ticketing.catalogue import Event, I18n
from countermand.domain.ticketing.consumer import Consumer
from countermand.domain.ticketing.seating import Seat
from countermand.web.pages.moments import Moment, period


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketText:
    """What a ticket is for. `title` is the event, or the product if the product has no event."""

    title: str
    product: str | None
    period: Sequence[Moment]
    place: Sequence[str]
    holder: str | None
    seat: str | None


def ticket_text(view: OrderView, ticket: Ticket, product: str, event: Event | None, zone: tzinfo) -> TicketText:
    """Return what stands on a ticket. `product` is the name of its product."""
    return TicketText(
        title=product if event is None else in_english(event.title),
        product=None if event is None else product,
        period=[] if event is None or event.starts_at is None else period(event.starts_at, event.ends_at, zone),
        place=[] if event is None else place_of(event),
        holder=_holder(view, ticket),
        seat=_seat(seat_of(view, ticket)),
    )


def place_of(event: Event) -> Sequence[str]:
    """Return the place of an event in lines, as on an envelope: its name, the street, the town."""
    given = event.more.get("location") or {}
    town = " ".join(str(given[name]) for name in ("postal_code", "city") if given.get(name))
    town_and_country = ", ".join(str(part) for part in (town, given.get("country")) if part)
    return [str(line) for line in (given.get("name"), given.get("address"), town_and_country) if line]


def in_english(texts: I18n) -> str:
    """Return the English text, or else the first text that is not empty."""
    return texts.get("en") or next((text for text in texts.values() if text), "")


def _holder(view: OrderView, ticket: Ticket) -> str | None:
    """Return the name of the person whom a ticket is for: its own consumer, or the consumer of the order."""
    details = view.ticket_details
    consumer = (details.ticket_consumers or {}).get(ticket.uid, details.consumer) or Consumer()
    return (
        " ".join(name for name in (consumer.first_name, consumer.last_name) if isinstance(name, str) and name) or None
    )


def _seat(seat: Seat | None) -> str | None:
    return None if seat is None else f"{seat.section}, row {seat.row}, seat {seat.number}"

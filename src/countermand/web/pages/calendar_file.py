"""Makes the calendar file (iCalendar, RFC 5545) with the events of an order's tickets."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from icalendar import Calendar
from icalendar import Event as CalendarEvent

from countermand.domain.ticketing.catalogue import Event
from countermand.web.pages.ticket_texts import in_english, place_of

_PRODUCT: Final = "-//Countermand//e-tickets//EN"


def has_a_date(event: Event) -> bool:
    """Return whether an event can stand in a calendar."""
    return event.starts_at is not None


def calendar_file(events: Iterable[Event], *, host: str, reference: str, written_at: datetime) -> bytes:
    """Return a calendar with the events that have a date.

    The identifiers stay the same for each event, so that a calendar that reads the file again has the event once. The
    file has no address of a ticket, because people share their calendars.
    """
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", _PRODUCT)
    for event in events:
        if event.starts_at is not None:
            calendar.add_component(_entry(event, event.starts_at, host, reference, written_at))
    return bytes(calendar.to_ical())


def _entry(event: Event, starts_at: datetime, host: str, reference: str, written_at: datetime) -> CalendarEvent:
    entry = CalendarEvent()
    entry.add("uid", f"{event.uid}@{host}")
    entry.add("dtstamp", written_at)
    entry.add("dtstart", starts_at)
    if event.ends_at is not None and event.ends_at > starts_at:
        entry.add("dtend", event.ends_at)
    entry.add("summary", in_english(event.title))
    if place := place_of(event):
        entry.add("location", ", ".join(place))
    entry.add("description", f"Order {reference}. The e-tickets are at the address that the shop gave you.")
    return entry

"""Writes instants for pages: as people read them, with the instant for programs beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from countermand.domain.instants import written_instant


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """An instant on a page: `instant` is the value of `<time datetime>`, and `text` is its content."""

    instant: str
    text: str


def day(instant: datetime, zone: tzinfo) -> Moment:
    """Return the day of an instant in a time zone: 21 November 2026."""
    return Moment(instant=written_instant(instant), text=_day(instant.astimezone(zone)))


def day_and_time(instant: datetime, zone: tzinfo) -> Moment:
    """Return an instant in a time zone: Saturday 21 November 2026, 13:00 CET."""
    here = instant.astimezone(zone)
    return Moment(instant=written_instant(instant), text=f"{here:%A} {_day(here)}, {_time(here)}")


def period(begins: datetime, ends: datetime | None, zone: tzinfo) -> Sequence[Moment]:
    """Return the begin and, if it is known, the end. An end within a day is only a time: 20:00 to 01:00 CET."""
    if ends is None or ends <= begins:
        return [day_and_time(begins, zone)]
    if ends - begins >= timedelta(days=1):
        return [day_and_time(begins, zone), day_and_time(ends, zone)]
    here, there = begins.astimezone(zone), ends.astimezone(zone)
    has_one_zone = here.tzname() == there.tzname()
    first = f"{here:%A} {_day(here)}, {here:%H:%M}" if has_one_zone else day_and_time(begins, zone).text
    return [
        Moment(instant=written_instant(begins), text=first),
        Moment(instant=written_instant(ends), text=_time(there)),
    ]


def _day(here: datetime) -> str:
    return f"{here.day} {here:%B %Y}"


def _time(here: datetime) -> str:
    return f"{here:%H:%M %Z}"

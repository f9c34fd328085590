"""Loads the operator's calendar: adds or changes slots by id. Loading the same slots again changes nothing."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from countermand.actions.appointments.ports import CalendarWriting, OpenSlot
from countermand.actions.errors import ConflictError
from countermand.domain.appointments.appointment import HalfDay, Slot, SlotId

SLOT_ID_PATTERN: Final = "[!-~]{1,64}"
AREA_PATTERN: Final = "(LOC[0-9]{0,12})?"
CAPACITY_CAP: Final = 100_000
_NOON_H: Final = 12
_LONGEST_OFFSET: Final = timedelta(hours=14)  # no place on earth is further from UTC


def slot_at(
    slot_id: str, area: str, starts_at: datetime, ends_at: datetime, half_day: HalfDay | None, capacity: int
) -> OpenSlot:
    """Return a slot of the calendar. The instants carry the customer's offset from UTC.

    Without `half_day`, the slot is AM if it begins before noon in the customer's time. Raises `ValueError`.
    """
    if re.fullmatch(SLOT_ID_PATTERN, slot_id) is None:
        raise ValueError(f"id must be 1 to 64 visible ASCII characters, not {slot_id!r}")
    if re.fullmatch(AREA_PATTERN, area) is None:
        raise ValueError(f"area must be how location ids begin, like LOC3801, or empty, not {area!r}")
    if not 0 <= capacity <= CAPACITY_CAP:
        raise ValueError(f"capacity must be a whole number between 0 and {CAPACITY_CAP}, not {capacity}")
    utc_offset = starts_at.utcoffset()
    if utc_offset is None or ends_at.utcoffset() is None:
        raise ValueError("starts_at and ends_at need the customer's offset from UTC, as in 2026-12-01T08:00:00+11:00")
    if not -_LONGEST_OFFSET <= utc_offset <= _LONGEST_OFFSET:
        raise ValueError(f"starts_at ({starts_at.isoformat()}) is more than 14 hours from UTC")
    if ends_at <= starts_at:
        raise ValueError(f"ends_at must lie after starts_at ({starts_at.isoformat()}), not on {ends_at.isoformat()}")
    slot = Slot(
        id=SlotId(slot_id),
        starts_at=starts_at.astimezone(UTC),
        ends_at=ends_at.astimezone(UTC),
        half_day=half_day or (HalfDay.AM if starts_at.hour < _NOON_H else HalfDay.PM),
        utc_offset=utc_offset,
    )
    return OpenSlot(slot=slot, area=area, capacity=capacity)


async def load_slots(tx: CalendarWriting, wanted: Sequence[OpenSlot]) -> Counter[str]:
    """Add slots, or change those with the same id; return how many were "added", "changed" and "as they were".

    A capacity may go below the number of booked visits: then no more visits are booked. Raises `ConflictError` with
    `slot_booked` for another time or area of a slot that has booked visits.
    """
    done: Counter[str] = Counter()
    for one in sorted(wanted, key=lambda one: one.slot.id):  # all transactions lock slots in this order
        if await tx.add_slot(one):
            done["added"] += 1
            continue
        known = await tx.lock_slot(one.slot.id)
        assert known is not None, "slots are not taken back"
        if (known.slot, known.area, known.capacity) == (one.slot, one.area, one.capacity):
            done["as they were"] += 1
            continue
        if known.booked and (known.slot, known.area) != (one.slot, one.area):
            said = f"the slot {one.slot.id} has {known.booked} booked visits, so only its capacity can change"
            raise ConflictError("slot_booked", said)
        done["changed"] += 1
        await tx.change_slot(one)
    return done

"""Answers tasks about appointments: at once from the operator's calendar, or later from the operator's own system."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from countermand.actions.appointments.ports import Accepted, SlotLock
from countermand.domain.appointments.appointment import Appointment, AppointmentState, Slot
from countermand.domain.appointments.appointment_task import Failure

_SLOTS_OFFERED: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Calendar:
    """Implements `BookingBackend` with the slots and capacities of the operator's calendar.

    A visit can be called off until `no_return` before it begins: at exactly that instant it is too late.
    """

    no_return: timedelta

    async def offer(self, tx: SlotLock, location_id: str, from_date: date, now: datetime) -> Sequence[Slot] | None:
        """See `BookingBackend.offer`. Returns at most fifty slots, the earliest; an empty list is an answer, too."""
        beginnings = [location_id[:length] for length in range(len(location_id) + 1)]
        return await tx.open_slots(beginnings, from_date, now, _SLOTS_OFFERED)

    async def book(self, tx: SlotLock, slot: Slot) -> Accepted | Failure | None:
        """See `BookingBackend.book`. The slot stays locked until the commit, so its capacity is never exceeded."""
        found = await tx.lock_slot(slot.id)
        if found is None or found.slot != slot:
            return Failure(code="slot_gone", sentence=f"the slot {slot.id} is no longer there as it was offered")
        if found.booked >= found.capacity:
            return Failure(code="slot_taken", sentence=f"the slot {slot.id} has been taken meanwhile")
        return Accepted()

    async def call_off(self, appointment: Appointment, now: datetime) -> Accepted | Failure | None:
        """See `BookingBackend.call_off`."""
        until = appointment.starts_at - self.no_return
        if appointment.state is AppointmentState.IN_PROGRESS or now >= until:
            said = f"the appointment {appointment.id} could be cancelled until {until:%Y-%m-%dT%H:%M:%SZ}"
            return Failure(code="appointment_past_no_return", sentence=said)
        return Accepted()


class OperatorsSystem:
    """Implements `BookingBackend` without answers: the operator's own system answers over `/manage/v1`."""

    async def offer(self, *_: object) -> None:
        """See `BookingBackend.offer`."""

    async def book(self, *_: object) -> None:
        """See `BookingBackend.book`."""

    async def call_off(self, *_: object) -> None:
        """See `BookingBackend.call_off`."""

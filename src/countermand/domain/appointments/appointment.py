"""When does a technician visit the customer, and is that visit still active?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from countermand.domain.known import Unknown

AppointmentId = NewType("AppointmentId", int)
SlotId = NewType("SlotId", str)


class AppointmentState(StrEnum):
    """The states of a visit. Reserved, Booked and In Progress are documented; the others are inferred from its life."""

    RESERVED = "reserved"
    BOOKED = "booked"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


# Inferred (connect decision 5): a request for slots that was never booked is no appointment.
ACTIVE_APPOINTMENT_STATES: Final = frozenset(
    {AppointmentState.RESERVED, AppointmentState.BOOKED, AppointmentState.IN_PROGRESS}
)


class HalfDay(StrEnum):
    """The documented types of a slot (`slotType`)."""

    AM = "AM"
    PM = "PM"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A time at which a visit can be booked. Instants are UTC; `utc_offset` is the customer's offset at that time."""

    id: SlotId
    starts_at: datetime
    ends_at: datetime
    half_day: HalfDay | Unknown
    utc_offset: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Appointment:
    """A visit agreed for an order. Instants are UTC; an order has at most one active appointment.

    A visit that was booked has a slot; a visit that the operator agreed in another way has none. `remote_id` is the
    visit's name in the system that sends the technician. `cancelled_from` is the state before the end of its order
    cancelled the visit.
    """

    id: AppointmentId
    state: AppointmentState | Unknown
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None = None
    slot: Slot | None = None
    remote_id: str | None = None
    cancelled_from: AppointmentState | Unknown | None = None

    @property
    def is_active(self) -> bool:
        """Whether the visit is still to come or in progress; a visit that began and was not closed is active, too."""
        return self.state in ACTIVE_APPOINTMENT_STATES

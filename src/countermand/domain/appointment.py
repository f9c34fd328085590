"""When does somebody come to the customer, and does that visit still stand?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

AppointmentId = NewType("AppointmentId", int)


class AppointmentState(StrEnum):
    """Reserved, Booked and In Progress are documented; the others are inferred from the life of a visit."""

    RESERVED = "reserved"
    BOOKED = "booked"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


# Inferred (decision 5 of the connect contract): a request for slots that was never booked is no appointment at all.
ACTIVE_APPOINTMENT_STATES: Final = frozenset(
    {AppointmentState.RESERVED, AppointmentState.BOOKED, AppointmentState.IN_PROGRESS}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Appointment:
    """A visit agreed for an order. Instants are UTC; an order has at most one active appointment."""

    id: AppointmentId
    state: AppointmentState
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether the visit still stands. One that began and was not closed still does."""
        return self.state in ACTIVE_APPOINTMENT_STATES

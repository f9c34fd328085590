"""What is asked about an order's appointment, and may take a while to be answered?"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from countermand.domain.appointments.appointment import AppointmentId, Slot
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown
from countermand.domain.orders.order import OrderId

TaskId = NewType("TaskId", int)


class TaskKind(StrEnum):
    """What is wanted."""

    OFFER_SLOTS = "offer_slots"  # the contract's appointment-request
    BOOK = "book"
    CANCEL = "cancel"


class TaskState(StrEnum):
    """How far it is. Only an offer that nobody wants any more is withdrawn."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why something could not be done: a stable code, and a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppointmentTask:
    """Something asked about an order's appointment. Which of the fields are there depends on its kind and state.

    `from_date` is the customer's date on or after which slots are wanted, `slots` are those that were offered, or, of a
    booking, the one that is wanted, out of the offer `offer_id`. `appointment_id` is what was booked, or is to be
    cancelled.
    """

    id: TaskId
    order_id: OrderId
    client_id: ClientId
    kind: TaskKind | Unknown
    state: TaskState | Unknown
    asked_at: datetime
    answered_at: datetime | None = None
    from_date: date | None = None
    slots: tuple[Slot, ...] = ()
    offer_id: TaskId | None = None
    appointment_id: AppointmentId | None = None
    failure: Failure | None = None

    @property
    def wanted(self) -> Slot | None:
        """The slot that is to be booked."""
        return self.slots[0] if self.kind is TaskKind.BOOK else None

    def failed(self, failure: Failure, at: datetime) -> "AppointmentTask":
        """The same, answered with a no."""
        return replace(self, state=TaskState.FAILED, failure=failure, answered_at=at)

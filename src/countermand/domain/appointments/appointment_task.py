"""Which tasks exist about an order's appointment, and how far is each? An answer may take a while."""

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
    """The kinds of task."""

    OFFER_SLOTS = "offer_slots"  # the contract's appointment-request
    BOOK = "book"
    CANCEL = "cancel"


class TaskState(StrEnum):
    """The states of a task. Only an offer of slots can be withdrawn."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The reason why a task failed: a stable code, and a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppointmentTask:
    """A task about an order's appointment. Its kind and state decide which fields are set.

    `from_date` is the customer's date; slots are requested on or after that date. `slots` are the slots that were
    offered; for a booking, the single requested slot, out of the offer `offer_id`. `appointment_id` is the appointment
    that was booked or is to be cancelled.
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
        """The slot that is to be booked; None for other kinds of task."""
        return self.slots[0] if self.kind is TaskKind.BOOK else None

    def failed(self, failure: Failure, at: datetime) -> "AppointmentTask":
        """Return the task, answered with a failure."""
        return replace(self, state=TaskState.FAILED, failure=failure, answered_at=at)

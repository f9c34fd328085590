"""Protocols that the actions on appointments need: for the database, and for booking backends."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from countermand.domain.appointments.appointment import Appointment, AppointmentId, Slot, SlotId
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure, TaskId, TaskKind
from countermand.domain.orders.order import OrderId


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSlot:
    """A slot of the calendar for places that begin with `area`; `booked` of its `capacity` visits are taken."""

    slot: Slot
    area: str
    capacity: int
    booked: int = 0


class AppointmentReading(Protocol):
    """Reads appointments."""

    async def appointment(self, order_id: OrderId, appointment_id: AppointmentId) -> Appointment | None:
        """Return one appointment of an order, or None."""
        ...

    async def order_of_appointment(self, appointment_id: AppointmentId) -> OrderId | None:
        """Return the order of an appointment, or None."""
        ...

    async def active_appointment(self, order_id: OrderId) -> Appointment | None:
        """Return the order's active appointment, or None. An appointment in an unknown state comes first."""
        ...


class AppointmentWriting(AppointmentReading, Protocol):
    """Writes appointments. The caller has locked the order's row before."""

    async def insert_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """Add an appointment. The database allows at most one active appointment per order."""
        ...

    async def change_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """Overwrite the appointment with the same id."""
        ...


class TaskReading(Protocol):
    """Reads the tasks about appointments."""

    async def task(self, task_id: TaskId) -> AppointmentTask | None:
        """Return the task with this number, or None."""
        ...

    async def pending_task(self, order_id: OrderId, kind: TaskKind) -> AppointmentTask | None:
        """Return the order's oldest pending task of this kind, or None."""
        ...


class TaskWriting(TaskReading, Protocol):
    """Writes tasks. The caller has locked the order's row before."""

    async def insert_task(self, task: AppointmentTask) -> None:
        """Add a task."""
        ...

    async def change_task(self, task: AppointmentTask) -> None:
        """Overwrite the task with the same number."""
        ...


class CalendarReading(Protocol):
    """Reads the calendar."""

    async def open_slots(
        self, areas: Collection[str], from_date: date, after: datetime, at_most: int
    ) -> Sequence[Slot]:
        """Return the earliest slots with free capacity for one of `areas`, on or after the customer's `from_date`."""
        ...

    async def slots(self, after: tuple[datetime, SlotId] | None, at_most: int) -> Sequence[OpenSlot]:
        """Return the calendar by start and id, beginning behind the given (start, id)."""
        ...


class SlotLock(CalendarReading, Protocol):
    """Locks slots. The caller has locked the order's row before, if it locks any."""

    async def lock_slot(self, slot_id: SlotId) -> OpenSlot | None:
        """Lock a slot, so that no other transaction books in it, and return it with its booked visits."""
        ...


class CalendarWriting(SlotLock, Protocol):
    """Writes the calendar."""

    async def add_slot(self, wanted: OpenSlot) -> bool:
        """Add a slot; return False if a slot with this id exists, even if another transaction has just added it."""
        ...

    async def change_slot(self, wanted: OpenSlot) -> None:
        """Overwrite the slot with the same id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The task is done. `remote_id` is the visit's name in the system that sends the technician, if there is one."""

    remote_id: str | None = None


class BookingBackend(Protocol):
    """Answers tasks about appointments. None means that the answer comes later.

    Each method is called, and answers, in the transaction that has locked the order's row.
    """

    async def offer(self, tx: SlotLock, location_id: str, from_date: date, now: datetime) -> Sequence[Slot] | None:
        """Return slots for a location, on or after the customer's `from_date`."""
        ...

    async def book(self, tx: SlotLock, slot: Slot) -> Accepted | Failure | None:
        """Book a slot that was offered, or return why it cannot be booked."""
        ...

    async def call_off(self, appointment: Appointment, now: datetime) -> Accepted | Failure | None:
        """Call off an active visit, or return why it cannot be called off."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingTerms:
    """The booking backend, and the time from a request until its answer can be seen."""

    desk: BookingBackend
    answers_after: timedelta = timedelta()

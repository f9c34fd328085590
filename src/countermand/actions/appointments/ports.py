"""What do the actions on appointments need from outside? Protocols for the database, and for whoever answers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from countermand.domain.appointments.appointment import Appointment, AppointmentId, Slot, SlotId
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure, TaskId, TaskKind
from countermand.domain.orders.order import OrderId


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSlot:
    """A slot of the calendar: for places that begin with `area`, and `booked` of `capacity` visits stand in it."""

    slot: Slot
    area: str
    capacity: int
    booked: int = 0


class AppointmentReading(Protocol):
    """Reads of appointments, of what is asked about them, and of the calendar."""

    async def appointment(self, order_id: OrderId, appointment_id: AppointmentId) -> Appointment | None:
        """One appointment of an order."""
        ...

    async def order_of_appointment(self, appointment_id: AppointmentId) -> OrderId | None:
        """The order that an appointment is for."""
        ...

    async def task(self, task_id: TaskId) -> AppointmentTask | None:
        """What was asked under this number."""
        ...

    async def pending_tasks(self, after: TaskId, at_most: int) -> Sequence[AppointmentTask]:
        """What waits for an answer, by number, but for that which nothing can come of: see `arrange.answer_task`."""
        ...

    async def open_slots(
        self, areas: Collection[str], from_date: date, after: datetime, at_most: int
    ) -> Sequence[Slot]:
        """The earliest slots with room left for one of the `areas`, on or after the customer's `from_date`."""
        ...

    async def slots(self, after: tuple[datetime, SlotId] | None, at_most: int) -> Sequence[OpenSlot]:
        """The calendar, by start and id, from behind a (start, id) on."""
        ...


class AppointmentTransaction(AppointmentReading, Protocol):
    """Writes of the same. Whoever uses them has taken the order's row before, and takes a slot after it."""

    async def insert_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """Add an appointment. The database allows an order one active appointment at most."""
        ...

    async def change_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """Overwrite the appointment with the same id."""
        ...

    async def active_appointment(self, order_id: OrderId) -> Appointment | None:
        """The one that still stands, if any; before all, one in a state that this version does not know."""
        ...

    async def pending_task(self, order_id: OrderId, kind: TaskKind) -> AppointmentTask | None:
        """What of this kind waits for an answer."""
        ...

    async def insert_task(self, task: AppointmentTask) -> None:
        """Write down what is asked."""
        ...

    async def change_task(self, task: AppointmentTask) -> None:
        """Overwrite the task with the same number."""
        ...

    async def lock_slot(self, slot_id: SlotId) -> OpenSlot | None:
        """Take a slot, so that nobody else books in it meanwhile, and say how full it is."""
        ...

    async def add_slot(self, wanted: OpenSlot) -> bool:
        """Add a slot to the calendar; says no where there is one with the same id, be it of another transaction."""
        ...

    async def change_slot(self, wanted: OpenSlot) -> None:
        """Overwrite the slot with the same id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """It is done; `remote_id` is what the visit is called by whoever sends the technician, where that is somebody."""

    remote_id: str | None = None


class BookingBackend(Protocol):
    """Whoever answers what is asked about appointments. None is: not now, the answer comes later.

    Asked within the transaction that has taken the order's row, and answers in it.
    """

    async def offer(
        self, tx: AppointmentTransaction, location_id: str, from_date: date, now: datetime
    ) -> Sequence[Slot] | None:
        """Slots for a place, on or after the customer's `from_date`."""
        ...

    async def book(self, tx: AppointmentTransaction, slot: Slot) -> Accepted | Failure | None:
        """Take a slot that was offered, or say why it cannot be had."""
        ...

    async def call_off(self, appointment: Appointment, now: datetime) -> Accepted | Failure | None:
        """Let a visit that stands be called off, or say why not."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingTerms:
    """How appointments are arranged: who answers, and how long after the question an answer can be seen."""

    desk: BookingBackend
    answers_after: timedelta = timedelta()

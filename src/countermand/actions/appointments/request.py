"""Requests about a visit: for slots, for a booking, for calling a visit off. The answer comes at once or later.

Each action locks the order's row first. A request that the order's state does not allow is refused; a request that was
taken and cannot be carried out becomes a failed task, which the client finds under the task's number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from countermand.actions.appointments.ports import Accepted, BookingTerms, SlotLock, TaskReading, TaskWriting
from countermand.actions.appointments.set import (
    AppointmentTransaction,
    active_one,
    appointment_changed,
    check_open,
    standing,
)
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError, UnavailableError
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown
from countermand.actions.ports import NumberSource, Snapshots
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState, Slot, SlotId
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure, TaskId, TaskKind, TaskState
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import appointment_cancelled, appointment_set
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, transitions_from

_ORDER_ENDED = "order_ended"


class TaskTransaction(AppointmentTransaction, TaskWriting, SlotLock, OrderReading, Protocol):
    """Implemented by a transaction in which a request about a visit can be taken and answered."""


class TaskViews(TaskReading, OrderReading, Protocol):
    """Reads tasks and their orders."""


async def ask_for_slots(
    tx: TaskTransaction, booking: BookingTerms, client_id: ClientId, order_id: OrderId, from_date: date, now: datetime
) -> AppointmentTask:
    """Request slots for a visit, on or after the customer's `from_date`.

    Raises `NotFoundError`, or `ConflictError` with `order_ended`.
    """
    order = await locked(tx, order_id, owner=client_id)
    check_open(order)
    details = (await tx.views([order_id]))[order_id].service_details
    offered = await booking.desk.offer(tx, details.location_id or "", from_date, now)
    task = replace(await _new_task(tx, client_id, order, TaskKind.OFFER_SLOTS, now), from_date=from_date)
    if offered is not None:
        seen_from = now + booking.answers_after
        task = replace(task, state=TaskState.DONE, slots=tuple(offered), answered_at=seen_from)
    await tx.insert_task(task)
    return task


async def withdraw_offer(tx: TaskTransaction, client_id: ClientId, offer_id: TaskId) -> None:
    """Withdraw an offer, so that it can no longer be booked from. A booked visit stays. Raises `NotFoundError`."""
    offer, _ = await _own_task(tx, client_id, offer_id, TaskKind.OFFER_SLOTS)
    if offer.state in {TaskState.PENDING, TaskState.DONE}:
        await tx.change_task(replace(offer, state=TaskState.WITHDRAWN))


async def book(
    tx: TaskTransaction, booking: BookingTerms, actor: Actor, offer_id: TaskId, slot_id: SlotId, now: datetime
) -> AppointmentTask:
    """Request a booking in a slot that was offered.

    Raises `NotFoundError`, or `ConflictError` with `order_ended`, `has_appointment`, `booking_under_way`,
    `slot_not_offered`, `appointment_request_pending` or `appointment_request_cancelled`.
    """
    offer, order = await _own_task(tx, actor.client_id, offer_id, TaskKind.OFFER_SLOTS)
    check_open(order)
    slot = _slot_of(_seen(offer, order, now), slot_id)
    if (active := await standing(tx, order.id)) is not None:
        raise ConflictError("has_appointment", f"the order has the active appointment {active.id}; cancel that first")
    if (pending := await tx.pending_task(order.id, TaskKind.BOOK)) is not None:
        raise ConflictError("booking_under_way", f"the booking {pending.id} of this order has no answer yet")
    task = await _new_task(tx, actor.client_id, order, TaskKind.BOOK, now)
    task = replace(task, offer_id=offer_id, slots=(slot,))
    if slot.starts_at <= now:
        said: Accepted | Failure | None = Failure(code="slot_over", sentence=f"the slot {slot.id} has begun")
    else:
        said = await booking.desk.book(tx, slot)
    task = await _booked(tx, actor, order, task, slot, said, now)
    await tx.insert_task(_seen_later(task, booking))
    return task


async def ask_to_call_off(
    tx: TaskTransaction, booking: BookingTerms, actor: Actor, appointment_id: AppointmentId, now: datetime
) -> AppointmentTask:
    """Request that a visit is called off.

    Raises `NotFoundError`, or `ConflictError` with `appointment_over` or `cancellation_under_way`.
    """
    order_id = await tx.order_of_appointment(appointment_id)
    if order_id is None:
        raise NotFoundError("there is no such appointment")
    order = await locked(tx, order_id, owner=actor.client_id)
    appointment = await active_one(tx, order_id, appointment_id)
    if (pending := await tx.pending_task(order_id, TaskKind.CANCEL)) is not None:
        raise ConflictError("cancellation_under_way", f"the cancellation {pending.id} has no answer yet")
    task = await _new_task(tx, actor.client_id, order, TaskKind.CANCEL, now)
    task = replace(task, appointment_id=appointment_id)
    said = await booking.desk.call_off(appointment, now)
    task = await _called_off(tx, actor, order, task, appointment, said, now)
    await tx.insert_task(_seen_later(task, booking))
    return task


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotsOffered:
    """The operator's answer to a request for slots."""

    slots: Sequence[Slot]


async def answer_task(
    tx: TaskTransaction,
    actor: Actor,
    order_id: OrderId,
    task_id: TaskId,
    said: SlotsOffered | Accepted | Failure,
    now: datetime,
) -> AppointmentTask:
    """Store the answer of the operator's system. If the answer comes too late, the task fails in any case.

    Raises `NotFoundError`, `FieldsError` for an answer to another kind of task, `ConflictError` with
    `already_answered`.
    """
    order = await locked(tx, order_id)
    task = await tx.task(task_id)
    if task is None or task.order_id != order_id:
        raise NotFoundError("there is no such task")
    _check_known_task(task)
    if task.state is not TaskState.PENDING:
        raise ConflictError("already_answered", f"the task {task_id} is {task.state}")
    if _too_late(task.kind, order):
        said = _ended(order)
    match task.kind, said:
        case _, Failure():
            answered = task.failed(said, now)
        case TaskKind.OFFER_SLOTS, SlotsOffered(slots=slots):
            answered = replace(task, state=TaskState.DONE, slots=tuple(slots), answered_at=now)
        case TaskKind.BOOK, Accepted():
            answered = await _booked_later(tx, actor, order, task, said, now)
        case TaskKind.CANCEL, Accepted():
            answered = await _called_off_later(tx, actor, order, task, said, now)
        case _:
            raise FieldsError(
                [("body", f"the answer does not fit the task, which is to {task.kind}; nothing was recorded")]
            )
    await tx.change_task(answered)
    return answered


async def read_task(
    store: Snapshots[TaskViews], client_id: ClientId, task_id: TaskId, kind: TaskKind, now: datetime
) -> tuple[AppointmentTask, OrderView]:
    """Return a client's own task as it can be seen now, and its order. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        task = await reading.task(task_id)
        if task is None or task.kind is not kind:
            raise NotFoundError("there is no such request")
        view = (await reading.views([task.order_id]))[task.order_id]
    if view.order.client_id != client_id or not is_shown(view):
        raise NotFoundError("there is no such request")
    return _seen(task, view.order, now), view


def _seen(task: AppointmentTask, order: Order, now: datetime) -> AppointmentTask:
    """Return a task as clients see it: answers are shown from their instant on; a task that is too late has failed."""
    if task.state in {TaskState.DONE, TaskState.FAILED} and task.answered_at is not None and task.answered_at > now:
        return replace(task, state=TaskState.PENDING)
    if task.state is TaskState.PENDING and _too_late(task.kind, order):
        return task.failed(_ended(order), now)
    if isinstance(task.state, Unknown):  # another node may know the state, so the client shall ask again
        return replace(task, state=TaskState.PENDING)
    return task


def _too_late(kind: TaskKind | Unknown, order: Order) -> bool:
    """Return whether a task can no longer succeed. An active visit can be called off even after the service runs."""
    if isinstance(order.state, Unknown):
        return False
    return order.state in ENDED_UNFULFILLED if kind is TaskKind.CANCEL else not transitions_from(order.state)


def _check_known_task(task: AppointmentTask) -> None:
    if isinstance(task.kind, Unknown) or isinstance(task.state, Unknown):
        said = f"the task {task.id} is to {task.kind} and is {task.state}, which this node does not know"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")


def _seen_later(task: AppointmentTask, booking: BookingTerms) -> AppointmentTask:
    if task.answered_at is None:
        return task
    return replace(task, answered_at=task.answered_at + booking.answers_after)


def _ended(order: Order) -> Failure:
    return Failure(code=_ORDER_ENDED, sentence=f"the order is {order.state}")


async def _new_task(
    tx: NumberSource, client_id: ClientId, order: Order, kind: TaskKind, now: datetime
) -> AppointmentTask:
    return AppointmentTask(
        id=TaskId(await tx.next_number("task")),
        order_id=order.id,
        client_id=client_id,
        kind=kind,
        state=TaskState.PENDING,
        asked_at=now,
    )


async def _own_task(
    tx: TaskTransaction, client_id: ClientId, task_id: TaskId, kind: TaskKind
) -> tuple[AppointmentTask, Order]:
    """Return a client's own task and its order. The task is read again after the lock, because it may have changed."""
    task = await tx.task(task_id)
    if task is None or task.kind is not kind:
        raise NotFoundError("there is no such request")
    order = await locked(tx, task.order_id, owner=client_id)
    task = await tx.task(task_id)
    assert task is not None, "tasks are not taken back"
    _check_known_task(task)
    return task, order


def _slot_of(offer: AppointmentTask, slot_id: SlotId) -> Slot:
    if offer.state is TaskState.PENDING:
        raise ConflictError("appointment_request_pending", f"the appointment-request {offer.id} has no slots yet")
    if offer.state is TaskState.WITHDRAWN:
        raise ConflictError("appointment_request_cancelled", f"the appointment-request {offer.id} was cancelled")
    slot = next((one for one in offer.slots if one.id == slot_id), None)
    if slot is None:
        raise ConflictError("slot_not_offered", f"the appointment-request {offer.id} did not offer the slot {slot_id}")
    return slot


async def _booked(
    tx: TaskTransaction,
    actor: Actor,
    order: Order,
    task: AppointmentTask,
    slot: Slot,
    said: Accepted | Failure | None,
    now: datetime,
) -> AppointmentTask:
    if said is None:
        return task
    if isinstance(said, Failure):
        return task.failed(said, now)
    appointment = Appointment(
        id=AppointmentId(await tx.next_number("appointment")),
        state=AppointmentState.BOOKED,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        slot=slot,
        remote_id=said.remote_id,
    )
    await tx.insert_appointment(order.id, appointment)
    await appointment_changed(tx, actor, order, slot.starts_at, appointment_set(appointment), now)
    return replace(task, state=TaskState.DONE, appointment_id=appointment.id, answered_at=now)


async def _booked_later(
    tx: TaskTransaction, actor: Actor, order: Order, task: AppointmentTask, said: Accepted, now: datetime
) -> AppointmentTask:
    if (active := await standing(tx, order.id)) is not None:  # the operator agreed a visit in the meantime
        sentence = f"the order has the active appointment {active.id}"
        return task.failed(Failure(code="has_appointment", sentence=sentence), now)
    slot = task.wanted
    assert slot is not None, "a booking wants a slot"
    return await _booked(tx, actor, order, task, slot, said, now)


async def _called_off(
    tx: TaskTransaction,
    actor: Actor,
    order: Order,
    task: AppointmentTask,
    appointment: Appointment,
    said: Accepted | Failure | None,
    now: datetime,
) -> AppointmentTask:
    if said is None:
        return task
    if isinstance(said, Failure):
        return task.failed(said, now)
    after = replace(appointment, state=AppointmentState.CANCELLED, cancelled_at=now)
    await tx.change_appointment(order.id, after)
    await appointment_changed(tx, actor, order, None, appointment_cancelled(after), now)
    return replace(task, state=TaskState.DONE, answered_at=now)


async def _called_off_later(
    tx: TaskTransaction, actor: Actor, order: Order, task: AppointmentTask, said: Accepted, now: datetime
) -> AppointmentTask:
    assert task.appointment_id is not None
    try:
        appointment = await active_one(tx, order.id, task.appointment_id)
    except ConflictError as error:  # the visit ended in another way in the meantime
        return task.failed(Failure(code=error.code, sentence=str(error)), now)
    return await _called_off(tx, actor, order, task, appointment, said, now)

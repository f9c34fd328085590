"""Agrees, moves and calls off visits. Each action locks the order's row first, so it never races a cancellation."""

from dataclasses import replace
from datetime import datetime
from typing import Protocol

from countermand.actions.appointments.ports import AppointmentReading, AppointmentWriting
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError, UnavailableError
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ordering.ports import OrderChange
from countermand.actions.ports import NumberSource
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.known import Unknown
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import (
    OrderEvent,
    appointment_advanced,
    appointment_cancelled,
    appointment_moved,
    appointment_set,
)
from countermand.domain.orders.order_state import transitions_from


class AppointmentTransaction(AppointmentWriting, OrderChange, NumberSource, Protocol):
    """Implemented by a transaction in which a visit can be agreed, moved and called off."""


async def set_appointment(
    tx: AppointmentTransaction,
    actor: Actor,
    order_id: OrderId,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> Appointment:
    """Agree a visit. Raises `NotFoundError`, `FieldsError`, `ConflictError` with `order_ended` or `has_appointment`."""
    order = await locked(tx, order_id)
    _check_times(starts_at, ends_at)
    check_open(order)
    if (active := await standing(tx, order_id)) is not None:
        raise ConflictError("has_appointment", f"the order has the active appointment {active.id}; move or cancel that")
    appointment = Appointment(
        id=AppointmentId(await tx.next_number("appointment")),
        state=AppointmentState.BOOKED,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    await tx.insert_appointment(order_id, appointment)
    await appointment_changed(tx, actor, order, starts_at, appointment_set(appointment), now)
    return appointment


async def move_appointment(
    tx: AppointmentTransaction,
    actor: Actor,
    order_id: OrderId,
    appointment_id: AppointmentId,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> Appointment:
    """Give a visit another time. Raises as `set_appointment`, or `ConflictError` with `appointment_over`."""
    order = await locked(tx, order_id)
    _check_times(starts_at, ends_at)
    check_open(order)
    before = await active_one(tx, order_id, appointment_id)
    after = replace(before, starts_at=starts_at, ends_at=ends_at, slot=None)  # this frees its place in the slot
    await tx.change_appointment(order_id, after)
    fact = appointment_moved(after, before.starts_at)
    await appointment_changed(tx, actor, order, starts_at, fact, now)
    return after


async def cancel_appointment(
    tx: AppointmentTransaction, actor: Actor, order_id: OrderId, appointment_id: AppointmentId, now: datetime
) -> Appointment:
    """Call a visit off. Raises `NotFoundError`, or `ConflictError` with `appointment_over`."""
    order = await locked(tx, order_id)
    before = await active_one(tx, order_id, appointment_id)
    after = replace(before, state=AppointmentState.CANCELLED, cancelled_at=now)
    await tx.change_appointment(order_id, after)
    await appointment_changed(tx, actor, order, None, appointment_cancelled(after), now)
    return after


async def advance_appointment(
    tx: AppointmentTransaction,
    actor: Actor,
    order_id: OrderId,
    appointment_id: AppointmentId,
    state: AppointmentState,
    now: datetime,
) -> Appointment:
    """Set the state of a visit to in_progress, completed or incomplete. A visit that is over is no longer active.

    Raises `NotFoundError`, or `ConflictError` with `appointment_over`.
    """
    order = await locked(tx, order_id)
    before = await active_one(tx, order_id, appointment_id)
    after = replace(before, state=state)
    await tx.change_appointment(order_id, after)
    stands_from = after.starts_at if after.is_active else None
    await appointment_changed(tx, actor, order, stands_from, appointment_advanced(after, before.state), now)
    return after


async def active_one(tx: AppointmentReading, order_id: OrderId, appointment_id: AppointmentId) -> Appointment:
    """Return an active visit. Raises `NotFoundError`, or `ConflictError` with `appointment_over`.

    Raises `UnavailableError` for a visit in a state that this version does not know.
    """
    appointment = await tx.appointment(order_id, appointment_id)
    if appointment is None:
        raise NotFoundError("there is no such appointment")
    check_known_visit(appointment)
    if not appointment.is_active:
        raise ConflictError("appointment_over", f"the appointment {appointment_id} is {appointment.state}")
    return appointment


async def standing(tx: AppointmentReading, order_id: OrderId) -> Appointment | None:
    """Return the order's active appointment, or None. Raises `UnavailableError` if its state is unknown."""
    appointment = await tx.active_appointment(order_id)
    if appointment is not None:
        check_known_visit(appointment)
    return appointment


def check_known_visit(appointment: Appointment) -> None:
    """Raise `UnavailableError` for a visit in a state that this version does not know."""
    if isinstance(appointment.state, Unknown):
        said = f"the appointment {appointment.id} is {appointment.state}, which this node does not know"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")


async def appointment_changed(
    tx: OrderChange, actor: Actor, order: Order, starts_at: datetime | None, event: OrderEvent, now: datetime
) -> None:
    """Update a locked order's facts for its active appointment, and append the event."""
    changed = await tx.change_order(order, replace(order.facts, appointment_starts_at=starts_at))
    await tx.append_events(changed, actor, [event], now)


def check_open(order: Order) -> None:
    """Raise `ConflictError` with `order_ended` unless the order still has a possible transition."""
    if not transitions_from(order.state):
        raise ConflictError("order_ended", f"the order is {order.state}; no appointment was made")


def _check_times(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        said = ends_at.isoformat()
        raise FieldsError([("ends_at", f"ends_at must lie after starts_at ({starts_at.isoformat()}), not on {said}")])

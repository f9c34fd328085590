"""What are others told? One value for each thing that happens to an order; the outbox holds them until delivered."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from countermand.domain.appointments.appointment import Appointment, AppointmentState
from countermand.domain.known import Unknown
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment


class FactKind(StrEnum):
    """The names of the facts, as subscribers see them."""

    ORDER_PLACED = "order.placed"
    ORDER_ADVANCED = "order.advanced"
    ORDER_CANCELLED = "order.cancelled"
    APPOINTMENT_SET = "appointment.set"
    APPOINTMENT_MOVED = "appointment.moved"
    APPOINTMENT_ADVANCED = "appointment.advanced"
    APPOINTMENT_CANCELLED = "appointment.cancelled"
    PAYMENT_RECORDED = "payment.recorded"
    LATE_MONEY_RECEIVED = "payment.late"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that happened to an order. An order's version and the kind name it: nothing is ever told twice."""

    kind: FactKind
    details: dict[str, Any]


def order_placed(state: OrderState | Unknown) -> Fact:
    """An order came into being."""
    return Fact(kind=FactKind.ORDER_PLACED, details={"state": state})


def order_advanced(before: OrderState | Unknown, after: OrderState) -> Fact:
    """An order's state changed, other than by a cancellation."""
    return Fact(kind=FactKind.ORDER_ADVANCED, details={"from": before, "to": after})


def order_cancelled(before: OrderState | Unknown, reason: str | None) -> Fact:
    """An order was cancelled."""
    return Fact(kind=FactKind.ORDER_CANCELLED, details={"from": before, "reason": reason})


def appointment_set(appointment: Appointment) -> Fact:
    """A visit was agreed."""
    return Fact(kind=FactKind.APPOINTMENT_SET, details=_visit(appointment))


def appointment_moved(appointment: Appointment, starts_before: datetime) -> Fact:
    """A visit was moved; `details` has the new times and the old start."""
    return Fact(kind=FactKind.APPOINTMENT_MOVED, details={**_visit(appointment), "from": starts_before})


def appointment_advanced(appointment: Appointment, before: AppointmentState | Unknown) -> Fact:
    """A visit began, or ended one way or the other."""
    return Fact(
        kind=FactKind.APPOINTMENT_ADVANCED,
        details={**_visit(appointment), "from": before, "to": appointment.state},
    )


def appointment_cancelled(appointment: Appointment) -> Fact:
    """A visit will not happen: cancelled by itself, or released by its order's end."""
    return Fact(kind=FactKind.APPOINTMENT_CANCELLED, details=_visit(appointment))


def payment_recorded(payment: Payment) -> Fact:
    """Money came in: in time, or, as a kind of its own, too late."""
    kind = FactKind.LATE_MONEY_RECEIVED if payment.is_late else FactKind.PAYMENT_RECORDED
    money = payment.money
    return Fact(
        kind=kind,
        details={"reference": payment.reference, "amount_minor": money.minor, "currency": money.currency},
    )


def _visit(appointment: Appointment) -> dict[str, Any]:
    return {
        "appointment_id": appointment.id,
        "starts_at": appointment.starts_at,
        "ends_at": appointment.ends_at,
    }

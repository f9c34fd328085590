"""What do others learn of an order? Each change is an event; the outbox holds the events until they are delivered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from countermand.domain.appointments.appointment import Appointment, AppointmentState
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.staff_id import StaffId

_APPROVED_BY: Final = "approved_by"


class OrderEventKind(StrEnum):
    """The names of the events, as subscribers see them."""

    ORDER_PLACED = "order.placed"
    ORDER_ADVANCED = "order.advanced"
    ORDER_EXPIRED = "order.expired"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_RESTORED = "order.restored"
    APPOINTMENT_SET = "appointment.set"
    APPOINTMENT_MOVED = "appointment.moved"
    APPOINTMENT_ADVANCED = "appointment.advanced"
    APPOINTMENT_CANCELLED = "appointment.cancelled"
    PAYMENT_RECORDED = "payment.recorded"
    LATE_MONEY_RECEIVED = "payment.late"
    PAYMENT_VOIDED = "payment.voided"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_CHARGED_BACK = "payment.charged_back"
    REFUND_DUE = "refund.due"
    REFUND_FAILED = "refund.failed"


# The order of the events of one version of an order: what came in stands before what the order became by it, the order
# before its visits, and what is due because of it last.
ORDER_WITHIN_A_VERSION: Final = (
    OrderEventKind.ORDER_PLACED,
    OrderEventKind.PAYMENT_RECORDED,
    OrderEventKind.LATE_MONEY_RECEIVED,
    OrderEventKind.PAYMENT_VOIDED,
    OrderEventKind.PAYMENT_CHARGED_BACK,
    OrderEventKind.PAYMENT_REFUNDED,
    OrderEventKind.REFUND_FAILED,
    OrderEventKind.ORDER_ADVANCED,
    OrderEventKind.ORDER_EXPIRED,
    OrderEventKind.ORDER_CANCELLED,
    OrderEventKind.ORDER_RESTORED,
    OrderEventKind.APPOINTMENT_SET,
    OrderEventKind.APPOINTMENT_MOVED,
    OrderEventKind.APPOINTMENT_ADVANCED,
    OrderEventKind.APPOINTMENT_CANCELLED,
    OrderEventKind.REFUND_DUE,
)
_PLACES: Final = {kind.value: place for place, kind in enumerate(ORDER_WITHIN_A_VERSION)}


def place_in_version(kind: str) -> tuple[int, str]:
    """Return the place of a kind among the events of one version. The kinds of newer versions come last, by name."""
    return _PLACES.get(kind, len(_PLACES)), kind


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderEvent:
    """Something that happened to an order.

    The order's version and the kind identify it, so that no event counts twice.
    """

    kind: OrderEventKind
    details: dict[str, object]


def order_placed(state: OrderState | Unknown) -> OrderEvent:
    """An order was placed."""
    return OrderEvent(kind=OrderEventKind.ORDER_PLACED, details={"state": state})


def order_advanced(before: OrderState | Unknown, after: OrderState) -> OrderEvent:
    """An order's state changed, other than by a cancellation or an expiry."""
    return OrderEvent(kind=OrderEventKind.ORDER_ADVANCED, details={"from": before, "to": after})


def order_expired(before: OrderState | Unknown) -> OrderEvent:
    """An order was not paid in time. Nodes of older versions wrote `order.advanced` with `expired` instead."""
    return OrderEvent(kind=OrderEventKind.ORDER_EXPIRED, details={"from": before})


def without_people(details: Mapping[str, object]) -> Mapping[str, object]:
    """Return the details of an event as a partner may see them: they name no person who works for the operator."""
    return {name: value for name, value in details.items() if name != _APPROVED_BY}


def order_cancelled(before: OrderState | Unknown, reason: str | None, approved_by: StaffId | None = None) -> OrderEvent:
    """An order was cancelled. `approved_by` is the second person, if the cancellation needed one."""
    details: dict[str, object] = {"from": before, "reason": reason}
    if approved_by is not None:
        details[_APPROVED_BY] = approved_by
    return OrderEvent(kind=OrderEventKind.ORDER_CANCELLED, details=details)


def order_restored(after: OrderState | Unknown, reason: str) -> OrderEvent:
    """The cancellation of an order was undone."""
    details: dict[str, object] = {"from": OrderState.CANCELLED, "to": after, "reason": reason}
    return OrderEvent(kind=OrderEventKind.ORDER_RESTORED, details=details)


def appointment_set(appointment: Appointment) -> OrderEvent:
    """A visit was agreed."""
    return OrderEvent(kind=OrderEventKind.APPOINTMENT_SET, details=_visit(appointment))


def appointment_moved(appointment: Appointment, starts_before: datetime) -> OrderEvent:
    """A visit was moved; `details` has the new times and the old start."""
    return OrderEvent(kind=OrderEventKind.APPOINTMENT_MOVED, details={**_visit(appointment), "from": starts_before})


def appointment_advanced(appointment: Appointment, before: AppointmentState | Unknown) -> OrderEvent:
    """A visit began, or ended with or without success."""
    return OrderEvent(
        kind=OrderEventKind.APPOINTMENT_ADVANCED,
        details={**_visit(appointment), "from": before, "to": appointment.state},
    )


def appointment_cancelled(appointment: Appointment) -> OrderEvent:
    """A visit will not take place: it was cancelled itself, or its order ended."""
    return OrderEvent(kind=OrderEventKind.APPOINTMENT_CANCELLED, details=_visit(appointment))


def payment_recorded(payment: Payment) -> OrderEvent:
    """A payment was recorded. Money that came too late has a kind of its own."""
    kind = OrderEventKind.LATE_MONEY_RECEIVED if payment.is_late else OrderEventKind.PAYMENT_RECORDED
    return OrderEvent(kind=kind, details=_money(payment.reference, payment.money))


def payment_voided(payment: Payment, reason: str) -> OrderEvent:
    """A payment never happened."""
    details = {**_money(payment.reference, payment.money), "reason": reason}
    return OrderEvent(kind=OrderEventKind.PAYMENT_VOIDED, details=details)


def payment_refunded(reference: str, money: Money, reason: str) -> OrderEvent:
    """Money was paid back."""
    return OrderEvent(kind=OrderEventKind.PAYMENT_REFUNDED, details={**_money(reference, money), "reason": reason})


def payment_charged_back(reference: str, money: Money, reason: str) -> OrderEvent:
    """The payer's bank has taken money back."""
    return OrderEvent(kind=OrderEventKind.PAYMENT_CHARGED_BACK, details={**_money(reference, money), "reason": reason})


def refund_due(amounts: Iterable[Money], reason: str | None) -> OrderEvent:
    """The end of an order left money that must be paid back: one amount for each currency."""
    shown = [{"amount_minor": one.minor, "currency": one.currency} for one in amounts]
    return OrderEvent(kind=OrderEventKind.REFUND_DUE, details={"amounts": shown, "reason": reason})


def refund_failed(reference: str, money: Money, reason: str) -> OrderEvent:
    """Money that was paid back came back, and must be paid back again."""
    return OrderEvent(kind=OrderEventKind.REFUND_FAILED, details={**_money(reference, money), "reason": reason})


def _money(reference: str, money: Money) -> dict[str, object]:
    return {"reference": reference, "amount_minor": money.minor, "currency": money.currency}


def _visit(appointment: Appointment) -> dict[str, object]:
    return {
        "appointment_id": appointment.id,
        "starts_at": appointment.starts_at,
        "ends_at": appointment.ends_at,
    }

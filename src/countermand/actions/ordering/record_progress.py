"""Records what happened to an order elsewhere: it advanced, or it was paid.

Each action locks the order's row first, and only then reads, writes, updates the order's facts and raises its version.
So such an action and a cancellation of the same order run one after the other, and never mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from countermand.actions.appointments.ports import AppointmentWriting
from countermand.actions.appointments.set import standing
from countermand.actions.errors import ConflictError, FieldsError
from countermand.actions.ordering.account import is_refunded
from countermand.actions.ordering.correction_ports import CorrectionReading
from countermand.actions.ordering.lock_order import known_total, locked, locked_to_pay
from countermand.actions.ordering.ports import OrderChange, OrderToPay, PaymentReading, PaymentWriting
from countermand.actions.ordering.views import OrderView
from countermand.actions.ticketing.ports import TicketRelease
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentState
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import (
    OrderEvent,
    appointment_cancelled,
    order_advanced,
    order_expired,
    payment_recorded,
)
from countermand.domain.orders.order_state import (
    ENDED_UNFULFILLED,
    NO_MOVES,
    OrderState,
    Transition,
    state_after,
    transitions_from,
)
from countermand.domain.orders.payment import Payment


class ProgressTransaction(OrderChange, AppointmentWriting, TicketRelease, Protocol):
    """Implemented by a transaction in which an order can advance."""


class PaymentTransaction(OrderChange, PaymentWriting, CorrectionReading, Protocol):
    """Implemented by a transaction in which a payment can be recorded."""


async def advance_order(
    tx: ProgressTransaction, actor: Actor, order_id: OrderId, move: Transition, now: datetime
) -> Order:
    """Move an order to its next state by the table of transitions. An order that ends frees its tickets and visit.

    Raises `NotFoundError`, or `ConflictError` with `use_cancel`, `move_not_allowed` or `order_paid`.
    """
    order = await locked(tx, order_id)
    if move is Transition.CANCEL:
        raise ConflictError(
            "use_cancel", "the order was not changed; cancel an order with the cancel call, where the policy decides"
        )
    after = None if move in NO_MOVES else state_after(order.state, move)
    if after is None:
        allowed = ", ".join(sorted(transitions_from(order.state).keys() - NO_MOVES)) or "nothing"
        raise ConflictError("move_not_allowed", f"the order is {order.state} and cannot {move}; it can: {allowed}")
    if after in ENDED_UNFULFILLED and order.facts.first_payment_at is not None:
        raise ConflictError("order_paid", f"a payment is recorded for the order, so it cannot {move}")
    return await _advance(tx, actor, order, after, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedPayment:
    """A recorded payment; `repeated` if the provider had reported it before."""

    payment: Payment
    order: Order
    repeated: bool


async def record_payment(
    tx: PaymentTransaction, actor: Actor, order_id: OrderId, reference: str, money: Money, now: datetime
) -> RecordedPayment:
    """Record money that came in. For a repeated reference, return the first payment.

    A ticket order is completed when its whole total is paid, in its currency. A payment of a part leaves it pending,
    and it can then neither expire nor be cancelled. The payment of an order that has ended is stored as late money,
    which never reopens the order: the caller answers with a refusal, and the record stays. The reference of a payment
    that was voided can be recorded for another order. Raises `NotFoundError`, `FieldsError` for an amount of 0, or
    `ConflictError` with `payment_reference_used` or `payment_voided`.
    """
    check_not_nothing(money, "a payment of 0 is not recorded; an order that costs nothing needs none")
    to_pay = await locked_to_pay(tx, order_id)
    if (recorded := await _recorded(tx, to_pay.order, reference)) is not None:
        if recorded.money != money:
            raise _reference_used(reference)
        return RecordedPayment(payment=recorded, order=to_pay.order, repeated=True)
    is_late = to_pay.order.state in ENDED_UNFULFILLED
    payment = Payment(reference=reference, money=money, recorded_at=now, is_late=is_late)
    left = await _left_of(tx, to_pay) if to_pay.order.state is OrderState.PENDING else None
    changed = await _record(tx, actor, to_pay.order, payment, left)
    return RecordedPayment(payment=payment, order=changed, repeated=False)


async def pay_in_sandbox(tx: PaymentTransaction, order_id: OrderId, now: datetime) -> bool:
    """Pay the rest of a ticket order's total, on the sandbox's page; a repeat pays nothing more.

    Return False and change nothing if the order cannot be paid.
    """
    to_pay = await locked_to_pay(tx, order_id)
    order, reference = to_pay.order, f"sandbox-{to_pay.order.uid}"
    if order.state is not OrderState.PENDING:
        its = await tx.payments_of(order_id)
        return any(one.reference.startswith(reference) and one.voided_at is None for one in its)
    if not await tx.claim_reference(reference, order_id):  # an earlier payment on the page was voided or refunded
        reference = f"{reference}-{len(await tx.payments_of(order_id)) + 1}"
        if not await tx.claim_reference(reference, order_id):
            raise _reference_used(reference)
    left = await _left_of(tx, to_pay)
    payment = Payment(reference=reference, money=left, recorded_at=now, is_late=False)
    await _record(tx, Actor(order.client_id), order, payment, left)
    return True


async def left_to_pay(reading: PaymentReading, view: OrderView) -> Money:
    """Return the unpaid rest of a ticket order's total, in its currency. A part that was refunded is unpaid again."""
    return await _left(reading, view.order.id, view.ticket_details.total)


def check_not_nothing(money: Money, said: str) -> None:
    """Raise `FieldsError` for an amount of 0."""
    if money.minor == 0:
        raise FieldsError([("amount", f"amount must be more than 0, not {money}: {said}")])


async def _recorded(tx: PaymentTransaction, order: Order, reference: str) -> Payment | None:
    """Return the order's payment under a reference, or claim the reference for the order and return None.

    Raises `ConflictError` if the reference is another order's, or that of a voided payment of this order.
    """
    if await tx.claim_reference(reference, order.id):
        return None  # no order had it, so nothing is recorded under it
    found = await tx.payment(reference)
    assert found is not None, "claims are never taken back"
    of_order, recorded = found
    if of_order == order.id and (recorded is None or recorded.voided_at is None):
        return recorded
    if any(one.reference == reference for one in await tx.payments_of(order.id)):
        raise ConflictError(
            "payment_voided",
            f"the payment {reference} of this order was voided; nothing was recorded; record the payment that was made "
            "under its own reference",
        )
    # A void stays, so the reference is free if its payment was voided. Of several orders, the first to move it has it.
    is_free = recorded is not None and recorded.voided_at is not None
    if not (is_free and await tx.move_reference(reference, of_order, order.id)):
        raise _reference_used(reference)
    return None


def _reference_used(reference: str) -> ConflictError:
    return ConflictError(
        "payment_reference_used",
        f"the reference {reference} is another payment's; nothing was recorded; use this payment's own reference",
    )


async def _record(tx: PaymentTransaction, actor: Actor, order: Order, payment: Payment, left: Money | None) -> Order:
    """Write a payment and change its order. `left` is the rest of a pending order's total before this payment."""
    await tx.insert_payment(order.id, payment)
    events, after = [payment_recorded(payment)], order.facts
    if not payment.is_late:
        # The clocks of two nodes differ: the payment that was recorded first may have the later instant.
        earliest = min(after.first_payment_at or payment.recorded_at, payment.recorded_at)
        refunded = after.refunded_in_full and await is_refunded(tx, order.id)
        after = replace(after, first_payment_at=earliest, refunded_in_full=refunded)
    if left is not None:
        counts = payment.money.minor if payment.money.currency == left.currency else 0
        if counts >= left.minor:
            after = replace(after, state=OrderState.COMPLETED)
            events.append(order_advanced(order.state, OrderState.COMPLETED))
    changed = await tx.change_order(order, after)
    await tx.append_events(changed, actor, events, payment.recorded_at)
    return changed


async def _left_of(tx: PaymentTransaction, to_pay: OrderToPay) -> Money:
    """Return the unpaid rest of a locked order's total. Raises `UnavailableError` if the total cannot be read here."""
    return await _left(tx, to_pay.order.id, known_total(to_pay))


async def _left(reading: PaymentReading, order_id: OrderId, total: Money) -> Money:
    paid_minor = await reading.paid_minor(order_id, total.currency)
    return Money(minor=min(total.minor, max(0, total.minor - paid_minor)), currency=total.currency)


async def _advance(tx: ProgressTransaction, actor: Actor, order: Order, after: OrderState, now: datetime) -> Order:
    expires = after is OrderState.EXPIRED
    events = [order_expired(order.state) if expires else order_advanced(order.state, after)]
    if after in ENDED_UNFULFILLED:
        return await end_order(tx, actor, order, after, events, now)
    changed = await tx.change_order(order, replace(order.facts, state=after))
    await tx.append_events(changed, actor, events, now)
    return changed


async def end_order(
    tx: ProgressTransaction, actor: Actor, order: Order, after: OrderState, events: Sequence[OrderEvent], now: datetime
) -> Order:
    """End a locked order unfulfilled, which frees its visit and its tickets. The visit's event joins `events`."""
    changes = replace(order.facts, state=after)
    if (active := await standing(tx, order.id)) is not None:
        released = replace(active, state=AppointmentState.CANCELLED, cancelled_at=now, cancelled_from=active.state)
        await tx.change_appointment(order.id, released)
        events = [*events, appointment_cancelled(released)]
        changes = replace(changes, appointment_starts_at=None)
    await tx.release_tickets(order.id)
    changed = await tx.change_order(order, changes)
    await tx.append_events(changed, actor, events, now)
    return changed

"""Record what happened to an order elsewhere: it advanced, or it was paid.

Each takes the order's row first, and only then reads, writes, brings the order's facts up to date and raises its
version. So each of them and a cancellation come one after the other, never half of each.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from countermand.actions.appointments.set import standing
from countermand.actions.errors import ConflictError
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ports import OrderView, Reading, Transaction
from countermand.domain.appointments.appointment import AppointmentState
from countermand.domain.client import ClientId
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import appointment_cancelled, order_advanced, payment_recorded
from countermand.domain.orders.order_state import (
    ENDED_UNFULFILLED,
    OrderState,
    Transition,
    state_after,
    transitions_from,
)
from countermand.domain.orders.payment import Payment


async def advance_order(
    tx: Transaction, client_id: ClientId, order_id: OrderId, move: Transition, now: datetime
) -> Order:
    """Move an order to its next state, as the table of moves has it. An order that ends gives back what it held.

    Raises `NotFoundError`, or `ConflictError` with `use_cancel`, `move_not_allowed` or `order_paid`.
    """
    order = await locked(tx, order_id)
    if move is Transition.CANCEL:
        raise ConflictError("use_cancel", "an order is cancelled by its own call, which asks the policy")
    after = state_after(order.state, move)
    if after is None:
        allowed = ", ".join(sorted(transitions_from(order.state).keys() - {Transition.CANCEL})) or "nothing"
        raise ConflictError("move_not_allowed", f"an order that is {order.state} cannot {move}; it can: {allowed}")
    if after in ENDED_UNFULFILLED and order.facts.first_payment_at is not None:
        raise ConflictError(
            "order_paid", f"money came in for the order, so it cannot {move}, as it cannot be cancelled"
        )
    return await _advance(tx, client_id, order, after, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedPayment:
    """The payment as it stands recorded; `repeated` when the provider had reported it before."""

    payment: Payment
    order: Order
    repeated: bool


async def record_payment(
    tx: Transaction, client_id: ClientId, order_id: OrderId, reference: str, money: Money, now: datetime
) -> RecordedPayment:
    """Record money that came in; a repeat of a reference gives the first.

    A ticket order is completed once all of it is paid, in its currency: until then it stays pending, and neither
    expires nor can be cancelled. For an order that has ended the payment is kept as late money, which never revives
    the order: the caller answers that with a refusal, but the record stays. Raises `NotFoundError`, or `ConflictError`
    with `payment_reference_used`.
    """
    order = await locked(tx, order_id)
    of_order = await tx.claim_reference(reference, order_id)
    recorded = await tx.payment(order_id, reference)
    if of_order != order_id or (recorded is not None and recorded.money != money):
        raise ConflictError("payment_reference_used", f"the reference {reference} stands for another payment")
    if recorded is not None:
        return RecordedPayment(payment=recorded, order=order, repeated=True)
    payment = Payment(reference=reference, money=money, recorded_at=now, is_late=order.state in ENDED_UNFULFILLED)
    await tx.insert_payment(order_id, payment)
    if payment.is_late:
        changed = await tx.change_order(order, order.facts)
        await tx.append_events(changed, client_id, [payment_recorded(payment)], now)
        return RecordedPayment(payment=payment, order=changed, repeated=False)
    events = [payment_recorded(payment)]
    # The clocks of two nodes differ: the payment that was recorded first may have the later instant.
    after = replace(order.facts, first_payment_at=min(order.facts.first_payment_at or now, now))
    if order.state is OrderState.PENDING and (await _left_to_pay_of(tx, order_id)).minor == 0:
        after = replace(after, state=OrderState.COMPLETED)
        events.append(order_advanced(order.state, OrderState.COMPLETED))
    changed = await tx.change_order(order, after)
    await tx.append_events(changed, client_id, events, now)
    return RecordedPayment(payment=payment, order=changed, repeated=False)


async def pay_in_sandbox(tx: Transaction, order_id: OrderId, now: datetime) -> bool:
    """Pay what is left to pay of a ticket order, on the sandbox's page; a repeat pays nothing more.

    False, and nothing done, where it cannot be paid.
    """
    order = await locked(tx, order_id)
    reference = f"sandbox-{order.uid}"
    if await tx.payment(order_id, reference) is not None:
        return True
    if order.state is not OrderState.PENDING:
        return False
    money = await _left_to_pay_of(tx, order_id)
    await record_payment(tx, order.client_id, order_id, reference, money, now)
    return True


async def left_to_pay(reading: Reading, view: OrderView) -> Money:
    """What is missing of a ticket order's total, in its currency."""
    total_minor, currency = view.details["grand_total_minor"], view.details["currency"]
    return Money(minor=max(0, total_minor - await reading.paid_minor(view.order.id, currency)), currency=currency)


async def _left_to_pay_of(tx: Transaction, order_id: OrderId) -> Money:
    return await left_to_pay(tx, (await tx.views([order_id]))[order_id])


async def _advance(tx: Transaction, client_id: ClientId, order: Order, after: OrderState, now: datetime) -> Order:
    events = [order_advanced(order.state, after)]
    changes = replace(order.facts, state=after)
    if after in ENDED_UNFULFILLED:
        if (active := await standing(tx, order.id)) is not None:
            released = replace(active, state=AppointmentState.CANCELLED, cancelled_at=now)
            await tx.change_appointment(order.id, released)
            events.append(appointment_cancelled(released))
            changes = replace(changes, appointment_starts_at=None)
        await tx.release_tickets(order.id)
    changed = await tx.change_order(order, changes)
    await tx.append_events(changed, client_id, events, now)
    return changed

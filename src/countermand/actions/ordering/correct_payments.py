"""Answers recorded payments by other facts: a payment is voided, refunded or charged back, and nothing is deleted.

Each action locks the order's row first, as a payment and a cancellation do, so they run one after the other. Each one
is idempotent by its reference: a repeat changes nothing. Each one raises `UnavailableError` for an order, or for a
correction of its payments, that a newer version wrote and this one does not know.
"""

from dataclasses import replace
from datetime import datetime
from typing import Protocol

from countermand.actions.errors import ConflictError, FieldsError, NotFoundError
from countermand.actions.ordering.account import Account, account_of, is_refunded
from countermand.actions.ordering.completion import is_completed_by_move
from countermand.actions.ordering.correction_ports import CorrectionWriting
from countermand.actions.ordering.end_dues import end_dues, withdraw_dues
from countermand.actions.ordering.lock_order import known_total, locked_to_pay
from countermand.actions.ordering.payment_windows import PaymentWindows, restart_window
from countermand.actions.ordering.ports import ExpiryWriting, OrderReading, OrderToPay
from countermand.actions.ordering.record_progress import (
    PaymentTransaction,
    check_not_nothing,
    record_payment,
)
from countermand.domain.actor import Actor
from countermand.domain.money import Money, written_minor
from countermand.domain.orders.balance import is_refunded_in_full
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import (
    OrderEvent,
    order_advanced,
    payment_charged_back,
    payment_refunded,
    payment_voided,
)
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, OrderState, Transition, state_after
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState


class CorrectionTransaction(PaymentTransaction, CorrectionWriting, ExpiryWriting, OrderReading, Protocol):
    """Implemented by a transaction in which payments can be corrected."""


async def void_payment(
    tx: CorrectionTransaction,
    actor: Actor,
    order_id: OrderId,
    reference: str,
    reason: str,
    now: datetime,
    *,
    windows: PaymentWindows,
) -> Order:
    """Record that a payment never happened; a repeat changes nothing.

    An order that the payment completed is pending again, and has the time of a new order to be paid, as does a pending
    order whose last payment is voided. Raises `NotFoundError`, or `ConflictError` with `payment_paid_back` or
    `tickets_given_on`.
    """
    to_pay = await locked_to_pay(tx, order_id)
    account = await account_of(tx, order_id)
    payment = _payment_in(account, reference)
    if payment.voided_at is not None:
        return to_pay.order
    return await _void(tx, actor, to_pay, account, payment, reason, now, windows)


async def assign_late_money(
    tx: CorrectionTransaction,
    actor: Actor,
    order_id: OrderId,
    reference: str,
    to_order_id: OrderId,
    reason: str,
    now: datetime,
    *,
    windows: PaymentWindows,
) -> Order:
    """Void late money, and record it for the order that it was meant for; a repeat changes nothing.

    Raises `NotFoundError`, `FieldsError` if both orders are one, or `ConflictError` with `payment_not_late`,
    `order_ended`, `payment_voided`, `payment_paid_back` or `payment_reference_used`.
    """
    if order_id == to_order_id:
        raise FieldsError([("order", "order must be another order than the one that has the payment")])
    # Everybody who locks two orders locks the smaller number first, so that no two wait for each other.
    locked = {one: await locked_to_pay(tx, one) for one in sorted((order_id, to_order_id))}
    account, target = await account_of(tx, order_id), locked[to_order_id].order
    payment = _payment_in(account, reference)
    if not payment.is_late:
        raise ConflictError(
            "payment_not_late",
            f"the payment {reference} came in time; nothing was changed; void it, and record it for the other order",
        )
    is_there = any(one.reference == reference for one in await tx.payments_of(to_order_id))
    if target.state in ENDED_UNFULFILLED and not is_there:
        raise ConflictError(
            "order_ended", f"the other order is {target.state} and takes no money; nothing was changed; name another"
        )
    source = locked[order_id].order
    if payment.voided_at is None:
        source = await _void(tx, actor, locked[order_id], account, payment, reason, now, windows)
    await record_payment(tx, actor, to_order_id, reference, payment.money, now)
    return source


async def refund(
    tx: CorrectionTransaction,
    actor: Actor,
    order_id: OrderId,
    reference: str,
    money: Money,
    reason: str,
    now: datetime,
) -> Order:
    """Record a refund that was made; a repeat of its reference changes nothing.

    It pays off what is due first, then it lowers what is kept, and then the late money. Raises `NotFoundError`,
    `FieldsError` for an amount of 0, or `ConflictError` with `refund_reference_used` or `refund_exceeds_paid`.
    """
    check_not_nothing(money, "nothing was refunded")
    kind = CorrectionKind.REFUND
    order, account, made = await _to_record(tx, actor, kind, order_id, reference, money, reason, now)
    if made is None:
        return order
    balance = account.balance(money.currency)
    if money.minor > balance.refundable:
        parts = f"kept {written_minor(balance.kept)}, due {written_minor(balance.due)}"
        raise ConflictError(
            "refund_exceeds_paid",
            f"a refund of {money} {money.currency} was not recorded, because only {written_minor(balance.refundable)} "
            f"can be refunded ({parts}, late {written_minor(balance.late)}); send the amount that was paid back",
        )
    await end_dues(tx, order_id, account.corrections, money, RefundState.PAID_OFF, now)
    await tx.insert_correction(order_id, replace(made, state=RefundState.DONE, settled_at=now))
    return await _with_event(tx, actor, order, payment_refunded(reference, money, reason), now)


async def charge_back(
    tx: CorrectionTransaction,
    actor: Actor,
    order_id: OrderId,
    reference: str,
    money: Money,
    reason: str,
    now: datetime,
) -> Order:
    """Record that the payer's bank has taken money back; a repeat of its reference changes nothing.

    What is due is withdrawn as far as the bank took it, so that nobody pays it out again. Money that was refunded
    before is then missing: what is kept becomes negative. Raises `NotFoundError`, `FieldsError` for an amount of 0, or
    `ConflictError` with `chargeback_reference_used` or `chargeback_exceeds_paid`.
    """
    check_not_nothing(money, "nothing was charged back")
    kind = CorrectionKind.CHARGEBACK
    order, account, taken = await _to_record(tx, actor, kind, order_id, reference, money, reason, now)
    if taken is None:
        return order
    balance = account.balance(money.currency)
    left = balance.stands - balance.charged_back
    if money.minor > left:
        raise ConflictError(
            "chargeback_exceeds_paid",
            f"a chargeback of {money} {money.currency} was not recorded, because only {written_minor(left)} of the "
            f"payments can be charged back (recorded {written_minor(balance.stands)}, charged back before "
            f"{written_minor(balance.charged_back)}); send the amount that was taken back",
        )
    await tx.insert_correction(order_id, taken)
    await withdraw_dues(tx, order_id, account.with_corrections(taken), money.currency, now)
    return await _with_event(tx, actor, order, payment_charged_back(reference, money, reason), now)


async def _to_record(
    tx: CorrectionTransaction,
    actor: Actor,
    kind: CorrectionKind,
    order_id: OrderId,
    reference: str,
    money: Money,
    reason: str,
    now: datetime,
) -> tuple[Order, Account, Correction | None]:
    """Lock an order, and return it with its account and the correction to record for it; None for a repeat."""
    order = (await locked_to_pay(tx, order_id)).order
    account = await account_of(tx, order_id)
    if await _is_repeated(tx, kind, order_id, reference, money, account):
        return order, account, None
    correction = Correction(
        number=account.next_number,
        kind=kind,
        money=money,
        reason=reason,
        recorded_at=now,
        actor=actor,
        reference=reference,
    )
    return order, account, correction


async def _with_event(tx: CorrectionTransaction, actor: Actor, order: Order, event: OrderEvent, now: datetime) -> Order:
    """Raise the version of an order after money went back to the payer, with an event. Return the order."""
    facts = replace(order.facts, refunded_in_full=await is_refunded(tx, order.id))
    changed = await tx.change_order(order, facts)
    await tx.append_events(changed, actor, [event], now)
    return changed


async def _is_repeated(
    tx: CorrectionWriting,
    kind: CorrectionKind,
    order_id: OrderId,
    reference: str,
    money: Money,
    account: Account,
) -> bool:
    """Claim a reference for the order, and return whether the same amount is recorded under it.

    Raises `ConflictError` if another amount is, if the reference is another order's, or if the refund came back: then,
    its money is owed again, and the next try has a reference of its own.
    """
    holder = await tx.claim_correction(kind, reference, order_id)
    made = account.made(kind, reference)
    if any(one.state is RefundState.RETURNED for one in made):
        raise ConflictError(
            "refund_came_back",
            f"the refund {reference} came back, so its money is owed again; nothing was recorded; record the next "
            "refund under its own reference",
        )
    same = [one.money for one in made]
    if holder == order_id and not same:
        return False
    of_currency = all(one.currency == money.currency for one in same)
    if holder == order_id and of_currency and sum(one.minor for one in same) == money.minor:
        return True
    raise ConflictError(
        f"{kind}_reference_used",
        f"the reference {reference} is another {kind}'s; nothing was recorded; use this {kind}'s own reference",
    )


async def _void(
    tx: CorrectionTransaction,
    actor: Actor,
    to_pay: OrderToPay,
    account: Account,
    payment: Payment,
    reason: str,
    now: datetime,
    windows: PaymentWindows,
) -> Order:
    order, after = to_pay.order, account.without(payment, now)
    if not after.balance(payment.money.currency).is_covered:
        raise ConflictError(
            "payment_paid_back",
            f"money of the payment {payment.reference} was refunded, is due or was charged back, so it came in; "
            "nothing was voided; record what else was paid back as a refund or a chargeback",
        )
    first = min((one.recorded_at for one in after.in_time), default=None)
    refunded = is_refunded_in_full(after.payments, after.corrections)
    facts = replace(order.facts, first_payment_at=first, refunded_in_full=refunded)
    events = [payment_voided(payment, reason)]
    reopened = await _reopened(tx, to_pay, account, after)
    if reopened is not None:
        facts = replace(facts, state=reopened)
        events.append(order_advanced(order.state, reopened))
    await tx.mark_voided(order.id, payment.reference, now)
    void = Correction(
        number=account.next_number,
        kind=CorrectionKind.VOID,
        money=payment.money,
        reason=reason,
        recorded_at=now,
        actor=actor,
        payment_reference=payment.reference,
    )
    await tx.insert_correction(order.id, void)
    had_payment = order.facts.first_payment_at is not None
    if reopened is not None or (order.state is OrderState.PENDING and had_payment and first is None):
        await restart_window(tx, order, now, windows)
    changed = await tx.change_order(order, facts)
    await tx.append_events(changed, actor, events, now)
    return changed


async def _reopened(
    tx: CorrectionTransaction, to_pay: OrderToPay, account: Account, after: Account
) -> OrderState | None:
    """Return the state of an order that a payment had completed, and that is not paid without it; else None.

    An order that a move completed stays so. Raises `ConflictError` with `tickets_given_on`.
    """
    order = to_pay.order
    reopened = state_after(order.state, Transition.REOPEN)
    if reopened is None:
        return None
    total = known_total(to_pay)
    if not account.covers(total) or after.covers(total):
        return None
    if is_completed_by_move((await tx.history(order.id)).events):
        return None
    view = (await tx.views([order.id]))[order.id]
    if not all(ticket.valid for ticket in view.tickets):
        raise ConflictError(
            "tickets_given_on",
            "tickets of the order were given on, so the order cannot be pending again; nothing was voided; record "
            "the payment that was made first, and void this one then",
        )
    return reopened


def _payment_in(account: Account, reference: str) -> Payment:
    payment = next((one for one in account.payments if one.reference == reference), None)
    if payment is None:
        raise NotFoundError(f"the order has no payment {reference}; nothing was changed; look the reference up")
    return payment

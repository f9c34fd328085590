"""Answers recorded payments by other facts: a payment is voided, refunded or charged back, and nothing is deleted.

Each action locks the order's row first, as a payment and a cancellation do, so they run one after the other. Each one
is idempotent by its reference: a repeat changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from countermand.actions.errors import ConflictError, NotFoundError, UnavailableError
from countermand.actions.ordering.correction_ports import CorrectionReading, CorrectionWriting
from countermand.actions.ordering.lock_order import known_total, locked_to_pay
from countermand.actions.ordering.ports import ExpiryWriting, OrderReading, OrderToPay
from countermand.actions.ordering.record_progress import PaymentTransaction
from countermand.domain.actor import Actor
from countermand.domain.contract import ContractName
from countermand.domain.money import Money
from countermand.domain.orders.balance import Balance, balances_of
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import order_advanced, payment_voided
from countermand.domain.orders.order_state import OrderState, Transition, state_after
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind

# How long a new order of each contract can be paid. An order of another contract does not expire.
PaymentWindows = Mapping[ContractName, timedelta]


class CorrectionTransaction(PaymentTransaction, CorrectionWriting, ExpiryWriting, OrderReading, Protocol):
    """Implemented by a transaction in which payments can be corrected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Account:
    """The payments of a locked order, and what answers them."""

    payments: Sequence[Payment]
    corrections: Sequence[Correction]

    def balance(self, currency: str) -> Balance:
        return balances_of(self.payments, self.corrections).get(currency, Balance())

    @property
    def next_number(self) -> int:
        return max((one.number for one in self.corrections), default=0) + 1

    @property
    def in_time(self) -> Sequence[Payment]:
        return [one for one in self.payments if one.voided_at is None and not one.is_late]

    def without(self, voided: Payment, now: datetime) -> "_Account":
        payments = [replace(one, voided_at=now) if one is voided else one for one in self.payments]
        return replace(self, payments=payments)

    def covers(self, total: Money) -> bool:
        """Whether the payments in time add up to the total, whatever was paid back since."""
        return sum(one.money.minor for one in self.in_time if one.money.currency == total.currency) >= total.minor


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
    account = await _account_of(tx, order_id)
    payment = next((one for one in account.payments if one.reference == reference), None)
    if payment is None:
        raise NotFoundError(f"the order has no payment {reference}; nothing was voided")
    if payment.voided_at is not None:
        return to_pay.order
    return await _void(tx, actor, to_pay, account, payment, reason, now, windows)


async def _void(
    tx: CorrectionTransaction,
    actor: Actor,
    to_pay: OrderToPay,
    account: _Account,
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
    facts, events = replace(order.facts, first_payment_at=first), [payment_voided(payment, reason)]
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
        await _restart_window(tx, order, now, windows)
    changed = await tx.change_order(order, facts)
    await tx.append_events(changed, actor, events, now)
    return changed


async def _reopened(
    tx: CorrectionTransaction, to_pay: OrderToPay, account: _Account, after: _Account
) -> OrderState | None:
    """Return the state of an order that a payment had completed, and that is not paid without it; else None.

    Raises `ConflictError` with `tickets_given_on`.
    """
    order = to_pay.order
    reopened = state_after(order.state, Transition.REOPEN)
    if reopened is None:
        return None
    total = known_total(to_pay)
    if not account.covers(total) or after.covers(total):
        return None
    view = (await tx.views([order.id]))[order.id]
    if not all(ticket.valid for ticket in view.tickets):
        raise ConflictError(
            "tickets_given_on",
            "tickets of the order were given on, so the order cannot be pending again; nothing was voided; record "
            "the payment that was made first, and void this one then",
        )
    return reopened


async def _restart_window(tx: ExpiryWriting, order: Order, now: datetime, windows: PaymentWindows) -> None:
    await tx.forget_expiry(order.id)
    if (window := windows.get(order.contract)) is not None:
        await tx.expire_at(order.id, now + window)


async def _account_of(tx: CorrectionReading, order_id: OrderId) -> _Account:
    """Return the account of a locked order. Raises `UnavailableError` for a correction that this version lacks."""
    account = _Account(payments=await tx.payments_of(order_id), corrections=await tx.corrections_of(order_id))
    if not all(one.is_known for one in account.corrections):
        raise UnavailableError(
            "a newer version than this node's corrected the payments of the order; nothing was done; send the request "
            "again, or to another node"
        )
    return account

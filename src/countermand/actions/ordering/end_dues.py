"""Ends refunds that are due: a refund that was made pays them off, or a chargeback took the money before."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from countermand.actions.ordering.account import Account
from countermand.actions.ordering.correction_ports import CorrectionWriting
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment_correction import Correction, RefundState


async def end_dues(
    tx: CorrectionWriting,
    order_id: OrderId,
    corrections: Iterable[Correction],
    money: Money,
    state: RefundState,
    now: datetime,
) -> None:
    """End what is due of an order's corrections up to an amount, the oldest first, with this state.

    A larger due shrinks, and stays due for the rest. Each keeps its reason and who owed it.
    """
    left = money.minor
    for due in corrections:
        if left <= 0 or not due.is_due or due.money.currency != money.currency:
            continue
        if due.money.minor > left:
            await tx.change_refund(order_id, replace(due, money=replace(money, minor=due.money.minor - left)))
            return
        await tx.change_refund(order_id, replace(due, state=state, settled_at=now))
        left -= due.money.minor


async def withdraw_dues(
    tx: CorrectionWriting, order_id: OrderId, account: Account, currency: str, now: datetime
) -> None:
    """Withdraw what is due as far as a chargeback took the money, so that nobody pays it out again."""
    missing = -account.balance(currency).kept
    if missing > 0:
        money = Money(minor=missing, currency=currency)
        await end_dues(tx, order_id, account.corrections, money, RefundState.WITHDRAWN, now)

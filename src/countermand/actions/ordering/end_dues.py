"""Ends refunds that are due: a refund that was made pays them off, or a chargeback took the money before."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

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
    *,
    reference: str | None = None,
) -> int:
    """End what is due of an order's corrections up to an amount, the oldest first. Return the part that no row has.

    A larger due shrinks, and stays due for the rest. `reference` is that of the refund that was made, if one was.
    """
    left = money.minor
    for due in corrections:
        if left <= 0 or not due.is_due or due.money.currency != money.currency:
            continue
        if due.money.minor > left:
            await tx.change_refund(order_id, replace(due, money=replace(money, minor=due.money.minor - left)))
            break
        await tx.change_refund(order_id, replace(due, state=state, reference=reference, settled_at=now))
        left -= due.money.minor
    return left

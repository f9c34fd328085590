"""Ends orders that were not paid in time, and releases what they held.

Each due order has a transaction of its own, which locks the order's row first. So a payment, a cancellation and the
expiry of one order run one after the other, and the first decides.
"""

from contextlib import suppress
from datetime import datetime

from countermand.actions.errors import HeldError
from countermand.actions.ordering.record_progress import advance_order
from countermand.actions.ports import Store, Transaction
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition, state_after


async def expire_due(store: Store, now: datetime, *, at_most: int) -> int:
    """End the orders that are due, at most `at_most`, and return how many were looked at.

    Several nodes may run it at once.
    """
    async with store.snapshot() as reading:
        due = await reading.orders_due(now, at_most)
    for order_id in due:
        with suppress(HeldError):  # the order stays due and does not delay the others
            async with store.transaction() as tx:
                await expire_order(tx, order_id, now)
    return len(due)


async def expire_order(tx: Transaction, order_id: OrderId, now: datetime) -> bool:
    """End a due order, unless it ended or money came in for it meanwhile. Return whether the order ended.

    An order that was paid in part is no longer due; the operator has to look after it. The events name the order's own
    client, because no other client asked for the expiry.
    """
    order = await tx.lock_order(order_id)
    if order is not None and not order.is_known:  # a newer version changed it meanwhile; its node will end it
        return False
    await tx.forget_expiry(order_id)
    if order is None or order.facts.first_payment_at is not None or state_after(order.state, Transition.EXPIRE) is None:
        return False
    await advance_order(tx, order.client_id, order_id, Transition.EXPIRE, now)
    return True

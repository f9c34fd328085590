"""Orders that were not paid in time end, and give back what they held.

Whoever is due is looked at in a transaction of its own, the order's row first: so a payment, a cancellation and the
expiry of one order come one after the other, and whichever is first decides.
"""

from contextlib import suppress
from datetime import datetime
from typing import Protocol

from countermand.actions.errors import HeldError
from countermand.actions.ordering.ports import ExpiryReading, ExpiryWriting
from countermand.actions.ordering.record_progress import ProgressTransaction, advance_order
from countermand.actions.ports import Snapshots, Transactions
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition, state_after


class ExpiryTransaction(ProgressTransaction, ExpiryWriting, Protocol):
    """Implemented by a transaction in which an order can expire."""


class ExpiryStore(Snapshots[ExpiryReading], Transactions[ExpiryTransaction], Protocol):
    """Finds orders that are due, and lets them expire."""


async def expire_due(store: ExpiryStore, now: datetime, *, at_most: int) -> int:
    """Look at the orders that are due, some at a time; says how many. Several nodes may do it at once."""
    async with store.snapshot() as reading:
        due = await reading.orders_due(now, at_most)
    for order_id in due:
        with suppress(HeldError):  # it stays due, and holds up nobody else
            async with store.transaction() as tx:
                await expire_order(tx, order_id, now)
    return len(due)


async def expire_order(tx: ExpiryTransaction, order_id: OrderId, now: datetime) -> bool:
    """End an order that is due, unless it ended or money came in for it meanwhile; says whether it did.

    An order that was paid in part is the operator's to look after, and due no more. The events name the order's own
    client, as nobody else asked for the expiry.
    """
    order = await tx.lock_order(order_id)
    if order is not None and not order.is_known:  # since it was found to be due: a node that knows it sees to it
        return False
    await tx.forget_expiry(order_id)
    if order is None or order.facts.first_payment_at is not None or state_after(order.state, Transition.EXPIRE) is None:
        return False
    await advance_order(tx, order.client_id, order_id, Transition.EXPIRE, now)
    return True

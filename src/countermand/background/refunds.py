"""Marks orders that nodes from before schema 13 refunded in full, or changed since, a limited number at a time."""

import asyncio
from collections.abc import Callable
from typing import Final

from countermand.actions.ordering.account import is_refunded
from countermand.background.order_rounds import Step, go_through_orders
from countermand.domain.orders.order import OrderId
from countermand.storage.store import SqlStore

LOOKED_AT_ONCE: Final = 300


async def mark_some(store: SqlStore, after: int) -> Step:
    """Look at the next orders after a number whose money went back, and mark those that were refunded in full.

    Each mark has a transaction of its own, which locks the order's row first, as a payment does.
    """
    async with store.snapshot() as reading:
        seen = await reading.with_money_gone(after, LOOKED_AT_ONCE)
        refunded = [one for one, lacks_mark in seen.items() if lacks_mark and await is_refunded(reading, one)]
    marked = [await _mark(store, order_id) for order_id in refunded]
    return Step(last=max(seen, default=None), found=sum(marked))


async def _mark(store: SqlStore, order_id: OrderId) -> bool:
    async with store.transaction() as tx:
        order = await tx.lock_order(order_id)
        if order is None or not order.is_known or not await is_refunded(tx, order_id):
            return False
        await tx.mark_refunded(order)
        return True


async def mark_refunded(
    store: SqlStore, stopping: asyncio.Event, report_unfinished: Callable[[bool], None] = lambda _: None
) -> None:
    """Go through all orders whose money went back, and repeat that until a whole round marks none.

    Several nodes may do this at the same time. A mark is never wrong: it counts only for the version that it names.
    """
    await go_through_orders(
        lambda after: mark_some(store, after),
        stopping,
        report_unfinished,
        on_failure="refunded orders stay unmarked for now",
    )

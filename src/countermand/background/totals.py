"""Fills the total's columns of ticket orders that nodes from before schema 5 placed, a limited number at a time."""

import asyncio
from collections.abc import Callable
from typing import Final

from countermand.background.order_rounds import Step, go_through_orders
from countermand.storage.store import SqlStore

LOOKED_AT_ONCE: Final = 1000
FILLED_AT_ONCE: Final = 300


async def fill_some(store: SqlStore, after: int) -> Step:
    """Fill the totals of the next orders after a number, in one short transaction that waits for no row lock."""
    async with store.snapshot() as reading:
        seen = await reading.empty_totals(after, LOOKED_AT_ONCE)
    empty = [order_id for order_id, is_empty in seen.items() if is_empty]
    some = empty[:FILLED_AT_ONCE]
    last = some[-1] if len(some) < len(empty) else max(seen, default=None)
    if not some:
        return Step(last=last, found=0)
    async with store.transaction() as tx:
        unreadable = await tx.fill_totals(some)
    return Step(last=last, found=len(some) - unreadable)


async def fill_totals(
    store: SqlStore, stopping: asyncio.Event, report_unfinished: Callable[[bool], None] = lambda _: None
) -> None:
    """Go through all orders step by step, and repeat that until a whole round finds nothing to fill.

    Each step commits by itself, and the next round finds the totals that are still empty. So a crash loses nothing, and
    several nodes may do this at the same time.
    """
    await go_through_orders(
        lambda after: fill_some(store, after), stopping, report_unfinished, on_failure="empty totals stay for now"
    )

"""Fills the total's columns of ticket orders that nodes from before schema 5 placed, a limited number at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.storage.store import SqlStore

log = structlog.get_logger()
LOOKED_AT_ONCE: Final = 1000
FILLED_AT_ONCE: Final = 300
_AGAIN_AFTER_S: Final = 600.0  # old nodes may have placed more orders, and other nodes may have failed
_RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one step: the number of the last order that it saw, or None if there was no further order.

    `found` counts ticket orders with an empty total whose document this version can read.
    """

    last: int | None
    found: int


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
    after, found, pause_s = 0, 0, 0.0
    report_unfinished(True)
    while not await stops_within(pause_s, stopping):
        try:
            step = await fill_some(store, after)
        except DATABASE_ERRORS as error:
            log.warning("empty totals stay for now", reason=str(error))
            pause_s = _RETRY_AFTER_S
            continue
        found += step.found
        if step.last is not None:
            after, pause_s = step.last, SWEEP_PAUSE_S
        elif found:
            after, found, pause_s = 0, 0, _AGAIN_AFTER_S
        else:
            report_unfinished(False)
            return

"""Makes the handles of orders that nodes from before schema 10 placed, so that they are found, too."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from countermand.actions.ports import SharedClock
from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.domain.orders.order import OrderId
from countermand.storage.store import SqlStore

log = structlog.get_logger()
LOOKED_AT_ONCE: Final = 1000
MADE_AT_ONCE: Final = 200
# Orders are looked at by the time when they were placed. A transaction that is still open, on a node whose clock is
# late, may place an order at an earlier time; after this long it has ended.
_STILL_PLACED: Final = timedelta(minutes=2)
_AGAIN_AFTER_S: Final = 60.0  # old nodes may have placed more orders
_RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one step: how many orders it looked at, and of how many it made the handles."""

    seen: int
    made: int


async def make_some(store: SqlStore, until: datetime) -> Step:
    """Look at the next orders that were placed before an instant, and make the handles of those that have none.

    The place that was reached is stored in the same transaction. If another node has just moved it, nothing is done.
    """
    async with store.snapshot() as reading:
        before = await reading.handle_progress()
        seen = await reading.orders_without_handles(before, until, LOOKED_AT_ONCE)
    lacking = [place for place, lacks in seen.items() if lacks]
    some = lacking[:MADE_AT_ONCE]
    last = some[-1] if len(some) < len(lacking) else max(seen, default=None)
    if last is None:
        return Step(seen=0, made=0)
    async with store.transaction() as tx:
        if not await tx.move_handle_progress(before, last):
            return Step(seen=len(seen), made=0)
        await tx.make_handles([OrderId(order_id) for _, order_id in some])
    return Step(seen=len(seen), made=len(some))


async def make_handles(
    store: SqlStore,
    shared_clock: SharedClock,
    stopping: asyncio.Event,
    report_unfinished: Callable[[bool], None] = lambda _: None,
) -> None:
    """Go through all orders step by step, each once, and then look for further orders again and again.

    Each step commits by itself, so a crash loses nothing, and several nodes may do this at the same time.
    """
    made, pause_s = 0, 0.0
    report_unfinished(True)
    while not await stops_within(pause_s, stopping):
        try:
            step = await make_some(store, await shared_clock() - _STILL_PLACED)
        except DATABASE_ERRORS as error:
            log.warning("some orders cannot be found by name for now", reason=str(error))
            pause_s = _RETRY_AFTER_S
            continue
        made += step.made
        pause_s = SWEEP_PAUSE_S
        if not step.seen:
            report_unfinished(made > 0)
            made, pause_s = 0, _AGAIN_AFTER_S

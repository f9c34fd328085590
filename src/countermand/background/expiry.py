"""Ends orders that were not paid in time, a limited number at a time."""

import asyncio
from typing import Final

import structlog

from countermand.actions.ordering.expire import Expired, expire_due
from countermand.actions.ports import SharedClock
from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.storage.store import SqlStore

log = structlog.get_logger()
_EXPIRE_EVERY_S: Final = 5.0
_EXPIRED_AT_ONCE: Final = 100
_PASSED_OVER_CAP: Final = 1000


async def expire_unpaid(store: SqlStore, shared_clock: SharedClock, stopping: asyncio.Event) -> None:
    """End orders that were not paid in time, so that their tickets can be sold again.

    The clock that all nodes share decides: otherwise a node whose clock is ahead would end orders that can still be
    paid.
    """
    pause_s, passed_over = 0.0, 0
    while not await stops_within(pause_s, stopping):
        done = Expired(due=0, failed=0)
        try:
            # Orders that cannot be ended are the longest due, so they come first: look behind them.
            at_most = _EXPIRED_AT_ONCE + min(passed_over, _PASSED_OVER_CAP)
            done = await expire_due(store, await shared_clock(), at_most=at_most)
        except DATABASE_ERRORS as error:
            log.warning("unpaid orders stay for now", reason=str(error))
        passed_over = done.failed
        pause_s = SWEEP_PAUSE_S if done.due - done.failed >= _EXPIRED_AT_ONCE else _EXPIRE_EVERY_S

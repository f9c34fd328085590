"""Deletes what waited for endpoints that were removed, a limited number of rows at a time."""

import asyncio
from typing import Final

import structlog

from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.storage.store import SqlStore

log = structlog.get_logger()
_LOOK_EVERY_S: Final = 60.0
FORGOTTEN_AT_ONCE: Final = 1000


async def forget_removed_endpoints(store: SqlStore, stopping: asyncio.Event) -> None:
    """Delete the deliveries of removed endpoints again and again."""
    pause_s = _LOOK_EVERY_S
    while not await stops_within(pause_s, stopping):
        pause_s = _LOOK_EVERY_S
        try:
            async with store.snapshot() as reading:
                if not await reading.has_removed_endpoints():
                    continue
            async with store.transaction() as tx:
                if await tx.forget_removed(FORGOTTEN_AT_ONCE):
                    pause_s = SWEEP_PAUSE_S
        except DATABASE_ERRORS as error:
            log.warning("deliveries of removed endpoints stay for now", reason=str(error))

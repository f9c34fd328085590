"""Deletes old rows according to the retention rules, a limited number at a time."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from countermand.actions.ports import SharedClock
from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.storage.retention import RetentionRule, forget
from countermand.storage.store import SqlStore

log = structlog.get_logger()
_SWEEP_EVERY_S: Final = 600.0
FORGOTTEN_AT_ONCE: Final = 1000


async def forget_old(
    store: SqlStore, shared_clock: SharedClock, retention: Mapping[RetentionRule, timedelta], stopping: asyncio.Event
) -> None:
    """Delete old rows in short transactions, so that no request waits long. The clock that all nodes share decides."""
    pause_s = 0.0
    while not await stops_within(pause_s, stopping):
        most = 0
        for kept, age in retention.items():
            try:
                most = max(most, await forget(store, kept, await shared_clock() - age, at_most=FORGOTTEN_AT_ONCE))
            except DATABASE_ERRORS as error:
                log.warning("what is old stays for now", what=kept.name, reason=str(error))
        pause_s = SWEEP_PAUSE_S if most >= FORGOTTEN_AT_ONCE else _SWEEP_EVERY_S

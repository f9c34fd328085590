"""What does a node do beside its calls? It posts counts, reads keys again, forgets what is old, ends what is unpaid."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from countermand.actions.errors import CountermandError
from countermand.actions.expire_orders import expire_due
from countermand.actions.ports import Clock
from countermand.storage.postgres.errors import DRIVER_ERRORS
from countermand.storage.retention import Kept, forget
from countermand.storage.store import SqlStore
from countermand.telemetry.joined import Telemetry

log = structlog.get_logger()

_POST_EVERY_S: Final = 0.5
_SWEEP_EVERY_S: Final = 600.0
_EXPIRE_EVERY_S: Final = 5.0
_EXPIRED_AT_ONCE: Final = 100
_SWEEP_PAUSE_S: Final = 0.05
FORGOTTEN_AT_ONCE: Final = 1000
_DATABASE_ERRORS: Final = (CountermandError, DBAPIError, sqlite3.Error, *DRIVER_ERRORS)  # a table that is gone, too


async def post_counts(telemetry: Telemetry, stopping: asyncio.Event) -> None:
    """What was tallied is posted to the metrics, also where nobody scrapes this very process."""
    while not await stops_within(_POST_EVERY_S, stopping):
        telemetry.counts.post()


async def refresh_keys(refresh: Callable[[], Awaitable[None]], every_s: float, stopping: asyncio.Event) -> None:
    """Keys are read again, so that a withdrawn one stops counting."""
    while not await stops_within(every_s, stopping):
        await refresh()


async def forget_old(
    store: SqlStore, clock: Clock, retention: Mapping[Kept, timedelta], stopping: asyncio.Event
) -> None:
    """What is old is forgotten some at a time, so that nobody waits for it."""
    pause_s = 0.0
    while not await stops_within(pause_s, stopping):
        most = 0
        for kept, age in retention.items():
            try:
                most = max(most, await forget(store, kept, clock() - age, at_most=FORGOTTEN_AT_ONCE))
            except _DATABASE_ERRORS as error:
                log.warning("what is old stays for now", what=kept.name, reason=str(error))
        pause_s = _SWEEP_PAUSE_S if most >= FORGOTTEN_AT_ONCE else _SWEEP_EVERY_S


async def expire_unpaid(store: SqlStore, clock: Clock, stopping: asyncio.Event) -> None:
    """Orders that were not paid in time give back what they hold, some at a time."""
    pause_s = 0.0
    while not await stops_within(pause_s, stopping):
        looked_at = 0
        try:
            looked_at = await expire_due(store, clock, at_most=_EXPIRED_AT_ONCE)
        except _DATABASE_ERRORS as error:
            log.warning("unpaid orders stay for now", reason=str(error))
        pause_s = _SWEEP_PAUSE_S if looked_at >= _EXPIRED_AT_ONCE else _EXPIRE_EVERY_S


async def stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, unless the service stops: chores end between two pieces of work, never in the middle of one."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()

"""What background tasks share: how they pause, when they stop, which errors they outlive."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import DBAPIError

from countermand.actions.errors import CountermandError
from countermand.storage.postgres.errors import DRIVER_ERRORS

SWEEP_PAUSE_S: Final = 0.05
DATABASE_ERRORS: Final = (CountermandError, DBAPIError, sqlite3.Error, *DRIVER_ERRORS)  # a table that is gone, too


async def stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, unless the service stops: background tasks end between two pieces of work, never in the middle of one."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()

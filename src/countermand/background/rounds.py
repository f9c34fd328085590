"""What background tasks share: how they pause, when they stop, which errors they outlive."""

import asyncio
from contextlib import suppress
from typing import Final

from countermand.actions.errors import CountermandError, UnforeseenDatabaseError

SWEEP_PAUSE_S: Final = 0.05
DATABASE_ERRORS: Final = (CountermandError, UnforeseenDatabaseError)


async def stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, unless the service stops: background tasks end between two pieces of work, never in the middle of one."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()

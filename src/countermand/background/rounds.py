"""Has what background tasks share: the pause between rounds, the stop, and the database errors that they survive."""

import asyncio
from contextlib import suppress
from typing import Final

from countermand.actions.errors import CountermandError, UnforeseenDatabaseError

SWEEP_PAUSE_S: Final = 0.05
DATABASE_ERRORS: Final = (CountermandError, UnforeseenDatabaseError)


async def stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait for some seconds, or until the service stops. Return whether it stops.

    Background tasks end only here, between two pieces of work.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()

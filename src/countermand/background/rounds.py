"""Has what background tasks share: start and stop, the pause between rounds, and the database errors they survive."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Final

import structlog

from countermand.actions.errors import CountermandError, UnforeseenDatabaseError

log = structlog.get_logger()

SWEEP_PAUSE_S: Final = 0.05
DATABASE_ERRORS: Final = (CountermandError, UnforeseenDatabaseError)


async def stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait for some seconds, or until the service stops. Return whether it stops.

    Background tasks end only here, between two pieces of work.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()


def started(work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
    """Start a background task. If a bug ends the task, the log says so at once, not only when the service stops."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until background tasks have ended. The failure of a task was logged when it happened."""
    await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a background task failed", task=task.get_name(), exc_info=error)

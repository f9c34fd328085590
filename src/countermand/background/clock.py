"""Compares this node's clock with the database's clock, which all nodes share, and logs when they differ."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from countermand.actions.ports import Clock, SharedClock
from countermand.background.rounds import DATABASE_ERRORS, stops_within

log = structlog.get_logger()

_COMPARED_EVERY_S: Final = 5.0
_TOLD_BEYOND_S: Final = 5.0


class ClockCheck:
    """Measures how far this node's clock is from the shared clock.

    `ahead_s` is the result of the last comparison in seconds, negative if this node's clock is behind. On SQLite both
    clocks are the machine's own, so they never differ.
    """

    def __init__(self, clock: Clock, shared_clock: SharedClock) -> None:
        self._clock, self._shared_clock = clock, shared_clock
        self._is_off = False
        self.ahead_s: float | None = None

    async def off_s(self) -> float:
        """Return by how many seconds the clocks certainly differ, with the duration of the query taken off.

        Logs when they begin to differ by more than five seconds, and when they no longer do. Raises the errors of the
        database.
        """
        asked_at = self._clock()
        shared = await self._shared_clock()
        half = (self._clock() - asked_at) / 2
        self.ahead_s = (asked_at + half - shared).total_seconds()
        off_s = max(0.0, abs(self.ahead_s) - abs(half.total_seconds()))
        is_off = off_s > _TOLD_BEYOND_S
        if is_off and not self._is_off:
            log.warning("this node's clock is off the database's: set it right", ahead_s=round(self.ahead_s, 1))
        elif self._is_off and not is_off:
            log.info("this node's clock is right again", ahead_s=round(self.ahead_s, 1))
        self._is_off = is_off
        return off_s


async def compare_clocks(check: ClockCheck, stopping: asyncio.Event) -> None:
    """Compare the clocks every few seconds. If the database does not answer, `/readyz` reports that."""
    pause_s = 0.0
    while not await stops_within(pause_s, stopping):
        with suppress(*DATABASE_ERRORS):
            await check.off_s()
        pause_s = _COMPARED_EVERY_S

"""Compares this node's clock with the one that all nodes share, the database's, and says when they differ."""

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
    """How far this node's clock is from the shared one. `ahead_s` is as of the last look; negative where it is behind.

    On SQLite both are the machine's own clock, and the check finds nothing.
    """

    def __init__(self, clock: Clock, shared_clock: SharedClock) -> None:
        self._clock, self._shared_clock = clock, shared_clock
        self._is_off = False
        self.ahead_s: float | None = None

    async def off_s(self) -> float:
        """The seconds by which the clocks surely differ, however long the question took. Raises as the database does.

        The log hears when they begin to differ by more than five seconds, and when they no longer do.
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
    """Compare every few seconds. While the database is away nobody can tell; `/readyz` says that it is."""
    pause_s = 0.0
    while not await stops_within(pause_s, stopping):
        with suppress(*DATABASE_ERRORS):
            await check.off_s()
        pause_s = _COMPARED_EVERY_S

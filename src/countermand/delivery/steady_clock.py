"""Reads the clock of the database seldom, and counts on by this machine's monotonic clock in between.

The relay needs the instant several times for each batch, and a reading costs several round trips. The instant is never
later than the database's, by more than the two clocks drift apart between readings, and never goes back.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from countermand.actions.ports import SharedClock

_READ_EVERY_S: Final = 0.5
_SLOWEST_READING_S: Final = 0.1  # a slower reading is used once: it may be that much behind


class SteadyClock:
    """A `SharedClock` over another one."""

    def __init__(self, shared_clock: SharedClock) -> None:
        self._shared_clock = shared_clock
        self._read: tuple[datetime, float] | None = None
        self._latest: datetime | None = None

    async def __call__(self) -> datetime:
        """Return the instant in UTC. Raises what the other clock raises."""
        if self._read is not None:
            instant, at_s = self._read
            passed_s = time.monotonic() - at_s
            if passed_s < _READ_EVERY_S:
                return self._not_back(instant + timedelta(seconds=passed_s))
        began_s = time.monotonic()
        instant = await self._shared_clock()
        ended_s = time.monotonic()
        self._read = (instant, ended_s) if ended_s - began_s < _SLOWEST_READING_S else None
        return self._not_back(instant)

    def _not_back(self, instant: datetime) -> datetime:
        if self._latest is None or instant > self._latest or self._latest - instant > timedelta(seconds=_READ_EVERY_S):
            self._latest = instant
        return self._latest

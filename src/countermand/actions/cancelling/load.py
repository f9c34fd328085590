"""Measures how many cancellations are under way at a time, on average, for work that gives way to them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_RECENT_S: Final = 0.5


class CancellingLoad:
    """Knows when batches begin and end. Older time counts less and less."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s = clock()
        self._under_way = 0
        self._average = 0.0

    @contextmanager
    def under_way(self, commands: int) -> Iterator[None]:
        """Count the commands of a batch while it is under way."""
        self._count()
        self._under_way += commands
        try:
            yield
        finally:
            self._count()
            self._under_way -= commands

    def average(self) -> float:
        """Return how many commands were under way at a time in the last half second or so."""
        self._count()
        return self._average

    def _count(self) -> None:
        now_s = self._clock()
        older = math.exp((self._at_s - now_s) / _RECENT_S)
        self._average = self._average * older + (1 - older) * self._under_way
        self._at_s = now_s

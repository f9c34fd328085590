"""Measures which share of the recent time batches of cancellations were under way, for work that gives way to them."""

import math
import time
from collections.abc import Callable
from typing import Final

_RECENT_S: Final = 0.5


class CancellingLoad:
    """Is told when a batch begins and ends. Older time counts less and less."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s = clock()
        self._under_way = 0
        self._share = 0.0

    def begin(self) -> None:
        """Say that a batch begins."""
        self._count()
        self._under_way += 1

    def end(self) -> None:
        """Say that a batch ended."""
        self._count()
        self._under_way -= 1

    def share(self) -> float:
        """Return the share, from 0 to 1."""
        self._count()
        return self._share

    def _count(self) -> None:
        now_s = self._clock()
        older = math.exp((self._at_s - now_s) / _RECENT_S)
        self._share = self._share * older + (1 - older) * (self._under_way > 0)
        self._at_s = now_s

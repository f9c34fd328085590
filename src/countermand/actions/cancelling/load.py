"""Measures which share of the recent time batches of cancellations were under way, for work that gives way to them."""

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
        self._share = 0.0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a batch while it is under way."""
        self._count()
        self._under_way += 1
        try:
            yield
        finally:
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

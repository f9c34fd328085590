"""Counts and times what actions and storage report, by implementing `MetricsHook` of `actions/metrics.py`."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Final

from prometheus_client import Histogram

from countermand.telemetry.counts import Counts

_NOTHING_AFTERWARDS: Final = nullcontext()


class _Timing:
    __slots__ = ("_seconds", "_started_s")

    def __init__(self, seconds: Histogram) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._started_s = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds.observe(perf_counter() - self._started_s)


class CountingMetrics:
    """Implements `MetricsHook`: counts events, and times round trips to the database."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._by_name: dict[str, Histogram] = {}

    def batch(self, commands: Sequence[object]) -> AbstractContextManager[object]:
        """See `MetricsHook.batch`."""
        self._counts.batch_sizes.observe(len(commands))
        return _NOTHING_AFTERWARDS

    def statement(self, name: str) -> AbstractContextManager[object]:
        """See `MetricsHook.statement`."""
        if name not in self._by_name:
            self._by_name[name] = self._counts.statements.labels(name)
        return _Timing(self._by_name[name])

    def retried(self) -> None:
        """See `MetricsHook.retried`."""
        self._counts.retries.inc()

    def absorbed(self, duplicates: int) -> None:
        """See `MetricsHook.absorbed`."""
        self._counts.absorbed.inc(duplicates)

    def turned_away(self) -> None:
        """See `MetricsHook.turned_away`."""
        self._counts.turned_away.inc()

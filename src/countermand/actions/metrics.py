"""The metrics hook: actions and storage report what happens through it, and `telemetry` counts and times it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class MetricsHook(Protocol):
    """Receives the events that metrics count. No method raises, waits, or takes more than a microsecond."""

    def batch(self, commands: Sequence[object]) -> AbstractContextManager[object]:
        """Return a context that surrounds the writing of a batch, from its first statement to its last outcome."""
        ...

    def statement(self, name: str) -> AbstractContextManager[object]:
        """Return a context that surrounds one round trip to the database for a cancellation.

        `name` is one of a few fixed words.
        """
        ...

    def retried(self) -> None:
        """Report that a deadlock or a serialisation failure undid a batch, which then runs again."""
        ...

    def absorbed(self, duplicates: int) -> None:
        """Report commands that had been done or refused before, under the same key or in the same batch."""
        ...

    def turned_away(self) -> None:
        """Report that a command found the queue full, or waited in it for too long."""
        ...


class _NullMetrics:
    """Implements `MetricsHook` and counts nothing."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def batch(self, commands: Sequence[object]) -> AbstractContextManager[object]:  # noqa: ARG002
        """See `MetricsHook.batch`."""
        return self._nothing

    def statement(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """See `MetricsHook.statement`."""
        return self._nothing

    def retried(self) -> None:
        """See `MetricsHook.retried`."""

    def absorbed(self, duplicates: int) -> None:
        """See `MetricsHook.absorbed`."""

    def turned_away(self) -> None:
        """See `MetricsHook.turned_away`."""


NULL_METRICS: Final[MetricsHook] = _NullMetrics()

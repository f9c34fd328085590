"""The metrics hook: actions and storage report what happens through it, and `telemetry` counts and times it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol


class MetricsHook(Protocol):
    """Receives what an operator wants to see. No method raises, waits, or takes more than a microsecond."""

    def batch(self, commands: Sequence[Any]) -> AbstractContextManager[object]:
        """Around the writing of a batch, from its first statement to its last answer."""
        ...

    def statement(self, name: str) -> AbstractContextManager[object]:
        """Around one round trip to the database on the cancellation path; `name` is one of a few fixed words."""
        ...

    def retried(self) -> None:
        """A deadlock or a serialisation failure undid a batch, which is run again."""
        ...

    def absorbed(self, duplicates: int) -> None:
        """So many commands asked for what was done or refused before, under the same key or in the same batch."""
        ...

    def turned_away(self) -> None:
        """A command found the queue full, or waited in it for too long."""
        ...


class _NullMetrics:
    """Fulfils `MetricsHook` and counts nothing."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def batch(self, commands: Sequence[Any]) -> AbstractContextManager[object]:  # noqa: ARG002
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

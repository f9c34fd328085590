"""Who counts and times what happens? `telemetry` does; the actions and the storage only say that it happened."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol


class Watch(Protocol):
    """Told of everything an operator wants to see. Nothing here raises, waits, or takes more than a microsecond."""

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


class _Nobody:
    """Fulfils `Watch`: nobody watches."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def batch(self, commands: Sequence[Any]) -> AbstractContextManager[object]:  # noqa: ARG002
        """See `Watch.batch`."""
        return self._nothing

    def statement(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """See `Watch.statement`."""
        return self._nothing

    def retried(self) -> None:
        """See `Watch.retried`."""

    def absorbed(self, duplicates: int) -> None:
        """See `Watch.absorbed`."""

    def turned_away(self) -> None:
        """See `Watch.turned_away`."""


NOBODY: Final[Watch] = _Nobody()

"""Protocols of the database that all subjects share, and the clocks. The protocols of a subject stand in its folder.

An action names what it needs of a transaction as a protocol, and takes a store that gives such transactions. No action
knows all that a transaction can do.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

Read_co = TypeVar("Read_co", covariant=True)
Written_co = TypeVar("Written_co", covariant=True)

# The current instant: aware, UTC, whole microseconds. A decision calls it once, and this instant is its "now".
Clock = Callable[[], datetime]
# The instant by the database's clock, which all nodes share: for everything that ends what other nodes rely on.
SharedClock = Callable[[], Awaitable[datetime]]


class Snapshots(Protocol[Read_co]):
    """A database whose snapshots can read what `Read_co` says."""

    def snapshot(self) -> AbstractAsyncContextManager[Read_co]:
        """Begin to read: everything that is read within the block comes from one consistent state."""
        ...


class Transactions(Protocol[Written_co]):
    """A database whose transactions can do what `Written_co` says."""

    def transaction(self) -> AbstractAsyncContextManager[Written_co]:
        """Begin a transaction: it commits when the block ends, and is undone by an exception that leaves the block.

        Raises `UnavailableError` if the database is not available.
        """
        ...


class NumberSource(Protocol):
    """Counts things."""

    async def next_number(self, counter: str) -> int:
        """Count up, and return the number. The counters are `order`, `service`, `appointment`, `task`, `reference`."""
        ...

    async def next_numbers(self, *counters: str) -> Sequence[int]:
        """Count up each of these counters, and return their numbers."""
        ...

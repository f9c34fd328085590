"""Reads and transactions for everything but the cancellation path, on either database."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from countermand.actions.errors import TakenError
from countermand.actions.ordering.views import OrderView
from countermand.domain.cancelling.policy import Policy
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.repositories.transaction import SqlTransaction


class SqlStore(ABC):
    """Implements `Snapshots` and `Transactions` as far as both databases do it alike.

    How a transaction begins and ends differs, and stands in `SqliteStore` and `PostgresStore`. `kinds` has the
    contracts in force, each with the kind of its orders.
    """

    def __init__(self, kinds: OrderKinds) -> None:
        self.kinds = kinds
        # Called after the commit of a transaction that wrote events; bootstrap lets it wake the relay.
        self.after_events: Callable[[], None] = lambda: None

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[SqlTransaction]:
        """See `Snapshots.snapshot`."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[SqlTransaction]:
        """See `Transactions.transaction`."""

    @abstractmethod
    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """See `OrderViews.views`. It takes less than a snapshot: one statement on PostgreSQL, no thread on SQLite."""

    @abstractmethod
    async def now(self) -> datetime:
        """Return the instant in UTC by the clock that all nodes share (`SharedClock`). Raises `UnavailableError`."""

    def check_files(self) -> None:  # noqa: B027 - a database server looks after its own files
        """Raise `UnavailableError` if a file of the database was removed while it was in use."""

    async def empty_log(self) -> None:  # noqa: B027 - a database server looks after its own log
        """Bring what is committed into the database file, and empty the log beside it, unless somebody uses the log."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    async def keep_policies(self, kept: Sequence[Policy], now: datetime) -> None:
        """Store the policies in force, so that decisions under them can always be explained."""
        async with self.snapshot() as reading:
            known = await reading.known_policies()
        for policy in kept:
            if policy.version not in known:
                try:
                    async with self.transaction() as tx:
                        await tx.keep_policy(policy, now)
                except TakenError as error:
                    if error.constraint != "pk_policies":  # another node has just stored it
                        raise

    async def note_in_force(self, started_with: Sequence[Policy], now: datetime) -> None:
        """Note the policies with which a server starts. Nothing is written if a server started with them last."""
        async with self.snapshot() as reading:
            noted = [await reading.policy_in_force(policy.contract) for policy in started_with]
        uses = zip(started_with, noted, strict=True)
        new = [policy for policy, use in uses if use is None or use.version != policy.version]
        if new:
            async with self.transaction() as tx:
                for policy in sorted(new, key=lambda one: one.contract):  # nodes that start at once do not deadlock
                    await tx.note_in_force(policy, now)

"""Opens snapshots and transactions on SQLite.

All writes of a process take one lock (`write_lock.py`) and `BEGIN IMMEDIATE`, including the batches of cancellations.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from countermand.actions.errors import OutcomeUnknownError
from countermand.actions.ordering.views import OrderView
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.driver import as_unforeseen, shielded, translated_driver
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.sqlite.checkpoints import Checkpoints
from countermand.storage.sqlite.direct import SqliteDirect, view_rows
from countermand.storage.sqlite.errors import DRIVER_ERRORS, is_undone, our_error, retry_while_busy, translated
from countermand.storage.sqlite.file import OpenFile, connect, set_up
from countermand.storage.sqlite.write_lock import WriteLock
from countermand.storage.store import SqlStore

_READERS: Final = 5


def engine_for(
    path: Path, *, connections: int, busy_limit_s: float, connected: Callable[[], None] = lambda: None
) -> AsyncEngine:
    """Return an engine without automatic transactions. It calls `connected` after each new connection.

    `busy_limit_s` limits the wait for one of its connections.
    """
    engine = create_async_engine(
        # mode=rw: a missing file must not be created, least of all by a health check.
        URL.create("sqlite+aiosqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"}),
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": 0},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_limit_s,
        hide_parameters=True,  # a logged error must not contain people's names
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        set_up(connection)
        connected()

    return engine


class SqliteStore(SqlStore):
    """Implements `SqlStore`. `busy_limit_s` limits the wait for a reader's connection, `write_lock` a writer's wait.

    `checkpoints` are all those of the process; the store closes them.

    Writers have a connection of their own, so that a writer with the write lock never waits for readers' connections.
    """

    def __init__(
        self, path: Path, kinds: OrderKinds, write_lock: WriteLock, checkpoints: Checkpoints, *, busy_limit_s: float
    ) -> None:
        super().__init__(kinds)
        self._path = path
        self._file = OpenFile(path)
        self._reading = engine_for(
            path, connections=_READERS, busy_limit_s=busy_limit_s, connected=self._file.connected
        )
        self._writing = engine_for(path, connections=1, busy_limit_s=busy_limit_s, connected=self._file.connected)
        self._write_lock = write_lock
        self._checkpoints = checkpoints
        self._looking: sqlite3.Connection | None = None  # for what is read on the event loop

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlTransaction]:
        """See `Snapshots.snapshot`. Readers and the writer never wait for each other (WAL)."""
        self._file.check()
        async with _connected(self._reading) as connection:
            with translated_driver(our_error):
                await shielded(connection.exec_driver_sql("BEGIN"))
            try:
                yield SqlTransaction(connection, await SqliteDirect.of(connection), our_error, self.kinds)
            finally:
                await _rolled_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """See `Transactions.transaction`."""
        self._file.check()
        # The limit covers the whole wait: that for this process's lock, and that for another process's.
        async with self._write_lock.for_transaction() as limit_s, _connected(self._writing) as connection:
            with translated_driver(our_error):
                await retry_while_busy(lambda: shielded(connection.exec_driver_sql("BEGIN IMMEDIATE")), limit_s=limit_s)
            try:
                before = await _changes(connection)
                tx = SqlTransaction(connection, await SqliteDirect.of(connection), our_error, self.kinds)
                yield tx
            except BaseException:
                await _rolled_back(connection)
                raise
            await _committed(connection)
            self._checkpoints.committed(await _changes(connection) - before)
        if tx.wrote_events:
            self.after_events()

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """See `SqlStore.views`. A thread would take longer than these statements."""
        self._file.check()
        with translated():
            if self._looking is None:
                self._looking = connect(self._path)
                self._file.connected()
            self._looking.execute("BEGIN")
            try:
                rows = view_rows(self._looking, order_ids)
            finally:
                if self._looking.in_transaction:  # an error of the disk may have ended it
                    self._looking.execute("ROLLBACK")
        return await rows.views(self.kinds)

    async def now(self) -> datetime:
        """See `SqlStore.now`. The machine's clock: a file has none, and all its processes are on one machine."""
        return datetime.now(UTC)

    def check_files(self) -> None:
        """See `SqlStore.check_files`."""
        self._file.check_all()

    async def empty_log(self) -> None:
        """See `SqlStore.empty_log`."""
        await self._checkpoints.empty_log()

    async def close(self) -> None:
        """See `SqlStore.close`."""
        await self._checkpoints.close()
        if self._looking is not None:
            self._looking.close()
        await self._reading.dispose()
        await self._writing.dispose()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translated_driver(our_error):
        connection = await engine.connect()
    try:
        yield connection
    finally:
        with as_unforeseen(DRIVER_ERRORS):
            await shielded(connection.close())


async def _changes(connection: AsyncConnection) -> int:
    """Return how many rows the connection has changed since it was opened."""
    raw = await connection.get_raw_connection()
    return 0 if raw.driver_connection is None else int(raw.driver_connection.total_changes)


async def _committed(connection: AsyncConnection) -> None:
    try:
        await shielded(connection.exec_driver_sql("COMMIT"))
    except DRIVER_ERRORS as error:
        ours = our_error(error)
        # If the disk is full, SQLite has ended the transaction. If the transaction is still open, nothing was written.
        if not (is_undone(error) or await _in_transaction(connection)):
            raise OutcomeUnknownError("the disk failed while the database committed") from error
        await _rolled_back(connection)
        raise ours or error from error


async def _rolled_back(connection: AsyncConnection) -> None:
    with as_unforeseen(DRIVER_ERRORS):
        if await _in_transaction(connection):
            await shielded(connection.exec_driver_sql("ROLLBACK"))


async def _in_transaction(connection: AsyncConnection) -> bool:
    if connection.invalidated:  # the caller was cancelled: the driver closed the connection, which rolls back
        return False
    raw = await connection.get_raw_connection()
    return raw.driver_connection is not None and bool(raw.driver_connection.in_transaction)

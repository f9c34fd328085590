"""Opens snapshots and transactions on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.driver import as_unforeseen, shielded, translated_driver
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered, our_error
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore


class PostgresStore(SqlStore):
    """Implements `SqlStore`. Each change of an order locks its row first, so READ COMMITTED is enough for writing."""

    def __init__(self, address: PostgresAddress, kinds: OrderKinds, *, connections: int) -> None:
        super().__init__(kinds)
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=address.connect,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,  # a logged error must not contain people's names
            pool_timeout=address.busy_limit_s,
        )
        _look_after_connections(engine, limit_s=address.connect_limit_s)
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlTransaction]:
        """See `Snapshots.snapshot`. All tables are read as of the first statement."""
        async with _connected(self._reading) as connection:
            try:
                yield SqlTransaction(connection, our_error, self.kinds)
            finally:
                await _rolled_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """See `Transactions.transaction`."""
        async with _connected(self._engine) as connection:
            tx = SqlTransaction(connection, our_error, self.kinds)
            try:
                yield tx
            except BaseException:
                await _rolled_back(connection)
                raise
            await _committed(connection)
        if tx.wrote_events:
            self.after_events()

    async def now(self) -> datetime:
        """See `SqlStore.now`."""
        async with self.snapshot() as reading:
            (row,) = await reading.rows(select(func.clock_timestamp().label("now")))
        now: datetime = row["now"]
        return now.astimezone(UTC)

    async def close(self) -> None:
        """See `SqlStore.close`."""
        await self._engine.dispose()


def _look_after_connections(engine: AsyncEngine, *, limit_s: float) -> None:
    """Check each pooled connection before its use: a restarted server causes no error, a vanished one costs `limit_s`.

    SQLAlchemy's own ping does not fit: it waits as long as a statement may take, keeps a connection that did not
    answer, and closes each dead connection politely before it tries the next.
    """

    def ask(connection: Any, _record: object, _proxy: object) -> None:
        try:
            connection.run_async(lambda driver: driver.execute("SELECT", timeout=limit_s))
        except DRIVER_ERRORS as error:
            raise InvalidatePoolError from error  # the other connections are as old
        told = connection.driver_connection.get_settings()  # the server reports changed settings with its answer
        if "on" in {getattr(told, name, "off") for name in ("default_transaction_read_only", "in_hot_standby")}:
            raise InvalidatePoolError("the server takes no writes any more; another may")

    def drop(connection: Any, _record: object) -> None:
        connection.driver_connection.terminate()

    event.listen(engine.sync_engine, "checkout", ask)
    event.listen(engine.sync_engine, "close", drop)


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translated_driver(our_error):
        try:
            connection = await engine.connect()
        except InvalidRequestError as error:  # even a new connection had ended by the time it was checked
            raise UnavailableError("no connection to the database stays") from error
    try:
        yield connection
    finally:
        with as_unforeseen((*DRIVER_ERRORS, DBAPIError)):
            await shielded(connection.close())


async def _committed(connection: AsyncConnection) -> None:
    try:
        await shielded(connection.commit())
    except (*DRIVER_ERRORS, DBAPIError) as error:
        if is_unanswered(error):
            raise OutcomeUnknownError("the database went away while it committed") from error
        raise our_error(error) or error from error


async def _rolled_back(connection: AsyncConnection) -> None:
    # If the connection is gone, the server has rolled back already.
    with suppress(*DRIVER_ERRORS, DBAPIError):
        await shielded(connection.rollback())

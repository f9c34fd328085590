"""Reads and transactions on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from countermand.actions.errors import CountermandError, OutcomeUnknownError, UnavailableError
from countermand.storage.driver import shielded, translated_driver
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered, our_error
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore


class PostgresStore(SqlStore):
    """Fulfils `Store`. Whoever changes an order locks its row first, so READ COMMITTED is enough for writing."""

    def __init__(self, address: PostgresAddress, *, connections: int) -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=address.connect,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,  # an error that is logged tells nobody's name
            pool_timeout=address.busy_limit_s,
        )
        _look_after_connections(engine, limit_s=address.connect_limit_s)
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlTransaction]:
        """See `Store.snapshot`. One view of all tables, as of the first statement."""
        async with _connected(self._reading) as connection:
            try:
                yield SqlTransaction(connection, our_error)
            finally:
                await _rolled_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """See `Store.transaction`."""
        async with _connected(self._engine) as connection:
            try:
                yield SqlTransaction(connection, our_error)
            except BaseException:
                await _rolled_back(connection)
                raise
            await _committed(connection)

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
    """A server that restarted costs nobody an error, and one that vanished without a word no more than `limit_s`.

    Not SQLAlchemy's own ping: it waits as long as a statement may take, keeps the connection that did not answer, and
    says goodbye to every dead connection before the next is tried.
    """

    def ask(connection: Any, _record: Any, _proxy: Any) -> None:
        try:
            connection.run_async(lambda driver: driver.execute("SELECT", timeout=limit_s))
        except DRIVER_ERRORS as error:
            raise InvalidatePoolError from error  # the others are no younger
        told = connection.driver_connection.get_settings()  # by the server, with that answer, once they change
        if "on" in {getattr(told, name, "off") for name in ("default_transaction_read_only", "in_hot_standby")}:
            raise InvalidatePoolError("the server takes no writes any more; another may")

    def drop(connection: Any, _record: Any) -> None:
        connection.driver_connection.terminate()

    event.listen(engine.sync_engine, "checkout", ask)
    event.listen(engine.sync_engine, "close", drop)


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translated_driver(our_error):
        try:
            connection = await engine.connect()
        except InvalidRequestError as error:  # a new connection, too, had ended by the time it was asked
            raise UnavailableError("no connection to the database stays") from error
    try:
        yield connection
    finally:
        await shielded(connection.close())


async def _committed(connection: AsyncConnection) -> None:
    try:
        await shielded(connection.commit())
    except (*DRIVER_ERRORS, DBAPIError) as error:
        if is_unanswered(error):
            raise OutcomeUnknownError("the database went away while it committed") from error
        ours: CountermandError | None = our_error(error)
        raise ours or error from error


async def _rolled_back(connection: AsyncConnection) -> None:
    # Where the connection is gone, so is the transaction.
    with suppress(*DRIVER_ERRORS, DBAPIError):
        await shielded(connection.rollback())

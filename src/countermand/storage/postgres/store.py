"""Opens snapshots and transactions on PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from countermand.actions.errors import OutcomeUnknownError
from countermand.actions.ordering.views import OrderView
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.driver import shielded, translated_driver
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.postgres.direct import PostgresDirect, view_rows_at_once
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered, our_error
from countermand.storage.postgres.lending import Lending, Lent
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore

_BEGINS: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGINS_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ROLLS_BACK: Final = "ROLLBACK"


class PostgresStore(SqlStore):
    """Implements `SqlStore`. Each change of an order locks its row first, so READ COMMITTED is enough for writing."""

    def __init__(self, address: PostgresAddress, kinds: OrderKinds, *, connections: int) -> None:
        super().__init__(kinds)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=address.connect,
            isolation_level="AUTOCOMMIT",  # the driver begins and ends transactions, not the toolkit
            pool_size=connections,
            max_overflow=0,
            pool_timeout=address.busy_limit_s,
            hide_parameters=True,  # a logged error must not contain people's names
        )
        self._lending = Lending(
            self._engine,
            connections=connections,
            busy_limit_s=address.busy_limit_s,
            connect_limit_s=address.connect_limit_s,
        )

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlTransaction]:
        """See `Snapshots.snapshot`. All tables are read as of the first statement."""
        async with self._lending.connection() as lent:
            direct = PostgresDirect(lent.driver, _BEGINS_SNAPSHOT, is_snapshot=True)
            try:
                yield SqlTransaction(lent.toolkit, direct, our_error, self.kinds)
            finally:
                await _rolled_back(lent, direct)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """See `Transactions.transaction`. The first statement begins it."""
        async with self._lending.connection() as lent:
            direct = PostgresDirect(lent.driver, _BEGINS, is_snapshot=False)
            tx = SqlTransaction(lent.toolkit, direct, our_error, self.kinds)
            try:
                yield tx
            except BaseException:
                await _rolled_back(lent, direct)
                raise
            await _committed(lent, direct)
        if tx.wrote_events:
            self.after_events()

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """See `SqlStore.views`. One statement needs no transaction around it."""
        async with self._lending.connection() as lent:
            with translated_driver(our_error):
                rows = await shielded(view_rows_at_once(lent.driver, order_ids))
            lent.is_idle = True
        return await rows.views(self.kinds)

    async def now(self) -> datetime:
        """See `SqlStore.now`."""
        async with self.snapshot() as reading:
            (row,) = await reading.rows(select(func.clock_timestamp().label("now")))
        now: datetime = row["now"]
        return now.astimezone(UTC)

    async def close(self) -> None:
        """See `SqlStore.close`."""
        await self._lending.close()


async def _committed(lent: Lent, direct: PostgresDirect) -> None:
    try:
        await shielded(direct.commit())
    except DRIVER_ERRORS as error:
        if is_unanswered(error):
            raise OutcomeUnknownError("the database went away while it committed") from error
        raise our_error(error) or error from error
    lent.is_idle = True


async def _rolled_back(lent: Lent, direct: PostgresDirect) -> None:
    # If the connection is gone, the server has rolled back already.
    with suppress(*DRIVER_ERRORS):
        if direct.has_begun:
            await shielded(lent.driver.execute(_ROLLS_BACK))
        lent.is_idle = True

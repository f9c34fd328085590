"""How is a statement run within a transaction? With our errors, and never left half run."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.driver import OurError, shielded, translated_driver
from countermand.storage.sql_types import Result


class StatementRunner:
    """One connection, within a transaction. `kinds` are the contracts in force, each with the kind of its orders."""

    def __init__(self, connection: AsyncConnection, our_error: OurError, kinds: OrderKinds) -> None:
        self._connection = connection
        self._our_error = our_error
        self._kinds = kinds
        self._on_postgres = connection.dialect.name == "postgresql"

    async def _execute(self, statement: Executable, rows: Sequence[Mapping[str, object]] | None = None) -> Result:
        with translated_driver(self._our_error):
            return await shielded(self._connection.execute(statement, rows))

    def _insert(self, into: Table) -> "postgresql.Insert | sqlite.Insert":
        """An insert that may say what to do on a conflict, which every database spells for itself."""
        return postgresql.insert(into) if self._on_postgres else sqlite.insert(into)

    async def _one(self, statement: Executable) -> RowMapping | None:
        return (await self._execute(statement)).mappings().one_or_none()

    async def run(self, statement: Executable) -> int:
        """Run a statement that gives no rows, with our errors; say how many rows it changed."""
        return (await self._execute(statement)).rowcount

    async def rows(self, statement: Executable) -> Sequence[RowMapping]:
        """The rows of any statement, with our errors."""
        return (await self._execute(statement)).mappings().all()

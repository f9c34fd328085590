"""Runs the statements of one transaction. It translates the driver's errors, and never leaves a statement half run."""

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Executable, Table, and_, any_, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from countermand.actions.slices import Slices
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.direct import Direct
from countermand.storage.driver import OurError, shielded, translated_driver
from countermand.storage.prepared import Prepared
from countermand.storage.sql_types import Column, Result, Row

Found = TypeVar("Found")

_ROWS_AT_ONCE: Final = 500


class StatementRunner:
    """Runs statements on one connection, within a transaction.

    `direct` runs the statements that count on the same connection, without the toolkit. `our_error` translates the
    driver's errors. `kinds` has the kind of orders of each contract in force. `wrote_events` says whether the
    transaction wrote events that the relay has to hear of.
    """

    def __init__(self, connection: AsyncConnection, direct: Direct, our_error: OurError, kinds: OrderKinds) -> None:
        self._connection = connection
        self._direct = direct
        self._our_error = our_error
        self._kinds = kinds
        self._on_postgres = connection.dialect.name == "postgresql"
        self.wrote_events = False

    async def _execute(self, statement: Executable, rows: Sequence[Mapping[str, object]] | None = None) -> Result:
        with translated_driver(self._our_error):
            return await shielded(self._through_toolkit(statement, rows))

    async def _through_toolkit(self, statement: Executable, rows: Sequence[Mapping[str, object]] | None) -> Result:
        await self._direct.begin()
        return await self._connection.execute(statement, rows)

    async def _at_once(self, statement: Coroutine[object, object, Found]) -> Found:
        """Run a statement of `direct`, and return what it found."""
        with translated_driver(self._our_error):
            return await shielded(statement)

    async def _prepared(self, statement: Prepared, given: Mapping[str, object]) -> Sequence[Row]:
        """Run a statement that was compiled before, with these arguments, and return its rows."""
        text = statement.postgres if self._on_postgres else statement.sqlite
        return await self._at_once(self._direct.rows(text.text, *text.arguments(given)))

    async def _prepared_one(self, statement: Prepared, given: Mapping[str, object]) -> Row | None:
        """Run the same, and return its only row, or None."""
        rows = await self._prepared(statement, given)
        assert len(rows) <= 1, "the condition names one row"
        return rows[0] if rows else None

    def _insert(self, into: Table) -> "postgresql.Insert | sqlite.Insert":
        """Return an insert that can say what to do on a conflict. Each database has its own syntax for that."""
        return postgresql.insert(into) if self._on_postgres else sqlite.insert(into)

    def _among(self, column: Column, values: Collection[object]) -> ColumnElement[bool]:
        """Return the condition that a column has one of many values.

        On PostgreSQL the values are one array, so that the statement's text is the same for any number of values, and
        a connection prepares it once.
        """
        if self._on_postgres:
            return column == any_(bindparam(None, list(values), type_=postgresql.ARRAY(column.type)))
        return column.in_(values)

    def _rows_among(
        self, columns: Sequence[Column], rows: Sequence[Sequence[object]], by: int = 1
    ) -> ColumnElement[bool]:
        """Return the condition that some columns together have one of many rows of values; see `_among`.

        For two rows or more, SQLite reads the whole table, unless it gets the values of the first `by` columns, which
        begin an index, once more on their own.
        """
        if not self._on_postgres:
            values = [list(dict.fromkeys(row[place] for row in rows)) for place in range(by)]
            near = [column.in_(few) for column, few in zip(columns, values, strict=False)]
            return and_(*near, tuple_(*columns).in_(rows))
        arrays = [
            bindparam(None, [row[place] for row in rows], type_=postgresql.ARRAY(column.type))
            for place, column in enumerate(columns)
        ]
        names = [f"c{place}" for place in range(len(columns))]
        return tuple_(*columns).in_(select(func.unnest(*arrays).table_valued(*names).render_derived()))

    async def _one(self, statement: Executable) -> RowMapping | None:
        return (await self._execute(statement)).mappings().one_or_none()

    async def run(self, statement: Executable) -> int:
        """Run a statement that returns no rows, and return the number of rows that it changed."""
        return (await self._execute(statement)).rowcount

    async def rows(self, statement: Executable) -> Sequence[RowMapping]:
        """Run a statement and return its rows. Many rows are converted in slices."""
        found = (await self._execute(statement)).mappings()
        rows: list[RowMapping] = []
        slices = Slices()
        while some := found.fetchmany(_ROWS_AT_ONCE):
            rows += some
            await slices.pause()
        return rows

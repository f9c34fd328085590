"""Runs the statements that count over the driver itself: all of them in one step of the connection's thread."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from sqlalchemy import func, literal_column, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from countermand.storage.repositories.new_orders import NewRows
from countermand.storage.repositories.offers import OfferNames, OfferRows, offer_queries
from countermand.storage.repositories.rows import ViewRows, view_queries
from countermand.storage.sql_types import Query, Row
from countermand.storage.sqlite.new_orders import insert_new

if TYPE_CHECKING:
    import aiosqlite

_Result = TypeVar("_Result")


def _text(query: Query) -> str:
    return str(query.compile(dialect=sqlite.dialect(paramstyle="named")))


_MEMBER: Final[Query] = select(literal_column("value")).select_from(func.json_each(text(":ids")))
_VIEWS: Final = {name: _text(query) for name, query in view_queries(lambda column: column.in_(_MEMBER)).items()}


_OFFER: Final = {
    name: _text(query)
    for name, query in offer_queries(
        *(
            select(literal_column("value")).select_from(func.json_each(text(f":{names}")))
            for names in OfferNames._fields
        )
    ).items()
}
_COUNT: Final = """
INSERT INTO counters (name, last) VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last
"""


def _next_number(connection: sqlite3.Connection, counter: str) -> int:
    (row,) = rows_of(connection, _COUNT, {"name": counter})
    return int(row["last"])


def view_rows(connection: sqlite3.Connection, order_ids: Sequence[int]) -> ViewRows:
    """Return the rows of orders."""
    ids = {"ids": msgspec.json.encode(order_ids).decode()}
    return ViewRows(**{name: rows_of(connection, statement, ids) for name, statement in _VIEWS.items()})


def rows_of(connection: sqlite3.Connection, statement: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
    """Return the rows of a statement, which are read by the column's name on any connection."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(statement, parameters).fetchall()


class SqliteDirect:
    """Implements `Direct` on a connection of the toolkit, in its transaction."""

    def __init__(self, connection: "aiosqlite.Connection") -> None:
        self._connection = connection

    @classmethod
    async def of(cls, connection: AsyncConnection) -> "SqliteDirect":
        """Return the same for a connection of the toolkit."""
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None, "an open connection has the driver's"
        return cls(raw.driver_connection)

    async def begin(self) -> None:
        """See `Direct.begin`. The store has begun the transaction."""

    async def claim(self, number: int) -> None:
        """See `Direct.claim`. The transaction holds the only write lock anyhow."""

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """See `Direct.rows`."""
        given = {str(number): one for number, one in enumerate(arguments, start=1)}
        return await self._run(lambda connection: rows_of(connection, statement, given))

    async def next_numbers(self, counters: Sequence[str]) -> Sequence[int]:
        """See `Direct.next_numbers`."""
        return await self._run(lambda connection: [_next_number(connection, counter) for counter in counters])

    async def offer_rows(self, named: OfferNames, counter: str | None = None) -> tuple[OfferRows, int | None]:
        """See `Direct.offer_rows`."""
        given = {name: msgspec.json.encode(names).decode() for name, names in named._asdict().items()}

        def step(connection: sqlite3.Connection) -> tuple[OfferRows, int | None]:
            found = {name: rows_of(connection, statement, given) for name, statement in _OFFER.items()}
            return OfferRows(**found), None if counter is None else _next_number(connection, counter)

        return await self._run(step)

    async def insert_new(self, new: NewRows) -> Sequence[Row]:
        """See `Direct.insert_new`."""
        return await self._run(lambda connection: insert_new(connection, new))

    async def view_rows(self, order_ids: Sequence[int]) -> ViewRows:
        """See `Direct.view_rows`."""
        return await self._run(lambda connection: view_rows(connection, order_ids))

    async def _run(self, step: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run several statements in one step of the thread, which each statement would otherwise wait for."""
        execute: Callable[..., Awaitable[_Result]] = self._connection._execute  # noqa: SLF001 - it runs any function
        return await execute(step, self._connection._conn)  # noqa: SLF001

"""Runs the statements that count over the driver itself: prepared once for each connection, and one for everything."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, any_, literal_column
from sqlalchemy.dialects import postgresql

from countermand.storage.postgres.lending import DriverConnection
from countermand.storage.repositories.rows import ViewRows, view_queries
from countermand.storage.sql_types import Column, Query

# More orders are read with a statement for each table, because the driver converts rows piece by piece as they arrive,
# and one long text all at once.
_ORDERS_AT_ONCE: Final = 8


def _text(query: Query) -> str:
    return str(query.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


def _views(member: Callable[[Column], ColumnElement[bool]]) -> dict[str, str]:
    return {name: _text(query) for name, query in view_queries(member).items()}


def _at_once(views: Mapping[str, str]) -> str:
    """Return one statement with a row for each of these: its name, and its rows as JSON."""
    return " UNION ALL ".join(
        f"SELECT '{name}', coalesce(json_agg(r), '[]')::text FROM ({text}) AS r" for name, text in views.items()
    )


_VIEWS: Final = _views(lambda column: column == any_(literal_column("$1::bigint[]")))
_VIEWS_AT_ONCE: Final = _at_once(_VIEWS)
# For one order PostgreSQL soon keeps a plan. For an array it would plan each time, because it does not know the number
# of elements, and that takes ten times as long as the statement.
_VIEW_AT_ONCE: Final = _at_once(_views(lambda column: column == literal_column("$1::bigint")))


async def view_rows_at_once(connection: DriverConnection, order_ids: Sequence[int]) -> ViewRows:
    """Return the rows of a few orders with one statement, which sees one state."""
    if len(order_ids) == 1:
        found = await connection.fetch(_VIEW_AT_ONCE, order_ids[0])
    else:
        found = await connection.fetch(_VIEWS_AT_ONCE, order_ids)
    return ViewRows(**{name: msgspec.json.decode(rows) for name, rows in found})


class PostgresDirect:
    """Implements `Direct`. `begins` is the statement that begins the transaction."""

    def __init__(self, connection: DriverConnection, begins: str) -> None:
        self._connection = connection
        self._begins = begins
        self.has_begun = False

    async def begin(self) -> None:
        """See `Direct.begin`."""
        if not self.has_begun:
            self.has_begun = True
            await self._connection.execute(self._begins)

    async def view_rows(self, order_ids: Sequence[int]) -> ViewRows:
        """See `Direct.view_rows`. Within a snapshot, or where all orders are locked, several statements agree."""
        await self.begin()
        if len(order_ids) <= _ORDERS_AT_ONCE:
            return await view_rows_at_once(self._connection, order_ids)
        return ViewRows(**{name: await self._connection.fetch(text, order_ids) for name, text in _VIEWS.items()})

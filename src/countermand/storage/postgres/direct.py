"""Runs the statements that count over the driver itself: prepared once for each connection, and one for everything."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, any_, func, literal_column, select
from sqlalchemy.dialects import postgresql

from countermand.actions.errors import UnavailableError
from countermand.storage.postgres.lending import DriverConnection
from countermand.storage.postgres.new_orders import insert_new
from countermand.storage.repositories.new_orders import NewRows
from countermand.storage.repositories.offers import OfferNames, OfferRows, offer_queries
from countermand.storage.repositories.rows import ViewRows, view_queries
from countermand.storage.sql_types import Column, Query, Row

# More orders are read with a statement for each table, because the driver converts rows piece by piece as they arrive,
# and one long text all at once.
_ORDERS_AT_ONCE: Final = 8
_ORDERS_IN_TURN: Final = 32  # of a transaction that is no snapshot: one statement for so many


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


_ROLLED_BACK: Final = "ROLLBACK"  # PostgreSQL's answer, without an error, to a COMMIT after a failed statement
_COMMITS: Final = "COMMIT;"
_NUMBER: Final = "number"
_OFFER: Final = _at_once(
    {
        name: _text(query)
        for name, query in offer_queries(
            *(select(func.unnest(literal_column(f"${place}::text[]"))) for place in (1, 2, 3))
        ).items()
    }
)
# PostgreSQL would plan statements with arrays each time, because it does not know the number of their elements.
_PLANNED: Final = "SET LOCAL plan_cache_mode = force_generic_plan"


async def view_rows_at_once(connection: DriverConnection, order_ids: Sequence[int]) -> ViewRows:
    """Return the rows of a few orders with one statement, which sees one state."""
    if len(order_ids) == 1:
        found = await connection.fetch(_VIEW_AT_ONCE, order_ids[0])
    else:
        found = await connection.fetch(_VIEWS_AT_ONCE, order_ids)
    return ViewRows(**{name: msgspec.json.decode(rows) for name, rows in found})


class PostgresDirect:
    """Implements `Direct`. `begins` is the statement that begins the transaction; all statements of a snapshot agree.

    A new order that takes nothing off the stock waits for the next statement. If the commit comes first, the order is a
    transaction by itself, with no round trip to begin it and none to commit it.
    """

    def __init__(self, connection: DriverConnection, begins: str, *, is_snapshot: bool) -> None:
        self._connection = connection
        self._begins = begins
        self._is_snapshot = is_snapshot
        self._waiting: NewRows | None = None
        self.has_begun = False

    async def begin(self) -> None:
        """See `Direct.begin`."""
        await self._begin()

    async def _begin(self, *first: str) -> None:
        """Begin the transaction, unless it has begun, and run the first statements in the same round trip."""
        if not self.has_begun:
            self.has_begun = True
            first = (self._begins, *first)
        if first:
            await self._connection.execute("; ".join(first))
        if (waiting := self._waiting) is not None:
            self._waiting = None
            await insert_new(self._connection, waiting)

    async def commit(self) -> None:
        """Commit the transaction, if there was any statement. Raises `UnavailableError` if a statement of it failed."""
        if self.has_begun:
            if await self._connection.execute(_COMMITS) == _ROLLED_BACK:
                raise UnavailableError(
                    "a statement of the transaction failed; nothing was done; send the request again"
                )
        elif self._waiting is not None:
            await insert_new(self._connection, self._waiting)

    async def _begin_planned(self) -> None:
        """Begin the transaction, unless it has begun, with plans that do not depend on the number of elements."""
        if not self.has_begun:
            await self._begin(_PLANNED)

    async def claim(self, number: int) -> None:
        """See `Direct.claim`."""
        planned = () if self.has_begun else (_PLANNED,)
        await self._begin(*planned, f"SELECT pg_advisory_xact_lock({number:d})")

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """See `Direct.rows`."""
        await self._begin_planned()
        return await self._connection.fetch(statement, *arguments)

    async def next_numbers(self, counters: Sequence[str]) -> Sequence[int]:
        """See `Direct.next_numbers`. These are sequences: nobody waits, and a number may be left out."""
        chosen = ", ".join(f"nextval('{counter}_number')" for counter in counters)
        row = await self._connection.fetchrow(f"SELECT {chosen}")
        assert row is not None, "a sequence has a next number"
        return tuple(row)

    async def offer_rows(self, named: OfferNames, counter: str | None = None) -> tuple[OfferRows, int | None]:
        """See `Direct.offer_rows`. It is one statement, so it sees one state."""
        await self._begin_planned()
        counting = "" if counter is None else f" UNION ALL SELECT '{_NUMBER}', nextval('{counter}_number')::text"
        rows = await self._connection.fetch(_OFFER + counting, *named)
        found: dict[str, str] = {row[0]: row[1] for row in rows}
        number = found.pop(_NUMBER, None)
        offered = OfferRows(**{name: msgspec.json.decode(text) for name, text in found.items()})
        return offered, None if number is None else int(number)

    async def insert_new(self, new: NewRows) -> Sequence[Row]:
        """See `Direct.insert_new`."""
        if not (self.has_begun or self._waiting or new.places):
            self._waiting = new
            return ()
        await self._begin_planned()
        return await insert_new(self._connection, new)

    async def view_rows(self, order_ids: Sequence[int]) -> ViewRows:
        """See `Direct.view_rows`. In no snapshot, one statement reads all rows of an order, so that they agree."""
        await self._begin_planned()
        if len(order_ids) <= _ORDERS_AT_ONCE:
            return await view_rows_at_once(self._connection, order_ids)
        if self._is_snapshot:
            return ViewRows(**{name: await self._connection.fetch(text, order_ids) for name, text in _VIEWS.items()})
        parts = [order_ids[first : first + _ORDERS_IN_TURN] for first in range(0, len(order_ids), _ORDERS_IN_TURN)]
        found = [await view_rows_at_once(self._connection, part) for part in parts]
        return ViewRows(**{name: [row for one in found for row in getattr(one, name)] for name in _VIEWS})

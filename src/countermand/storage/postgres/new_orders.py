"""Makes the statement that writes a new order, with everything that belongs to it, and takes its places off the stock.

It is one statement, so that the products are locked for its own time and that of the commit alone. Parts that an order
cannot need are left out. All locks but those of the products are of rows that nobody else knows yet, and the products
are locked by their uids, as in every transaction. After a wait PostgreSQL reads their newest versions.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Final

from countermand.storage.postgres.lending import DriverConnection
from countermand.storage.repositories.new_orders import Columns, NewRows
from countermand.storage.repositories.rows import SHOWN_OF_PRODUCTS
from countermand.storage.sql_types import Row
from countermand.storage.tables.columns import metadata

_SHOWN: Final = ", ".join(f"p.{name}" for name in (*SHOWN_OF_PRODUCTS, "is_seated"))
# The statement returns no row of a product with too few places, and then the whole transaction is undone.
_TAKEN: Final = f"""
held AS (
    SELECT p.uid, p.availability, w.places
    FROM unnest({{uids}}, {{places}}) AS w (uid, places) JOIN products AS p ON p.uid = w.uid
    ORDER BY p.uid FOR NO KEY UPDATE OF p
), taken AS (
    UPDATE products AS p SET availability = p.availability - held.places
    FROM held WHERE p.uid = held.uid AND held.availability >= held.places
    RETURNING {_SHOWN}
)"""
_SQL_TYPES: Final = {"BIGINT": "bigint", "INTEGER": "integer", "BOOLEAN": "boolean"}
_WRITTEN: Final = ("orders", "order_details", "order_lines", "tickets", "outbox", "voucher_uses", "expiries")
_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    table: {one.name: _SQL_TYPES.get(str(one.type), "text") for one in metadata.tables[table].c} for table in _WRITTEN
}
_HANDLES: Final = """
found AS (
    INSERT INTO order_search (handle, order_id) SELECT h, $1::bigint FROM unnest({handles}) AS h ON CONFLICT DO NOTHING
)"""


def _rows(new: NewRows) -> Mapping[str, Sequence[Columns]]:
    """Return the rows of each table that belong to the order."""
    return {
        "order_details": [new.details],
        "order_lines": new.lines,
        "tickets": new.tickets,
        "outbox": new.events,
        "voucher_uses": [{"code": code} for code in new.vouchers],
        "expiries": [] if new.expires_at is None else [{"expires_at": new.expires_at}],
    }


@lru_cache(maxsize=64)
def _statement(order: tuple[str, ...], tables: tuple[tuple[str, tuple[str, ...]], ...], *, takes_places: bool) -> str:
    """Return the statement for an order with these columns, and rows of these tables with these columns.

    PostgreSQL runs what the end selects from before everything else, so an order whose number is taken fails by that.
    The arguments are the order's number, and then those of each part in turn: a row's values for the order itself, an
    array for each column of another table, the handles, the products, their places.
    """
    numbers = count(2)

    def given(of: str) -> str:
        return f"${next(numbers)}::{of}"

    values = ", ".join(given(_TYPES["orders"][name]) for name in order)
    parts = [f"ordered AS (INSERT INTO orders ({', '.join(order)}) VALUES ({values}) RETURNING id)"]
    for table, columns in tables:
        arrays = ", ".join(given(_TYPES[table][name] + "[]") for name in columns)
        source = f"SELECT $1::bigint, r.* FROM unnest({arrays}) AS r"
        parts.append(f"{table}_made AS (INSERT INTO {table} (order_id, {', '.join(columns)}) {source})")
    parts.append(_HANDLES.format(handles=given("text[]")))
    if not takes_places:
        return f"WITH {', '.join(parts)} SELECT id FROM ordered"
    parts.append(_TAKEN.format(uids=given("text[]"), places=given("integer[]")))
    return f"WITH {', '.join(parts)} SELECT taken.* FROM ordered CROSS JOIN taken"


async def insert_new(connection: DriverConnection, new: NewRows) -> Sequence[Row]:
    """Write a new order, and return the rows of the products that had enough places."""
    tables = [(table, tuple(rows[0]), rows) for table, rows in _rows(new).items() if rows]
    shape = tuple((table, columns) for table, columns, _ in tables)
    statement = _statement(tuple(new.order), shape, takes_places=bool(new.places))
    arguments: list[object] = [new.order_id, *new.order.values()]
    for _, columns, rows in tables:
        arguments += [[row[name] for row in rows] for name in columns]
    arguments.append(new.handles)
    if new.places:
        arguments += zip(*new.places, strict=True)
    found = await connection.fetch(statement, *arguments)
    return found if new.places else ()

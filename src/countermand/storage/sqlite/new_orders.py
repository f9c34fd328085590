"""Writes a new order on SQLite, and takes its places off the stock: some statements after each other, in one step."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from countermand.storage.repositories.new_orders import Columns, NewRows
from countermand.storage.repositories.rows import SHOWN_OF_PRODUCTS

_TAKE: Final = f"""
UPDATE products SET availability = availability - :places WHERE uid = :uid AND availability >= :places
RETURNING {", ".join((*SHOWN_OF_PRODUCTS, "is_seated"))}
"""


def insert_new(connection: sqlite3.Connection, new: NewRows) -> Sequence[sqlite3.Row]:
    """Write a new order, and return the rows of the products that had enough places."""
    of_order: dict[str, object] = {"order_id": new.order_id}
    _insert(connection, "orders", [new.order])
    _insert(connection, "order_details", [of_order | dict(new.details)])
    _insert(connection, "order_lines", [of_order | dict(row) for row in new.lines])
    _insert(connection, "tickets", [of_order | dict(row) for row in new.tickets])
    _insert(connection, "outbox", [of_order | dict(row) for row in new.events])
    _insert(connection, "order_search", [of_order | {"handle": one} for one in new.handles], " ON CONFLICT DO NOTHING")
    _insert(connection, "voucher_uses", [of_order | {"code": code} for code in new.vouchers])
    if new.expires_at is not None:
        _insert(connection, "expiries", [of_order | {"expires_at": new.expires_at}])
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    taken = (cursor.execute(_TAKE, {"uid": uid, "places": places}).fetchall() for uid, places in new.places)
    return [row for rows in taken for row in rows]


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Columns], then: str = "") -> None:
    rows = list(rows)
    if rows:
        names = list(rows[0])
        values = ", ".join(f":{name}" for name in names)
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}){then}", rows)

"""Reads ticket orders as typed rows on SQLite, for the answers right after a cancellation."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from countermand.actions.ordering.ticket_order_rows import LineRow, TicketOrderRows, TicketRow
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKinds, holding_tickets
from countermand.storage.repositories.ticket_rows import (
    LINE_COLUMNS,
    PRODUCT_COLUMNS,
    TICKET_COLUMNS,
    product,
    ticket_order,
)

_IDS: Final = "(SELECT value FROM json_each(:ids))"
_ORDERS: Final = f"""
SELECT o.id, o.contract, o.client_id, o.version, o.state, o.first_payment_at, o.refunded_version = o.version,
       o.created_at, d.uid, d.reference, d.details
FROM orders AS o JOIN order_details AS d ON d.order_id = o.id
WHERE o.id IN {_IDS} AND o.contract IN ({{holding}})"""
_LINES: Final = f"""
SELECT order_id, {", ".join(LINE_COLUMNS)} FROM order_lines WHERE order_id IN {_IDS} ORDER BY order_id, line"""
_TICKETS: Final = f"""
SELECT order_id, {", ".join(TICKET_COLUMNS)} FROM tickets WHERE order_id IN {_IDS} ORDER BY order_id, number"""
_PRODUCTS: Final = f"""
SELECT {", ".join(PRODUCT_COLUMNS)} FROM products
WHERE uid IN (SELECT product_uid FROM order_lines WHERE order_id IN {_IDS})"""


class TicketRowReads:
    """The reads of ticket orders, for the contracts of this node."""

    def __init__(self, kinds: OrderKinds) -> None:
        self._orders = _ORDERS.format(holding=", ".join(f"'{one}'" for one in sorted(holding_tickets(kinds))))

    def __call__(self, connection: sqlite3.Connection, ids: str) -> Mapping[OrderId, TicketOrderRows]:
        """Return the ticket orders among these, with everything that a contract shows of them. `ids` is a JSON list.

        An order that rows cannot show, and every other order, is left out.
        """
        cursor = connection.cursor()
        cursor.row_factory = None  # tuples, which are made faster than rows that know the columns' names
        of_ids = {"ids": ids}
        lines: dict[int, list[LineRow]] = defaultdict(list)
        for order_id, *line in cursor.execute(_LINES, of_ids):
            lines[order_id].append(LineRow(*line))
        tickets: dict[int, list[TicketRow]] = defaultdict(list)
        for order_id, uid, product_uid, code, valid in cursor.execute(_TICKETS, of_ids):
            tickets[order_id].append(TicketRow(uid, product_uid, code, bool(valid)))
        products = {row[0]: product(row) for row in cursor.execute(_PRODUCTS, of_ids)}
        found = {}
        for columns in cursor.execute(self._orders, of_ids).fetchall():
            order_id = OrderId(columns[0])
            if (order := ticket_order(columns, lines[order_id], tickets[order_id], products)) is not None:
                found[order_id] = order
        return found

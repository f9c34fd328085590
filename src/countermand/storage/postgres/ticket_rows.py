"""Reads ticket orders as typed rows on PostgreSQL, for the answers right after a cancellation.

One row stands for each order, with its lines and its tickets as JSON. The last row stands for no order, and has the
products of all of them: so each product is written once, however many orders are for it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg
import msgspec

from countermand.actions.ordering.ticket_order_rows import LineRow, ProductRow, TicketOrderRows, TicketRow
from countermand.actions.slices import Slices
from countermand.domain.orders.order_kind import OrderKinds, holding_tickets
from countermand.domain.orders.order_state import OrderState
from countermand.storage.repositories.ticket_rows import (
    LINE_COLUMNS,
    ORDER_COLUMNS,
    PRODUCT_COLUMNS,
    TICKET_COLUMNS,
    ProductColumns,
    product,
    ticket_order,
)

_LINES: Final = msgspec.json.Decoder(list[LineRow])
_TICKETS: Final = msgspec.json.Decoder(list[TicketRow])
_PRODUCTS: Final = msgspec.json.Decoder(list[ProductColumns])


def _arrays(row: str, columns: Iterable[str], **instead: str) -> str:
    """Return SQL for a list of rows, each with these columns. `instead` has other SQL for some of them."""
    return f"json_build_array({', '.join(instead.get(name, f'{row}.{name}') for name in columns)})"


# The relation `c` has the orders, with everything but their documents. The row `d` is NULL for any other order.
_SELECT: Final = """
SELECT {{key}}, c.order_id, c.contract, c.owner_id, c.version, {{state}}, c.first_payment_at, c.refunded_in_full,
       c.created_at, d.uid, d.reference, d.details,
       CASE WHEN d.order_id IS NOT NULL THEN coalesce(
           (SELECT json_agg({lines} ORDER BY l.line) FROM order_lines AS l WHERE l.order_id = d.order_id), '[]')::text
       END,
       CASE WHEN d.order_id IS NOT NULL THEN coalesce(
           (SELECT json_agg({{tickets}} ORDER BY t.number) FROM tickets AS t WHERE t.order_id = d.order_id), '[]')::text
       END
FROM {{orders}}
UNION ALL
SELECT NULL, {nothing}, coalesce(json_agg({products}), '[]')::text FROM {{products}} AS p""".format(
    lines=_arrays("l", LINE_COLUMNS),
    nothing=", ".join(["NULL"] * (len(ORDER_COLUMNS) + 1)),
    products=_arrays("p", PRODUCT_COLUMNS),
)


def holds_tickets(kinds: OrderKinds, row: str = "c") -> str:
    """Return a predicate on the contract of a row that says whether its order holds tickets."""
    names = ", ".join(f"'{contract}'" for contract in sorted(holding_tickets(kinds)))
    return f"{row}.contract IN ({names})" if names else "false"


def read_ticket_orders(kinds: OrderKinds) -> str:
    """Return the statement that reads the ticket orders with the numbers `$1`. Its key is that number, as text."""
    return _SELECT.format(
        key="c.order_id::text",
        state="c.state",
        tickets=_arrays("t", TICKET_COLUMNS),
        orders=f"""(
    SELECT o.id AS order_id, o.contract, o.client_id AS owner_id, o.version, o.state, o.first_payment_at,
           o.refunded_version = o.version AS refunded_in_full, o.created_at
    FROM orders AS o WHERE o.id = ANY($1::bigint[]) AND {holds_tickets(kinds, "o")}
) AS c JOIN order_details AS d ON d.order_id = c.order_id""",
        products="""(
    SELECT * FROM products
    WHERE uid IN (SELECT l.product_uid FROM order_lines AS l WHERE l.order_id = ANY($1::bigint[]))
)""",
    )


# The products as they are after this statement: their rows stay locked until it is committed.
RETURNING_PRODUCTS: Final = f"RETURNING {', '.join(f'p.{name}' for name in PRODUCT_COLUMNS)}"


def cancelled_orders(kinds: OrderKinds) -> str:
    """Return the end of the statement that cancels a batch: its key is the command's id.

    The statement returns the products to which it gave places back; an order with another product has to be read. Lines
    and tickets are those of the statement's beginning, and cannot have changed since, because the order still has the
    version of that moment.
    """
    return _SELECT.format(
        key="c.command_id",
        state=f"'{OrderState.CANCELLED}'",
        tickets=_arrays("t", TICKET_COLUMNS, valid="false"),
        orders=f"cancelled AS c LEFT JOIN order_details AS d ON {holds_tickets(kinds)} AND d.order_id = c.order_id",
        products="given_back",
    )


async def ticket_orders(found: Iterable[asyncpg.Record]) -> dict[str, TicketOrderRows | None]:
    """Return, by key, the orders that a statement of this module returned. Many orders are converted in slices.

    None stands for an order of another kind, and for an order that rows cannot show.
    """
    made: dict[str, TicketOrderRows | None] = {}
    products: Mapping[str, ProductRow | None] = {}
    rows = []
    for row in found:
        key, lines, tickets = row[0], row[-2], row[-1]
        if key is None:
            products = {one[0]: product(one) for one in _PRODUCTS.decode(tickets)}
        elif lines is None:
            made[key] = None
        else:
            rows.append((key, row[1:-2], lines, tickets))
    slices = Slices()
    for key, columns, lines, tickets in rows:
        made[key] = ticket_order(columns, _LINES.decode(lines), _TICKETS.decode(tickets), products)
        await slices.pause()
    return made

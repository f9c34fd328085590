"""The statements that every hand-out of events runs, each compiled once for each database."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, Text, any_, func, literal_column, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningUpdate

from countermand.storage.prepared import Prepared, argument
from countermand.storage.sql_types import Column, Query
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.delivering import deliveries, delivery_head
from countermand.storage.tables.orders import order_details, orders

OF_EVENT: Final = [outbox.c[name] for name in ("order_id", "order_version", "kind", "recorded_at", "details", "digest")]


def waiting(since: object) -> ColumnElement[bool]:
    """Return the condition that nobody was handed an event yet, which was recorded then or later."""
    return outbox.c.delivered_at.is_(None) & (outbox.c.recorded_at >= since)


def _taking(along: Callable[[Select[tuple[int]]], ColumnElement[bool]]) -> ReturningUpdate[tuple[object, ...]]:
    """Return the statement that marks all events of the orders with the oldest events that nobody was handed yet."""
    waits = waiting(argument("since", BigInteger))
    some = select(outbox.c.order_id).where(waits).order_by(outbox.c.recorded_at).limit(argument("at_most", Integer))
    taken = update(outbox).where(waits, along(some)).values(delivered_at=argument("now", BigInteger))
    return taken.returning(*OF_EVENT)


def _of_orders(its_order: ColumnElement[bool]) -> Query:
    it = deliveries.c.endpoint == argument("of_endpoint", Integer)
    return select(deliveries).where(it, its_order).order_by(*deliveries.primary_key.columns)


def _owners(its_order: ColumnElement[bool]) -> Query:
    named = select(orders.c.id, orders.c.contract, orders.c.client_id, order_details.c.uid)
    return named.join(order_details, order_details.c.order_id == orders.c.id).where(its_order)


def _in_array(column: Column) -> ColumnElement[bool]:
    return column == any_(argument("ids", postgresql.ARRAY(BigInteger)))


def _in_json(column: Column) -> ColumnElement[bool]:
    return column.in_(select(literal_column("value")).select_from(func.json_each(argument("ids", Text))))


# Compiled once, because every hand-out runs them.
HEAD: Final = Prepared(select(delivery_head.c.dispatch_from).with_for_update())
TAKE: Final = Prepared(
    # PostgreSQL reads along the key for an array. For a subquery without one, it reads the whole table.
    _taking(lambda some: outbox.c.order_id == any_(func.array(some.scalar_subquery()))),
    on_sqlite=_taking(outbox.c.order_id.in_),
)
OF_ORDERS: Final = Prepared(
    _of_orders(_in_array(deliveries.c.order_id)), on_sqlite=_of_orders(_in_json(deliveries.c.order_id))
)
OWNERS: Final = Prepared(_owners(_in_array(orders.c.id)), on_sqlite=_owners(_in_json(orders.c.id)))

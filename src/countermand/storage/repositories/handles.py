"""Writes the handles that orders are found by, and makes the handles of orders that older nodes placed."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

from countermand.actions.ordering.search_ports import OfTime
from countermand.actions.ordering.views import OrderView
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId, OrderUid
from countermand.domain.orders.order_kind import kind_of
from countermand.domain.orders.search_handles import EXACT, Findable, handles_of
from countermand.storage.prepared import Prepared, argument
from countermand.storage.repositories.documents import decoded_details
from countermand.storage.sql_types import Query, Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.appointments import appointments
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.orders import order_details, orders, payments
from countermand.storage.tables.progress import task_progress
from countermand.storage.tables.search import order_search
from countermand.storage.tables.tickets import tickets

_PROGRESS: Final = "handles"
# One statement for any number of handles. A handle that is there already stays.
_ADD_ON_POSTGRES: Final = text(
    "INSERT INTO order_search (handle, order_id) SELECT * FROM unnest(:handles, :order_ids) ON CONFLICT DO NOTHING"
).bindparams(bindparam("handles", type_=ARRAY(Text)), bindparam("order_ids", type_=ARRAY(BigInteger)))
_ADD_ON_SQLITE: Final = text(
    "INSERT INTO order_search (handle, order_id) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]')"
    " FROM json_each(:pairs) WHERE true ON CONFLICT DO NOTHING"
)


_ADDED: Final = {"handle": argument("handle", Text), "order_id": argument("handle_of", BigInteger)}
_ADD_HANDLE: Final = Prepared(sqlite.insert(order_search).values(_ADDED).on_conflict_do_nothing())


def with_handle(into: Table, columns: Sequence[str]) -> Prepared:
    """Return a statement that inserts a row of an order, and on PostgreSQL also a handle of the order."""
    handle = postgresql.insert(order_search).values(_ADDED).on_conflict_do_nothing().cte("with_handle")
    values = {name: argument(name, into.c[name].type) for name in columns}
    return Prepared(insert(into).values(values).add_cte(handle), on_sqlite=insert(into).values(values))


class HandleRows(StatementRunner):
    """Adds, makes and deletes handles."""

    async def add_handles(self, pairs: Iterable[tuple[str, OrderId]]) -> None:
        """Add handles to orders. Sorted, so that two transactions that add the same ones do not wait in a circle."""
        added = sorted(pairs)
        if not self._on_postgres:
            await self._execute(_ADD_ON_SQLITE.bindparams(pairs=json.dumps(added, ensure_ascii=False)))
        elif added:
            handles, order_ids = zip(*added, strict=True)
            await self._execute(_ADD_ON_POSTGRES.bindparams(handles=list(handles), order_ids=list(order_ids)))

    async def insert_with_handle(self, row: Prepared, columns: Mapping[str, object], handle: str) -> None:
        """Insert the row of an order, and a handle of the order. `row` is made by `with_handle`."""
        if self._on_postgres:
            await self._prepared(row, {**columns, "handle": handle, "handle_of": columns["order_id"]})
        else:
            await self._prepared(row, columns)
            await self._prepared(_ADD_HANDLE, {"handle": handle, "handle_of": columns["order_id"]})

    async def renew_handles(self, order_ids: Sequence[OrderId]) -> None:
        """Delete the handles of orders, and make those anew that their rows still say.

        Whatever deletes people's data from orders calls this afterwards, in the same transaction: then no order is
        found by what was deleted, and each order by its number.
        """
        await self._execute(delete(order_search).where(order_search.c.order_id.in_(order_ids)))
        await self.make_handles(order_ids)

    async def handle_progress(self) -> OfTime | None:
        """Return the place up to which all orders have handles; None if no order was looked at."""
        row = await self._one(select(task_progress).where(task_progress.c.name == _PROGRESS))
        return None if row is None else (instant(row["reached_at"]), OrderId(row["order_id"]))

    async def move_handle_progress(self, before: OfTime | None, after: OfTime) -> bool:
        """Move that place, unless another node has moved it, or is moving it. Return whether it was moved."""
        place = {"reached_at": micros(after[0]), "order_id": after[1]}
        if before is None:
            first = self._insert(task_progress).values(name=_PROGRESS, **place)
            return await self.run(first.on_conflict_do_nothing()) > 0
        unmoved = (
            task_progress.c.name == _PROGRESS,
            task_progress.c.reached_at == micros(before[0]),
            task_progress.c.order_id == before[1],
        )
        free = select(task_progress.c.name).where(*unmoved).with_for_update(skip_locked=True)
        if not await self.rows(free):
            return False
        return await self.run(update(task_progress).where(*unmoved).values(place)) > 0

    async def orders_without_handles(
        self, after: OfTime | None, until: datetime, at_most: int
    ) -> Mapping[OfTime, bool]:
        """Return the next orders by time, placed before an instant, and whether each lacks its handles.

        Whatever places an order adds the handle of its reference with all others.
        """
        key = orders.c.created_at, orders.c.id
        has_handles = exists(
            select(literal(1)).where(
                order_search.c.handle == literal(EXACT) + order_details.c.reference,
                order_search.c.order_id == orders.c.id,
            )
        )
        following = (
            select(*key, has_handles.label("has_handles"))
            .join(order_details, order_details.c.order_id == orders.c.id)
            .where(orders.c.created_at < micros(until))
            .order_by(*key)
            .limit(at_most)
        )
        if after is not None:
            following = following.where(tuple_(*key) > tuple_(micros(after[0]), after[1]))
        rows = await self.rows(following)
        return {(instant(row["created_at"]), OrderId(row["id"])): not row["has_handles"] for row in rows}

    async def make_handles(self, order_ids: Sequence[OrderId]) -> None:
        """Make the handles of orders from their rows, and add those that are missing."""
        made = await self._by_order(select(tickets).where(tickets.c.order_id.in_(order_ids)))
        visits = await self._by_order(select(appointments).where(appointments.c.order_id.in_(order_ids)))
        paid = await self._by_order(select(payments).where(payments.c.order_id.in_(order_ids)))
        document = (
            select(orders.c.id, orders.c.contract, order_details)
            .join(order_details, order_details.c.order_id == orders.c.id)
            .where(orders.c.id.in_(order_ids))
            # Whatever deletes people's data waits until these handles are there, or these rows are read after it.
            .with_for_update(read=True, of=order_details)
        )
        pairs: list[tuple[str, OrderId]] = []
        for row in await self.rows(document):
            order_id, kind = OrderId(row["id"]), kind_of(ContractName(row["contract"]), self._kinds)
            order = Findable(
                number=order_id if row["uid"] is None else None,
                uid=None if row["uid"] is None else OrderUid(row["uid"]),
                reference=row["reference"],
                details=decoded_details(kind, row["details"]),
                tickets=tuple((ticket["uid"], ticket["code"]) for ticket in made[order_id]),
                appointments=tuple(visit["id"] for visit in visits[order_id]),
                payments=tuple(payment["reference"] for payment in paid[order_id]),
            )
            pairs += [(handle, order_id) for handle in handles_of(order)]
        await self.add_handles(pairs)

    async def _by_order(self, query: Query) -> Mapping[int, Sequence[Row]]:
        grouped: dict[int, list[Row]] = defaultdict(list)
        for row in await self.rows(query):
            grouped[row["order_id"]].append(row)
        return grouped


def findable(view: OrderView) -> Findable:
    """Return what a new order is found by."""
    order = view.order
    return Findable(
        number=order.id if order.uid is None else None,
        uid=order.uid,
        reference=order.reference,
        details=view.details,
        tickets=tuple((ticket.uid, ticket.code) for ticket in view.tickets),
        appointments=tuple(one.id for one in view.appointments),
    )

"""Copies the totals of ticket orders from their documents to the columns, which an older version left empty."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select, update

from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import kind_of
from countermand.storage.repositories.documents import decoded_details, total_columns
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.orders import order_details, orders


class TotalRows(StatementRunner):
    """Finds and fills empty totals."""

    async def empty_totals(self, after: int, at_most: int) -> Mapping[OrderId, bool]:
        """Return the next orders after a number, and whether each is a ticket order with an empty total.

        Reads `at_most` rows along the primary key, so that a step takes no longer when nearly all totals are filled.
        """
        is_empty = order_details.c.uid.is_not(None) & order_details.c.total_minor.is_(None)
        following = select(order_details.c.order_id, is_empty.label("is_empty")).where(order_details.c.order_id > after)
        rows = await self.rows(following.order_by(order_details.c.order_id).limit(at_most))
        return {OrderId(row["order_id"]): bool(row["is_empty"]) for row in rows}

    async def fill_totals(self, order_ids: Sequence[OrderId]) -> int:
        """Fill the empty totals of these orders from their documents. Return how many documents it could not read.

        Rows that another node is filling are skipped.
        """
        mine = (
            select(order_details.c.order_id, order_details.c.details, orders.c.contract)
            .join(orders, orders.c.id == order_details.c.order_id)
            .where(order_details.c.order_id.in_(order_ids), order_details.c.total_minor.is_(None))
            .order_by(order_details.c.order_id)
            .with_for_update(skip_locked=True, of=order_details)
        )
        found = [
            {
                "filled": row["order_id"],
                **total_columns(decoded_details(kind_of(ContractName(row["contract"]), self._kinds), row["details"])),
            }
            for row in await self.rows(mine)
        ]
        readable = [row for row in found if row["total_minor"] is not None]
        if readable:
            filled = update(order_details).where(order_details.c.order_id == bindparam("filled"))
            await self._execute(filled, readable)
        return len(found) - len(readable)

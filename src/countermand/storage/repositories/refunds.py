"""Finds and marks orders that were refunded in full by nodes that did not write the column."""

from collections.abc import Mapping

from sqlalchemy import select, update

from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.payment_correction import CorrectionKind, RefundState
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.orders import orders, payment_corrections


class RefundRows(StatementRunner):
    """Finds and marks orders that were refunded in full."""

    async def with_money_gone(self, after: int, at_most: int) -> Mapping[OrderId, bool]:
        """Return the next orders after a number whose money went back, and whether each lacks the mark.

        Reads along the primary key of the corrections. Most of the orders without the mark were refunded in part.
        """
        it = payment_corrections.c
        went_back = (it.kind == CorrectionKind.CHARGEBACK.value) | (it.state == RefundState.DONE.value)
        some = select(it.order_id).where(it.order_id > after, went_back).distinct().order_by(it.order_id).limit(at_most)
        of = some.subquery()
        is_marked = orders.c.refunded_version.is_not_distinct_from(orders.c.version)
        lacks_mark = (orders.c.first_payment_at.is_not(None) & ~is_marked).label("lacks_mark")
        found = select(of.c.order_id, lacks_mark).join(orders, orders.c.id == of.c.order_id).order_by(of.c.order_id)
        return {OrderId(row["order_id"]): bool(row["lacks_mark"]) for row in await self.rows(found)}

    async def mark_refunded(self, order: Order) -> None:
        """Mark a locked order as refunded in full. Nothing happened to the order, so its version stays."""
        it = orders.c
        mine = update(orders).where(it.id == order.id, it.version == order.version)
        await self._execute(mine.values(refunded_version=order.version))

"""Reads and writes payments and their references, and reads what an order costs."""

from sqlalchemy import case, func, insert, select, update

from countermand.actions.ordering.ports import OrderToPay
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.search_handles import exact_handle
from countermand.storage.repositories.corrections import TAKES_MONEY
from countermand.storage.repositories.documents import total_of
from countermand.storage.repositories.handles import HandleRows
from countermand.storage.repositories.rows import order_of, orders_named, payment_of
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import order_details, orders, payment_corrections, payment_references, payments


class PaymentRows(HandleRows):
    """Implements `PaymentWriting`."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """See `PaymentReading.paid_minor`."""
        it, that = payments.c, payment_corrections.c
        paid = select(func.coalesce(func.sum(it.amount_minor), 0)).where(
            it.order_id == order_id, it.currency == currency, it.is_late.is_(False)
        )
        gone = select(func.coalesce(func.sum(that.amount_minor), 0)).where(
            that.order_id == order_id, that.currency == currency, TAKES_MONEY
        )
        row = await self._one(select((paid.scalar_subquery() - gone.scalar_subquery()).label("kept")))
        return 0 if row is None else int(row["kept"])

    async def lock_order_to_pay(self, order_id: OrderId) -> OrderToPay | None:
        """See `PaymentWriting.lock_order_to_pay`. The document comes along only where the columns are empty."""
        total = order_details.c.total_minor, order_details.c.currency
        document = case((order_details.c.total_minor.is_(None), order_details.c.details)).label("details")
        found = orders_named().add_columns(*total, document).where(orders.c.id == order_id)
        row = await self._one(found.with_for_update(key_share=True, of=orders))
        if row is None:
            return None
        order = order_of(row, self._kinds)
        total_minor, currency = row["total_minor"], row["currency"]
        return OrderToPay(order=order, total=total_of(order.kind, total_minor, currency, row["details"]))

    async def claim_reference(self, reference: str, order_id: OrderId) -> bool:
        """See `PaymentWriting.claim_reference`. Waits for the end of another transaction that is claiming it."""
        claim = self._insert(payment_references).values(reference=reference, order_id=order_id)
        claimed = claim.on_conflict_do_nothing(index_elements=["reference"]).returning(payment_references.c.order_id)
        return await self._one(claimed) is not None

    async def move_reference(self, reference: str, before: OrderId, after: OrderId) -> bool:
        """See `PaymentWriting.move_reference`. Waits for the end of another transaction that is moving it."""
        it = payment_references.c
        moved = update(payment_references).where(it.reference == reference, it.order_id == before)
        return await self.run(moved.values(order_id=after)) > 0

    async def payment(self, reference: str) -> tuple[OrderId, Payment | None] | None:
        """See `PaymentWriting.payment`."""
        claimed = payment_references.c
        of_claim = (payments.c.order_id == claimed.order_id) & (payments.c.reference == claimed.reference)
        found = (
            select(claimed.order_id.label("claimed_by"), payments)
            .select_from(payment_references.outerjoin(payments, of_claim))
            .where(claimed.reference == reference)
        )
        row = await self._one(found)
        if row is None:
            return None
        return OrderId(row["claimed_by"]), None if row["order_id"] is None else payment_of(row)

    async def insert_payment(self, order_id: OrderId, payment: Payment) -> None:
        """See `PaymentWriting.insert_payment`."""
        row = insert(payments).values(
            order_id=order_id,
            reference=payment.reference,
            amount_minor=payment.money.minor,
            currency=payment.money.currency,
            recorded_at=micros(payment.recorded_at),
            is_late=payment.is_late,
        )
        await self.insert_with_handle(row, exact_handle(payment.reference), order_id)

"""Reads and writes payments and their references, and reads what an order costs."""

from typing import Final

from sqlalchemy import BigInteger, String, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from countermand.actions.ordering.ports import OrderToPay
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.search_handles import exact_handle
from countermand.storage.prepared import Prepared, argument
from countermand.storage.repositories.corrections import TAKES_MONEY
from countermand.storage.repositories.documents import total_of
from countermand.storage.repositories.handles import HandleRows, with_handle
from countermand.storage.repositories.rows import order_named, order_of, payment_of
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import order_details, orders, payment_corrections, payment_references, payments

_OF_ORDER: Final = argument("of_order", BigInteger)
_INSERT: Final = with_handle(payments, ("order_id", "reference", "amount_minor", "currency", "recorded_at", "is_late"))
_TO_PAY: Final = Prepared(
    order_named(_OF_ORDER)
    .add_columns(
        order_details.c.total_minor,
        order_details.c.currency,
        case((order_details.c.total_minor.is_(None), order_details.c.details)).label("details"),
    )
    .with_for_update(key_share=True, of=orders)
)


def _kept() -> Prepared:
    it, that, currency = payments.c, payment_corrections.c, argument("in_currency", String)
    paid = select(func.coalesce(func.sum(it.amount_minor), 0)).where(
        it.order_id == _OF_ORDER, it.currency == currency, it.is_late.is_(False)
    )
    gone = select(func.coalesce(func.sum(that.amount_minor), 0)).where(
        that.order_id == _OF_ORDER, that.currency == currency, TAKES_MONEY
    )
    return Prepared(select((paid.scalar_subquery() - gone.scalar_subquery()).label("kept")))


def _claim(insertion: "postgresql.Insert | sqlite.Insert") -> ClauseElement:
    claim = insertion.on_conflict_do_nothing(index_elements=["reference"])
    return claim.returning(payment_references.c.order_id)


_KEPT: Final = _kept()
_CLAIM: Final = Prepared(
    _claim(postgresql.insert(payment_references)),
    ("reference", "order_id"),
    on_sqlite=_claim(sqlite.insert(payment_references)),
)


class PaymentRows(HandleRows):
    """Implements `PaymentWriting`."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """See `PaymentReading.paid_minor`."""
        row = await self._prepared_one(_KEPT, {"of_order": order_id, "in_currency": currency})
        return 0 if row is None else int(row["kept"])

    async def lock_order_to_pay(self, order_id: OrderId) -> OrderToPay | None:
        """See `PaymentWriting.lock_order_to_pay`. The document comes along only where the columns are empty."""
        row = await self._prepared_one(_TO_PAY, {"of_order": order_id})
        if row is None:
            return None
        order = order_of(row, self._kinds)
        total_minor, currency = row["total_minor"], row["currency"]
        return OrderToPay(order=order, total=total_of(order.kind, total_minor, currency, row["details"]))

    async def claim_reference(self, reference: str, order_id: OrderId) -> bool:
        """See `PaymentWriting.claim_reference`. Waits for the end of another transaction that is claiming it."""
        return await self._prepared_one(_CLAIM, {"reference": reference, "order_id": order_id}) is not None

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
        columns = {
            "order_id": order_id,
            "reference": payment.reference,
            "amount_minor": payment.money.minor,
            "currency": payment.money.currency,
            "recorded_at": micros(payment.recorded_at),
            "is_late": payment.is_late,
        }
        await self.insert_with_handle(_INSERT, columns, exact_handle(payment.reference))

"""Reads and writes the voids of payments, the refunds and the chargebacks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, insert, select, update

from countermand.domain.known import known
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState
from countermand.storage.repositories.rows import actor_columns, actor_of, payment_of
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none
from countermand.storage.tables.orders import correction_references, payment_corrections, payments

_IT: Final = payment_corrections.c
# The rows of money that is not kept: refunds that were made or must be made, and chargebacks.
TAKES_MONEY: Final[ColumnElement[bool]] = (_IT.kind == CorrectionKind.CHARGEBACK.value) | _IT.state.in_(
    [RefundState.DUE.value, RefundState.DONE.value, RefundState.FAILED.value]
)


class CorrectionRows(StatementRunner):
    """Implements `CorrectionWriting`."""

    async def payments_of(self, order_id: OrderId) -> Sequence[Payment]:
        """See `CorrectionReading.payments_of`."""
        found = select(payments).where(payments.c.order_id == order_id).order_by(payments.c.recorded_at)
        return [payment_of(row) for row in await self.rows(found)]

    async def corrections_of(self, order_id: OrderId) -> Sequence[Correction]:
        """See `CorrectionReading.corrections_of`."""
        found = select(payment_corrections).where(_IT.order_id == order_id).order_by(_IT.number)
        return [correction_of(row) for row in await self.rows(found)]

    async def mark_voided(self, order_id: OrderId, reference: str, voided_at: datetime) -> None:
        """See `CorrectionWriting.mark_voided`."""
        await self._execute(
            update(payments)
            .where(payments.c.order_id == order_id, payments.c.reference == reference)
            .values(recorded_minor=payments.c.amount_minor, amount_minor=0, voided_at=micros(voided_at))
        )

    async def claim_correction(self, kind: CorrectionKind, reference: str, order_id: OrderId) -> OrderId:
        """See `CorrectionWriting.claim_correction`. Waits for another transaction that is claiming it."""
        it = correction_references.c
        claim = self._insert(correction_references).values(kind=kind.value, reference=reference, order_id=order_id)
        await self._execute(claim.on_conflict_do_nothing(index_elements=["kind", "reference"]))
        (row,) = await self.rows(select(it.order_id).where(it.kind == kind.value, it.reference == reference))
        return OrderId(row["order_id"])

    async def insert_correction(self, order_id: OrderId, correction: Correction) -> None:
        """See `CorrectionWriting.insert_correction`."""
        await self._execute(insert(payment_corrections).values(_columns_of(order_id, correction)))

    async def change_refund(self, order_id: OrderId, refund: Correction) -> None:
        """See `CorrectionWriting.change_refund`."""
        columns = _columns_of(order_id, refund)
        await self._execute(
            update(payment_corrections)
            .where(_IT.order_id == order_id, _IT.number == refund.number)
            .values({name: columns[name] for name in ("amount_minor", "state", "reference", "settled_at")})
        )


def correction_of(row: Row) -> Correction:
    """Return a void, a refund or a chargeback from its row."""
    return Correction(
        number=row["number"],
        kind=known(CorrectionKind, row["kind"]),
        money=Money(minor=row["amount_minor"], currency=row["currency"]),
        reason=row["reason"],
        recorded_at=instant(row["recorded_at"]),
        actor=actor_of(row, row["channel"]),
        reference=row["reference"],
        payment_reference=row["payment_reference"],
        state=None if row["state"] is None else known(RefundState, row["state"]),
        settled_at=instant_or_none(row["settled_at"]),
    )


def _columns_of(order_id: OrderId, correction: Correction) -> dict[str, object]:
    """The same as columns."""
    state = correction.state
    return {
        "order_id": order_id,
        "number": correction.number,
        "kind": correction.kind.value,
        "reference": correction.reference,
        "payment_reference": correction.payment_reference,
        "amount_minor": correction.money.minor,
        "currency": correction.money.currency,
        "state": None if state is None else state.value,
        "reason": correction.reason,
        "recorded_at": micros(correction.recorded_at),
        "settled_at": micros_or_none(correction.settled_at),
        **actor_columns(correction.actor),
    }

"""Protocols that the corrections of payments need, and `storage` implements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind


class CorrectionReading(Protocol):
    """Reads the payments of an order, and what answers them."""

    async def payments_of(self, order_id: OrderId) -> Sequence[Payment]:
        """Return all payments of an order, oldest first, the voided ones included."""
        ...

    async def corrections_of(self, order_id: OrderId) -> Sequence[Correction]:
        """Return all corrections of an order by number."""
        ...


class CorrectionWriting(CorrectionReading, Protocol):
    """Writes corrections. The order is locked."""

    async def mark_voided(self, order_id: OrderId, reference: str, voided_at: datetime) -> None:
        """Note that a payment never happened. It is in no sum from then on."""
        ...

    async def claim_correction(self, kind: CorrectionKind, reference: str, order_id: OrderId) -> OrderId:
        """Claim a reference of this kind for an order, and return the order that has it: maybe another, maybe since."""
        ...

    async def insert_correction(self, order_id: OrderId, correction: Correction) -> None:
        """Add a correction under the next number of the order."""
        ...

    async def change_refund(self, order_id: OrderId, refund: Correction) -> None:
        """Give a refund another amount, state, reference and instant at which it was made.

        The rest stays: a reason that was forgotten since the refund was read is not written again.
        """
        ...

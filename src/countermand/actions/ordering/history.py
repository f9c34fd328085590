"""Everything that happened to an order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord, UndoneCancellation
from countermand.domain.actor import Actor
from countermand.domain.client import Client, ClientId
from countermand.domain.known import Unknown
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction

REFUSALS_SHOWN: Final = 500  # the newest ones, because every refused attempt leaves a row


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRecord:
    """An order event as the outbox has it."""

    kind: OrderEventKind | Unknown
    order_version: int
    recorded_at: datetime
    actor: Actor
    details: Mapping[str, object]
    delivered_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Everything that happened to an order.

    That is its events, its refused cancellations, its cancellation, those that were undone, its payments, and the
    corrections of its payments. Events and undone cancellations are in the order of the order's versions. `clients` has
    the clients that caused any of it.
    """

    events: tuple[OutboxRecord, ...]
    refusals: tuple[RefusalRecord, ...]
    cancellation: CancellationRecord | None
    undone: tuple[UndoneCancellation, ...]
    payments: tuple[Payment, ...]
    corrections: tuple[Correction, ...]
    clients: Mapping[ClientId, Client]

    @property
    def decisions(self) -> tuple[CancellationRecord | RefusalRecord, ...]:
        """The records of all asks to cancel the order."""
        return (*self.refusals, *self.cancellations)

    @property
    def cancellations(self) -> tuple[CancellationRecord, ...]:
        """The records of all cancellations of the order, oldest first."""
        undone = tuple(one.record for one in self.undone)
        return undone if self.cancellation is None else (*undone, self.cancellation)

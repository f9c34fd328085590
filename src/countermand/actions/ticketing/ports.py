"""What do orders for tickets need of the database besides the catalogue? Protocols that `storage` implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.actions.catalogue.ports import Condition, Page
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.ticketing.consumer import Consumer


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownConsumer:
    """A consumer that a client stored. A revision is a consumer of its own.

    `details` is what the client gave, without the uid. It is None if a newer version wrote it in another form.
    """

    uid: str
    client_id: ClientId
    created_at: datetime
    details: Consumer | None


class TicketingReading(Protocol):
    """Reads about orders for tickets."""

    async def orders_listed(
        self,
        contract: ContractName,
        owner: ClientId | None,
        conditions: Sequence[Condition],
        *,
        offset: int,
        at_most: int,
    ) -> Page[OrderId]:
        """Return a contract's orders that meet all conditions, newest first: those of `owner`, or all (None).

        Fields: `state`, `created`, `external_reference`, `event` (uid), `total` (minor units).
        """
        ...

    async def order_of_ticket(self, uid: str) -> OrderId | None:
        """Return the order of a ticket."""
        ...

    async def orders_with_code(self, event_uid: str, code: str) -> Sequence[OrderId]:
        """Return the orders that have a valid ticket with this code for an event."""
        ...

    async def consumer(self, uid: str) -> KnownConsumer | None:
        """Return the consumer with this uid."""
        ...

    async def consumers_listed(
        self, owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
    ) -> Page[KnownConsumer]:
        """Return a client's consumers that meet all conditions, oldest first. Fields: those of the shopping contract.

        `reference` and `external_reference` are those of an order of the client that names the consumer by its uid.
        """
        ...

    async def orders_due(self, now: datetime, at_most: int) -> Sequence[OrderId]:
        """Return the orders whose time to be paid is over at `now`; the order that is due longest comes first."""
        ...


class TicketingTransaction(TicketingReading, Protocol):
    """Writes about orders for tickets."""

    async def insert_consumer(self, consumer: KnownConsumer, *, revises: KnownConsumer | None = None) -> None:
        """Add a consumer. A revision keeps the fields of the consumer it `revises` that this version does not know."""
        ...

    async def use_vouchers(self, order_id: OrderId, codes: Sequence[str]) -> None:
        """Record which vouchers an order uses, after `lock_vouchers`."""
        ...

    async def expire_at(self, order_id: OrderId, expires_at: datetime) -> None:
        """Store the instant until which an order can be paid."""
        ...

    async def forget_expiry(self, order_id: OrderId) -> None:
        """Forget the instant until which an order can be paid, so that the order is no longer due."""
        ...

    async def withdraw_tickets(self, order_id: OrderId, uids: Sequence[str]) -> int:
        """Make tickets of a locked order invalid while their places stay taken. Return how many were valid."""
        ...

    async def change_details(self, order_id: OrderId, before: TicketOrderDetails, after: TicketOrderDetails) -> None:
        """Change the details of an order that differ. Fields that this version does not know stay unchanged."""
        ...

"""Protocols that the actions on ticket orders need besides those of the catalogue, and `storage` implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.actions.catalogue.ports import Condition, Page, VoucherReading
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.ticketing.consumer import Consumer


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownConsumer:
    """A consumer that a client stored. A revision is a consumer of its own.

    `details` is what the client gave, without the uid; None if a newer version wrote it in another form.
    """

    uid: str
    client_id: ClientId
    created_at: datetime
    details: Consumer | None


class TicketReading(Protocol):
    """Finds the orders of tickets."""

    async def order_of_ticket(self, uid: str) -> OrderId | None:
        """Return the order that a ticket belongs to, or None."""
        ...

    async def orders_with_code(self, event_uid: str, code: str) -> Sequence[OrderId]:
        """Return the orders that have a valid ticket with this code for an event."""
        ...


class TicketWithdrawal(Protocol):
    """Makes tickets invalid whose places stay taken."""

    async def withdraw_tickets(self, order_id: OrderId, uids: Sequence[str]) -> int:
        """Make tickets of a locked order invalid while their places stay taken; return how many were valid."""
        ...


class TicketRelease(Protocol):
    """Makes tickets invalid and frees their places."""

    async def release_tickets(self, order_id: OrderId) -> None:
        """Make all tickets of an order invalid and give their places back to the products."""
        ...


class TicketRestoring(Protocol):
    """Makes tickets valid again that the end of their order made invalid."""

    async def released_tickets(self, order_id: OrderId) -> Sequence[str]:
        """Return the uids of the tickets that the end of the order made invalid, without those that were given on."""
        ...

    async def restore_tickets(self, order_id: OrderId) -> None:
        """Make these tickets valid. Their places are reserved."""
        ...


class TicketDetails(Protocol):
    """Writes the details of ticket orders."""

    async def change_details(self, order_id: OrderId, before: TicketOrderDetails, after: TicketOrderDetails) -> None:
        """Change those details of an order that differ. Fields that this version does not know stay unchanged."""
        ...


class VoucherUses(VoucherReading, Protocol):
    """Locks vouchers before an order uses them."""

    async def lock_vouchers(self, codes: Sequence[str]) -> None:
        """Lock vouchers, by code, so that no other transaction counts their uses meanwhile."""
        ...


class ConsumerReading(Protocol):
    """Reads one consumer."""

    async def consumer(self, uid: str) -> KnownConsumer | None:
        """Return the consumer with this uid, or None."""
        ...


class ConsumerLists(Protocol):
    """Lists consumers."""

    async def consumers_listed(
        self, owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
    ) -> Page[KnownConsumer]:
        """Return a client's consumers that meet all conditions, oldest first. Fields: those of the shopping contract.

        `reference` and `external_reference` are those of an order of the client that names the consumer by its uid.
        """
        ...


class ConsumerWriting(ConsumerReading, Protocol):
    """Writes consumers."""

    async def insert_consumer(self, consumer: KnownConsumer, *, revises: KnownConsumer | None = None) -> None:
        """Add a consumer. A revision keeps the fields of `revises` that this version does not know."""
        ...

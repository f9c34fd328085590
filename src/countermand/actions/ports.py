"""Protocols of the database and of its transactions, and the clocks, that the actions need."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from countermand.actions.appointments.ports import AppointmentReading, AppointmentTransaction
from countermand.actions.catalogue.ports import CatalogueReading, CatalogueTransaction
from countermand.actions.idempotency import IdempotencyKey
from countermand.actions.ordering.history import History
from countermand.actions.ordering.ports import OrdersWanted, PaymentReading, PaymentTransaction
from countermand.actions.ordering.views import OrderView
from countermand.actions.ticketing.ports import TicketingReading, TicketingTransaction
from countermand.actions.ticketing.seat_ports import SeatReading, SeatTransaction
from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_events import OrderEvent

# The current instant: aware, UTC, whole microseconds. Asked once for each decision, whose "now" it is.
Clock = Callable[[], datetime]
# The instant by the clock that all nodes share, the database's: for what ends things that others rely on.
SharedClock = Callable[[], Awaitable[datetime]]


class Reading(AppointmentReading, CatalogueReading, PaymentReading, SeatReading, TicketingReading, Protocol):
    """Reads from one consistent snapshot."""

    async def order(self, order_id: OrderId) -> Order | None:
        """The order with this number."""
        ...

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """Orders as their rows have them; numbers without an order are left out."""
        ...

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """Orders with everything a contract shows of them; numbers without an order are left out."""
        ...

    async def orders_of(self, client_id: ClientId, wanted: OrdersWanted, at_most: int) -> Sequence[OrderId]:
        """The numbers of a client's orders, newest first."""
        ...

    async def history(self, order_id: OrderId) -> History:
        """Everything that happened to an order, oldest first."""
        ...

    async def oldest_undelivered(self) -> datetime | None:
        """Since when the oldest fact waits in the outbox."""
        ...

    async def policy_content(self, version: PolicyVersion) -> Mapping[str, Any] | None:
        """The content of a policy that was in force at some time."""
        ...

    async def kept_answer(self, client_id: ClientId, key: str) -> tuple[str, bytes | None] | None:
        """An idempotency key's fingerprint and, unless it stands for a cancellation, its stored answer."""
        ...


class Transaction(
    Reading,
    AppointmentTransaction,
    CatalogueTransaction,
    PaymentTransaction,
    SeatTransaction,
    TicketingTransaction,
    Protocol,
):
    """Reads and writes that commit together or not at all, when the block that opened it ends without an exception."""

    async def lock_order(self, order_id: OrderId) -> Order | None:
        """Take the order's row; everybody who changes what decisions look at does this before anything else."""
        ...

    async def next_number(self, counter: str) -> int:
        """Count up: the numbers of telecom orders and services, of appointments and tasks, and of references."""
        ...

    async def insert_order(self, view: OrderView) -> None:
        """Add an order with its details, lines and tickets. Raises `OrderTakenError` where its number is taken."""
        ...

    async def change_order(self, order: Order, facts: OrderFacts) -> Order:
        """Give a locked order new facts, and raise its version."""
        ...

    async def release_tickets(self, order_id: OrderId) -> None:
        """Make an order's tickets invalid and give their places back to the products."""
        ...

    async def append_events(
        self, order: Order, client_id: ClientId, events: Sequence[OrderEvent], now: datetime
    ) -> None:
        """Put events into the outbox, under the order's new version."""
        ...

    async def keep_answer(self, client_id: ClientId, key: IdempotencyKey, answer: bytes, now: datetime) -> None:
        """Store what an idempotency key stands for. Raises `KeyTakenError` where the key is in use."""
        ...

    def part(self) -> AbstractAsyncContextManager[None]:
        """A part of the transaction that can be undone by itself, by an exception that leaves the block."""
        ...


class Store(Protocol):
    """The database."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction that may write. Raises `UnavailableError` where the database cannot be had."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reading]:
        """Begin a read."""
        ...

    async def keep_policies(self, policies: Sequence[Policy], now: datetime) -> None:
        """Store the policies in force, so that decisions under them can always be explained."""
        ...

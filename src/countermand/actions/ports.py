"""What do the actions need from outside? Protocols that `storage` fulfils; tests hold every implementation to them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from countermand.actions.appointments.ports import AppointmentReading, AppointmentTransaction
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.catalogue.ports import CatalogueReading, CatalogueTransaction
from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.ports import PaymentReading, PaymentTransaction
from countermand.actions.ordering.readable_details import readable
from countermand.actions.ticketing.ports import TicketingReading, TicketingTransaction
from countermand.actions.ticketing.seat_ports import SeatReading, SeatTransaction
from countermand.domain.appointments.appointment import Appointment
from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Channel, ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_details import (
    OrderDetails,
    ServiceOrderDetails,
    TicketOrderDetails,
    UnknownDetails,
)
from countermand.domain.orders.order_events import OrderEvent, OrderEventKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.ticketing.catalogue import Product

# The current instant: aware, UTC, whole microseconds. Asked once for each decision, whose "now" it is.
Clock = Callable[[], datetime]
# The instant by the clock that all nodes share, the database's: for what ends things that others rely on.
SharedClock = Callable[[], Awaitable[datetime]]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """A client's key for a request, and the fingerprint (method, path and body) of the request it stands for."""

    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True, weakref_slot=True)
class CancelOrder:
    """The wish to cancel an order. `on_behalf` lets an operator cancel what another client placed."""

    command_id: CommandId
    order_id: OrderId
    client_id: ClientId
    channel: Channel
    on_behalf: bool = False
    reason: str | None = None
    idempotency: IdempotencyKey | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CancellationRecord:
    """The decision record of a yes. Its primary key is the order's number, so there is at most one."""

    order_id: OrderId
    command_id: CommandId
    decided_at: datetime
    client_id: ClientId
    contract: ContractName  # the order's
    channel: Channel
    policy_version: PolicyVersion
    facts: OrderFacts
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalRecord:
    """The decision record of a no by policy."""

    command: CancelOrder
    contract: ContractName  # the order's
    decided_at: datetime
    policy_version: PolicyVersion
    facts: OrderFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRefusal:
    """A refusal as an idempotency key keeps it: decided again on the same facts, it gives the same findings."""

    policy_version: PolicyVersion
    facts: OrderFacts
    decided_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptOutcome:
    """What an idempotency key of a cancellation stands for: the order was cancelled, or, with `refusal`, was not."""

    fingerprint: str
    order_id: OrderId
    refusal: KeptRefusal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """So many of a product, in an order; `parent` is the combo product it is a part of."""

    product_uid: str
    quantity: int
    parent_uid: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """One place at one event, which a valid one holds. See `OrderView.admits`."""

    uid: str
    product_uid: str
    code: str
    valid: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderView:
    """An order with everything a contract shows of it; `details` is its document, of the type of its kind."""

    order: Order
    details: OrderDetails
    appointments: tuple[Appointment, ...] = ()
    lines: tuple[Line, ...] = ()
    products: tuple[Product, ...] = ()
    tickets: tuple[Ticket, ...] = ()

    @property
    def service_details(self) -> ServiceOrderDetails:
        """The details of a service order. Raises `UnavailableError` where this version cannot read them."""
        return readable(self.details, ServiceOrderDetails)

    @property
    def ticket_details(self) -> TicketOrderDetails:
        """The details of a ticket order. Raises `UnavailableError` where this version cannot read them."""
        return readable(self.details, TicketOrderDetails)

    def admits(self, ticket: Ticket) -> bool:
        """Whether one of its tickets gives entry. Until the order is completed, a ticket only holds its place."""
        return ticket.valid and self.order.is_known and self.order.state is OrderState.COMPLETED


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRecord:
    """An order event as the outbox has it."""

    kind: OrderEventKind | Unknown
    order_version: int
    recorded_at: datetime
    client_id: ClientId
    details: Mapping[str, Any]
    delivered_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What happened to an order: its events, every refused attempt to cancel it, its cancellation, its money."""

    events: tuple[OutboxRecord, ...]
    refusals: tuple[RefusalRecord, ...]
    cancellation: CancellationRecord | None
    payments: tuple[Payment, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersWanted:
    """Which of a client's orders: in one of `states`, placed in `created_from` <= … < `created_before`.

    With `before`, only those that come after it in a list that begins with the newest. `has_visit` tells orders with an
    active appointment from those without, and `has_payment` those for which a payment was recorded.
    """

    states: frozenset[OrderState] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    before: tuple[datetime, OrderId] | None = None
    has_visit: bool | None = None
    has_payment: bool | None = None


class CancellationStore(Protocol):
    """The few set-based statements of the hot path. A batch never holds two commands that could cancel one order."""

    async def cancel(
        self, commands: Sequence[CancelOrder], now: datetime, *, skip_held: bool = False
    ) -> frozenset[CommandId]:
        """Cancel, in one transaction, whatever the policies in force allow at `now`; say which commands did it.

        Waits for what another transaction holds, or, with `skip_held`, leaves orders of which it holds
        the order or a product as they are.

        Committed before it returns, with everything a cancellation changes: the order's state, its cancellation, its
        appointment, tickets and stock, its facts in the outbox, the idempotency keys. Raises `KeyTakenError` or
        `UnfitDataError` (nothing done), `TransientConflictError` (nothing done), `HeldError` (nothing done, as another
        transaction holds one of the orders), `UnavailableError` (certainly not done) or `OutcomeUnknownError`.
        """
        ...

    async def committed(self, commands: Sequence[CancelOrder]) -> frozenset[CommandId]:
        """Which of these commands have cancelled their order, themselves and no other command.

        The answer is final: what has not happened by now never will. Raises `OutcomeUnknownError` while it still may,
        and `UnavailableError`.
        """
        ...

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """The orders with these numbers, in one read."""
        ...

    async def kept(self, keys: Sequence[tuple[ClientId, str]]) -> Mapping[tuple[ClientId, str], KeptOutcome | str]:
        """What these idempotency keys stand for: a cancellation's outcome, or the fingerprint of some other request."""
        ...

    async def refuse(self, refusals: Sequence[RefusalRecord]) -> None:
        """Record refusals, and their idempotency keys, in one transaction. Raises as `cancel` does."""
        ...

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """The orders with everything a contract shows of them, in one set of reads."""
        ...


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

    async def claim_key(self, client_id: ClientId, key: str) -> None:
        """Let no other transaction claim the idempotency key until this one ends. Waits for one that has claimed it."""
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


class Clients(Protocol):
    """The clients, as `identity/authentication.py` and `countermand client` need them."""

    async def by_key(self, key: str) -> tuple[Client, str] | None:
        """The client with this key, and its secret's SHA-256 (hexadecimal). Revoked ones, too."""
        ...

    async def by_identity(self, issuer: str, subject: str) -> Client | None:
        """The client whose tokens come from `issuer` and name `subject`. Revoked ones, too."""
        ...

    async def current(self, ids: Sequence[ClientId]) -> Sequence[tuple[Client, str | None]]:
        """These clients as they are now, with their secrets' hashes, in one query."""
        ...


class ClientAdministration(Protocol):
    """The clients, as the operator changes them."""

    async def all(self) -> Sequence[Client]:
        """Every client, revoked ones included, in the order they were added."""
        ...

    async def add(
        self,
        *,
        channel: Channel,
        name: str,
        permissions: frozenset[Permission],
        key: str | None,
        secret_sha256: str | None,
        identity: tuple[str, str] | None,
        now: datetime,
    ) -> Client:
        """Add a client with a key and the hash of its secret, or with an identity. Raises `ConflictError`."""
        ...

    async def rotate(self, client_id: ClientId, *, key: str, secret_sha256: str) -> Client:
        """Give a client a new key and secret. Raises `NotFoundError`."""
        ...

    async def revoke(self, client_id: ClientId, now: datetime) -> Client:
        """Let a client call no more. Raises `NotFoundError`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The policies in force, one a contract."""

    by_contract: Mapping[ContractName, Policy]

    def of(self, order: Order) -> Policy:
        """The policy of the order's own contract, whichever channel was used. Raises as `check_known` does."""
        check_known(order)
        return self.by_contract[order.contract]


def is_spoken(order: Order) -> bool:
    """Whether the contracts of this node can show an order. To their callers any other is not there."""
    return not isinstance(order.kind, Unknown)


def is_shown(view: OrderView) -> bool:
    """Whether the contracts of this node can show an order and its details. To their callers no other is there."""
    return is_spoken(view.order) and not isinstance(view.details, UnknownDetails)


def is_visible(view: OrderView, contract: ContractName, owner: ClientId | None) -> bool:
    """Whether a contract's caller sees an order: one of this contract, and of `owner`, unless that is None."""
    return view.order.contract == contract and owner in {None, view.order.client_id} and is_shown(view)


def check_known(order: Order) -> None:
    """Raise `UnavailableError` for an order whose contract or state this node does not know.

    No refusal, which would be recorded and given again under the same key: another node may say yes.
    """
    if not order.is_known:
        said = f"the order is {order.state} under the contract {order.contract}"
        raise UnavailableError(
            f"{said}, which this node does not know; nothing was done; send the request again, or to another node"
        )

"""Protocols that the actions on orders need, and `storage` implements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.actions.catalogue.ports import Condition, Page, Reserved
from countermand.actions.ordering.history import History
from countermand.actions.ordering.new_order import NewOrder
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_events import OrderEvent
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderToPay:
    """A locked order, and its total; None for a service order, and if this version cannot read the total."""

    order: Order
    total: Money | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersWanted:
    """Selects a client's orders: those in one of `states`, placed in `created_from` <= … < `created_before`.

    `before` is a place in the list that begins with the newest order, and selects the orders behind it. `has_visit`
    selects the orders with an active appointment, or without; `has_payment` those with a recorded payment, or without.
    """

    states: frozenset[OrderState] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    before: tuple[datetime, OrderId] | None = None
    has_visit: bool | None = None
    has_payment: bool | None = None


class OrderViews(Protocol):
    """Reads orders as contracts show them. A database is one, too: then all orders are as of one instant."""

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """Return orders with everything that a contract shows of them; numbers without an order are left out."""
        ...


class OrderReading(OrderViews, Protocol):
    """Reads orders by number."""

    async def order(self, order_id: OrderId) -> Order | None:
        """Return the order with this number, or None."""
        ...

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """Return orders as their rows have them; numbers without an order are left out."""
        ...

    async def history(self, order_id: OrderId) -> History:
        """Return everything that happened to an order, oldest first."""
        ...


class OrderLists(OrderReading, Protocol):
    """Lists orders."""

    async def orders_of(self, client_id: ClientId, wanted: OrdersWanted, at_most: int) -> Sequence[OrderId]:
        """Return the numbers of a client's orders, newest first."""
        ...

    async def orders_listed(
        self,
        contract: ContractName,
        owner: ClientId | None,
        conditions: Sequence[Condition],
        *,
        offset: int,
        at_most: int,
    ) -> Page[OrderId]:
        """Return a contract's orders that meet all conditions, newest first: those of `owner` or, with None, of all.

        Fields: `state`, `created`, `external_reference`, `event` (uid), `total` (minor units).
        """
        ...


class OrderLock(Protocol):
    """Locks orders."""

    async def lock_order(self, order_id: OrderId) -> Order | None:
        """Lock an order's row and return the order, or None. Whatever changes an order's facts does this first."""
        ...


class OrderEventWriting(Protocol):
    """Writes order events."""

    async def append_events(self, order: Order, actor: Actor, events: Sequence[OrderEvent], now: datetime) -> None:
        """Put events into the outbox, under the order's new version."""
        ...


class OrderInsertion(OrderEventWriting, Protocol):
    """Writes new orders."""

    async def insert_order(self, new: NewOrder) -> Reserved:
        """Add an order with everything that belongs to it, and take its places off the stock: products last, by uid.

        Raises `OrderTakenError` if its number is taken, or lets the commit raise it. If some product is short, the
        caller has to undo everything.
        """
        ...


class OrderChange(OrderLock, OrderEventWriting, Protocol):
    """Changes orders."""

    async def change_order(self, order: Order, facts: OrderFacts) -> Order:
        """Give a locked order new facts, and raise its version."""
        ...


class PaymentReading(Protocol):
    """Reads payments."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """Return what is paid of an order in a currency, in minor units, without late money.

        What was refunded, is due or was charged back is not paid: so the sum may be negative.
        """
        ...


class PaymentWriting(PaymentReading, Protocol):
    """Writes payments."""

    async def lock_order_to_pay(self, order_id: OrderId) -> OrderToPay | None:
        """Lock an order's row, as `OrderLock.lock_order` does, and return the order with its total."""
        ...

    async def claim_reference(self, reference: str, order_id: OrderId) -> bool:
        """Claim a provider's reference for an order. If an order has it already, change nothing and return False."""
        ...

    async def move_reference(self, reference: str, before: OrderId, after: OrderId) -> bool:
        """Move the claim of a reference to another order. If another than `before` has it, change nothing: False."""
        ...

    async def payment(self, reference: str) -> tuple[OrderId, Payment | None] | None:
        """Return the order that has a provider's reference, and the payment that is recorded under it."""
        ...

    async def insert_payment(self, order_id: OrderId, payment: Payment) -> None:
        """Record a payment under a reference that the order has claimed."""
        ...


class ExpiryReading(Protocol):
    """Reads until when orders can be paid."""

    async def orders_due(self, now: datetime, at_most: int) -> Sequence[OrderId]:
        """Return the orders that could be paid until `now` or earlier; the order that is longest due comes first."""
        ...


class ExpiryWriting(Protocol):
    """Writes until when orders can be paid."""

    async def expire_at(self, order_id: OrderId, expires_at: datetime) -> None:
        """Store until when an order can be paid."""
        ...

    async def forget_expiry(self, order_id: OrderId, due_at: datetime | None = None) -> bool:
        """Take an order off the list of orders that expire. With `due_at`, only if it expires then or earlier.

        Return whether the order was on the list.
        """
        ...

"""What do payments need of the database? Protocols that `storage` fulfils."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderToPay:
    """A locked order, and its total; None for a service order, and where this version cannot read the total."""

    order: Order
    total: Money | None


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


class PaymentReading(Protocol):
    """Reads about payments."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """What came in for an order in a currency, late money left out."""
        ...


class PaymentTransaction(PaymentReading, Protocol):
    """Writes about payments."""

    async def lock_order_to_pay(self, order_id: OrderId) -> OrderToPay | None:
        """Take the order's row, as `Transaction.lock_order` does, with the order's total."""
        ...

    async def claim_reference(self, reference: str, order_id: OrderId) -> bool:
        """Take a provider's reference for an order. False, and nothing done, where it is an order's already."""
        ...

    async def payment(self, reference: str) -> tuple[OrderId, Payment | None] | None:
        """The order that has a provider's reference, and the payment that is recorded under it."""
        ...

    async def insert_payment(self, order_id: OrderId, payment: Payment) -> None:
        """Record money, under a reference that the order has claimed."""
        ...

"""What do payments need of the database? Protocols that `storage` implements."""

from dataclasses import dataclass
from typing import Protocol

from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.payment import Payment


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderToPay:
    """A locked order, and its total. The total is None for a service order, and if this version cannot read it."""

    order: Order
    total: Money | None


class PaymentReading(Protocol):
    """Reads about payments."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """Return the money that came in for an order in a currency, without late money, in minor units."""
        ...


class PaymentTransaction(PaymentReading, Protocol):
    """Writes about payments."""

    async def lock_order_to_pay(self, order_id: OrderId) -> OrderToPay | None:
        """Lock the order's row, as `Transaction.lock_order` does, and return it with the order's total."""
        ...

    async def claim_reference(self, reference: str, order_id: OrderId) -> bool:
        """Claim a provider's reference for an order. Return False, and change nothing, if an order has it already."""
        ...

    async def payment(self, reference: str) -> tuple[OrderId, Payment | None] | None:
        """Return the order that has a provider's reference, and the payment that is recorded under it."""
        ...

    async def insert_payment(self, order_id: OrderId, payment: Payment) -> None:
        """Record a payment under a reference that the order has claimed."""
        ...

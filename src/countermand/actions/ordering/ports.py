"""What do payments need of the database? Protocols that `storage` fulfils."""

from typing import Protocol

from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment


class PaymentReading(Protocol):
    """Reads about payments."""

    async def paid_minor(self, order_id: OrderId, currency: str) -> int:
        """What came in for an order in a currency, late money left out."""
        ...

    async def payment(self, order_id: OrderId, reference: str) -> Payment | None:
        """An order's payment with the provider's reference."""
        ...


class PaymentTransaction(PaymentReading, Protocol):
    """Writes about payments."""

    async def claim_reference(self, reference: str, order_id: OrderId) -> OrderId:
        """Take a provider's reference for an order, unless one has it; gives the order that has it now."""
        ...

    async def insert_payment(self, order_id: OrderId, payment: Payment) -> None:
        """Record money, under a reference that the order has claimed."""
        ...

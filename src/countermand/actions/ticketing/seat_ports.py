"""What do numbered seats need of the database? Protocols that `storage` fulfils.

A seat knows the ticket that last took it, and is free unless that one is valid: so whatever ends an order frees its
seats and writes none. Whoever writes seats has taken their product's row before, in this transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from countermand.domain.orders.order import OrderId
from countermand.domain.ticketing.seating import Seat, SeatBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatTaken:
    """A seat of a product, and the ticket that has it: the order's, by its number, which counts from 1."""

    product_uid: str
    seat: Seat
    order_id: OrderId
    ticket_number: int


class SeatReading(Protocol):
    """Reads of seats."""

    async def seat_plans(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """The plans of products, as they were given; products without seats are left out."""
        ...

    async def free_seats(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """The gaps in the plans of products, as they stand there; products with nothing free are left out."""
        ...


class SeatTransaction(SeatReading, Protocol):
    """Writes of seats, after the products' rows are taken."""

    async def held_seats(self, product_uid: str) -> Sequence[SeatTaken]:
        """The seats of a product that have a valid ticket."""
        ...

    async def put_seats(self, product_uid: str, plan: Sequence[SeatBlock]) -> None:
        """Give a product another plan, or none. It has all seats with a valid ticket; these keep their ticket."""
        ...

    async def take_seats(self, taken: Sequence[SeatTaken]) -> None:
        """Give seats to tickets."""
        ...

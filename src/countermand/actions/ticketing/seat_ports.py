"""What do numbered seats need of the database? Protocols that `storage` implements.

A seat knows the last ticket that took it, and is free unless that ticket is valid. So the end of an order frees its
seats and need not write any. A transaction that writes seats has locked their product's row before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from countermand.domain.orders.order import OrderId
from countermand.domain.ticketing.seating import Seat, SeatBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatTaken:
    """A seat of a product, and the ticket that has it: the order's id, and the ticket's number in the order, from 1."""

    product_uid: str
    seat: Seat
    order_id: OrderId
    ticket_number: int


class SeatReading(Protocol):
    """Reads of seats."""

    async def seat_plans(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """Return the plans of products as they were given. Products without seats are left out."""
        ...

    async def free_seats(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """Return the gaps in the plans of products, in the plans' order. Products without free seats are left out."""
        ...


class SeatTransaction(SeatReading, Protocol):
    """Writes seats, after the products' rows were locked."""

    async def held_seats(self, product_uid: str) -> Sequence[SeatTaken]:
        """Return the seats of a product that have a valid ticket."""
        ...

    async def put_seats(self, product_uid: str, plan: Sequence[SeatBlock], held: Sequence[SeatTaken]) -> None:
        """Give a product another plan, or none. The `held` seats, which the plan has, stay with their tickets."""
        ...

    async def take_seats(self, taken: Sequence[SeatTaken]) -> None:
        """Give seats to tickets."""
        ...

"""Protocols that the actions on numbered seats need, and `storage` implements.

A seat stores the ticket that last took it, and is free unless that ticket is valid. So whatever ends an order frees its
seats and writes none. A transaction that writes seats has locked their product's row before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from countermand.domain.orders.order import OrderId
from countermand.domain.ticketing.seating import Seat, SeatBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatTaken:
    """A seat of a product, and the ticket that has it: its order, and its number in the order, counted from 1."""

    product_uid: str
    seat: Seat
    order_id: OrderId
    ticket_number: int


class SeatPlans(Protocol):
    """Reads seat plans."""

    async def seat_plans(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """Return the seat plans of products, in the order they were given in; products without seats are left out."""
        ...


class SeatPlanWriting(SeatPlans, Protocol):
    """Writes seat plans, after the products' rows are locked."""

    async def held_seats(self, product_uid: str) -> Sequence[SeatTaken]:
        """Return the seats of a product that have a valid ticket."""
        ...

    async def put_seats(self, product_uid: str, plan: Sequence[SeatBlock]) -> None:
        """Give a product another plan, or none. It has all seats with a valid ticket; these keep their ticket."""
        ...


class FreeSeats(Protocol):
    """Reads free seats."""

    async def free_seats(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """Return the gaps in the plans of products, in their order there; products without free seats are left out."""
        ...


class SeatAssignment(Protocol):
    """Gives seats to tickets, after the products' rows are locked."""

    async def take_seats(self, taken: Sequence[SeatTaken]) -> None:
        """Give seats to tickets."""
        ...

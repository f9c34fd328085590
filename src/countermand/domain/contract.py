"""Which published contracts are spoken here, and through which door did a request come?"""

from enum import StrEnum


class Contract(StrEnum):
    """A published contract. An order belongs to the one it was placed over; so does its cancellation policy."""

    CONNECT = "connect"
    SHOPPING = "shopping"


class Door(StrEnum):
    """The way a request came in: over a contract, or over the management API on a customer's behalf."""

    CONNECT = "connect"
    SHOPPING = "shopping"
    MANAGE = "manage"

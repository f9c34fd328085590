"""The kinds of orders. A kind owns the opening state, the states, and what the end of an order releases.

Each contract declares the kind of its orders. Several contracts may have orders of one kind.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from countermand.domain.contract import ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order_state import OrderState


class OrderKind(StrEnum):
    """What an order is for."""

    SERVICE = "service"  # a telecom service, named by a number
    TICKET = "ticket"  # tickets, named by a uid

    @property
    def opening_state(self) -> OrderState:
        """The state of a new order, except an order that costs nothing."""
        return _OPENING_STATE[self]

    @property
    def states(self) -> tuple[OrderState, ...]:
        """All states that an order of this kind can have."""
        return _STATES[self]

    @property
    def holds_tickets(self) -> bool:
        """Whether an order that ends releases tickets, and gives their places back to the products."""
        return self is OrderKind.TICKET

    @property
    def has_total(self) -> bool:
        """Whether an order has a total, so that payments for it can be too little, enough, or too much."""
        return self is OrderKind.TICKET


_OPENING_STATE: Final[Mapping[OrderKind, OrderState]] = MappingProxyType(
    {OrderKind.SERVICE: OrderState.SUBMITTED, OrderKind.TICKET: OrderState.PENDING}
)

_STATES: Final[Mapping[OrderKind, tuple[OrderState, ...]]] = MappingProxyType(
    {
        OrderKind.SERVICE: (
            OrderState.SUBMITTED,
            OrderState.ACCEPTED,
            OrderState.IN_PROGRESS,
            OrderState.PAST_NO_RETURN,
            OrderState.HELD,
            OrderState.REJECTED,
            OrderState.ACTIVATED,
            OrderState.CANCELLED,
        ),
        OrderKind.TICKET: (
            OrderState.PENDING,
            OrderState.COMPLETED,
            OrderState.EXPIRED,
            OrderState.FAILED,
            OrderState.CANCELLED,
        ),
    }
)

# The contracts that a node knows, each with the kind of its orders.
OrderKinds = Mapping[ContractName, OrderKind]


def kind_of(contract: ContractName, kinds: OrderKinds) -> OrderKind | Unknown:
    """Return the kind of a contract's orders, or `Unknown` with the contract's name if this node does not know it."""
    kind = kinds.get(contract)
    return Unknown(contract) if kind is None else kind


def holding_tickets(kinds: OrderKinds) -> frozenset[ContractName]:
    """Return the contracts whose orders hold tickets."""
    return frozenset(contract for contract, kind in kinds.items() if kind.holds_tickets)

"""Which states can an order be in, and which moves lead from one to another?

One table for both kinds of orders. The page `docs/states.md` is drawn from it, and a test visits every cell. A
cancellation policy may only narrow what this table allows, never widen it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from countermand.domain.known import Unknown


class OrderState(StrEnum):
    """Where an order stands. Neither contract publishes its list of states: these are inferred (see the glossary)."""

    # telecom orders
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    IN_PROGRESS = "in_progress"
    PAST_NO_RETURN = "past_no_return"
    HELD = "held"
    REJECTED = "rejected"
    ACTIVATED = "activated"
    # ticket orders
    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"
    FAILED = "failed"
    # both
    CANCELLED = "cancelled"


class Transition(StrEnum):
    """What can happen to an order."""

    ACCEPT = "accept"
    START = "start"
    PASS_NO_RETURN = "pass_no_return"  # noqa: S105 - a point on the way, no password
    HOLD = "hold"
    REJECT = "reject"
    ACTIVATE = "activate"
    COMPLETE = "complete"
    EXPIRE = "expire"
    FAIL = "fail"
    CANCEL = "cancel"


TRANSITIONS: Final[Mapping[OrderState, Mapping[Transition, OrderState]]] = MappingProxyType(
    {
        OrderState.SUBMITTED: {
            Transition.ACCEPT: OrderState.ACCEPTED,
            Transition.HOLD: OrderState.HELD,
            Transition.REJECT: OrderState.REJECTED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        OrderState.ACCEPTED: {
            Transition.START: OrderState.IN_PROGRESS,
            Transition.HOLD: OrderState.HELD,
            Transition.REJECT: OrderState.REJECTED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        OrderState.IN_PROGRESS: {
            Transition.PASS_NO_RETURN: OrderState.PAST_NO_RETURN,
            Transition.ACTIVATE: OrderState.ACTIVATED,
            Transition.HOLD: OrderState.HELD,
            Transition.REJECT: OrderState.REJECTED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        OrderState.PAST_NO_RETURN: {Transition.ACTIVATE: OrderState.ACTIVATED},
        OrderState.HELD: {
            Transition.ACCEPT: OrderState.ACCEPTED,
            Transition.START: OrderState.IN_PROGRESS,
            Transition.REJECT: OrderState.REJECTED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        # A rejection by the network does not end the order: it can be put right and taken up again, or cancelled.
        OrderState.REJECTED: {Transition.ACCEPT: OrderState.ACCEPTED, Transition.CANCEL: OrderState.CANCELLED},
        # A running service is ended by its own cancellation, which is another resource than the order.
        OrderState.ACTIVATED: {},
        OrderState.PENDING: {
            Transition.COMPLETE: OrderState.COMPLETED,
            Transition.EXPIRE: OrderState.EXPIRED,
            Transition.FAIL: OrderState.FAILED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        # The table lets a completed order be cancelled; that nothing has been paid is the policy's business.
        OrderState.COMPLETED: {Transition.CANCEL: OrderState.CANCELLED},
        OrderState.EXPIRED: {},
        OrderState.FAILED: {},
        OrderState.CANCELLED: {},
    }
)

CANCELLABLE_STATES: Final[frozenset[OrderState]] = frozenset(
    state for state, moves in TRANSITIONS.items() if Transition.CANCEL in moves
)

# Entering one of these gives back what the order held: its appointment, its tickets' places, its stock.
ENDED_UNFULFILLED: Final[frozenset[OrderState]] = frozenset(
    {OrderState.CANCELLED, OrderState.EXPIRED, OrderState.FAILED}
)


def transitions_from(state: OrderState | Unknown) -> Mapping[Transition, OrderState]:
    """What can happen to an order, and where it leads. To one in an unknown state, nothing that this version does."""
    return {} if isinstance(state, Unknown) else TRANSITIONS[state]


def state_after(state: OrderState | Unknown, move: Transition) -> OrderState | None:
    """The state that `move` leads to from `state`, or None where the table has no such move."""
    return transitions_from(state).get(move)

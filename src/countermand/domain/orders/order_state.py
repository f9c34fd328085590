"""Which states can an order be in, and which transitions lead from one state to another?

One table serves both kinds of orders. `docs/draw_states.py` draws the page `docs/states.md` from it, and a test visits
every cell. A cancellation policy may only narrow what this table allows, never widen it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from countermand.domain.known import Unknown


class OrderState(StrEnum):
    """The state of an order. Neither contract publishes its list of states: these are inferred (see the glossary)."""

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
    """Something that can happen to an order and changes its state."""

    ACCEPT = "accept"
    START = "start"
    PASS_NO_RETURN = "pass_no_return"  # noqa: S105 - a point in the order's life, not a password
    HOLD = "hold"
    REJECT = "reject"
    ACTIVATE = "activate"
    COMPLETE = "complete"
    EXPIRE = "expire"
    FAIL = "fail"
    CANCEL = "cancel"
    REOPEN = "reopen"  # the payment that completed the order was voided


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
        # A rejection by the network does not end the order: it can be corrected and accepted again, or cancelled.
        OrderState.REJECTED: {Transition.ACCEPT: OrderState.ACCEPTED, Transition.CANCEL: OrderState.CANCELLED},
        # A running service has a cancellation of its own, which is another resource than the order.
        OrderState.ACTIVATED: {},
        OrderState.PENDING: {
            Transition.COMPLETE: OrderState.COMPLETED,
            Transition.EXPIRE: OrderState.EXPIRED,
            Transition.FAIL: OrderState.FAILED,
            Transition.CANCEL: OrderState.CANCELLED,
        },
        # The table allows the cancellation of a completed order; the policy checks that nothing has been paid.
        OrderState.COMPLETED: {Transition.CANCEL: OrderState.CANCELLED, Transition.REOPEN: OrderState.PENDING},
        OrderState.EXPIRED: {},
        OrderState.FAILED: {},
        # Only an operator who undoes the cancellation leads out of it, to the state that the decision record has.
        OrderState.CANCELLED: {},
    }
)

CANCELLABLE_STATES: Final[frozenset[OrderState]] = frozenset(
    state for state, moves in TRANSITIONS.items() if Transition.CANCEL in moves
)

# No move of the management API makes these transitions: the policy decides over a cancellation, and only the void of a
# payment reopens an order.
NO_MOVES: Final[frozenset[Transition]] = frozenset({Transition.CANCEL, Transition.REOPEN})

# An order that enters one of these states releases what it held: its appointment, its tickets' places, its stock.
ENDED_UNFULFILLED: Final[frozenset[OrderState]] = frozenset(
    {OrderState.CANCELLED, OrderState.EXPIRED, OrderState.FAILED}
)


def transitions_from(state: OrderState | Unknown) -> Mapping[Transition, OrderState]:
    """Return what can happen to an order, with the state after it. In an unknown state, this version allows nothing."""
    return {} if isinstance(state, Unknown) else TRANSITIONS[state]


def state_after(state: OrderState | Unknown, move: Transition) -> OrderState | None:
    """Return the state that the transition `move` leads to, or None if the table does not allow it."""
    return transitions_from(state).get(move)

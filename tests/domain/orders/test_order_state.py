from itertools import product

import pytest

from countermand.domain.orders.order_state import (
    CANCELLABLE_STATES,
    ENDED_UNFULFILLED,
    TRANSITIONS,
    OrderState,
    Transition,
    state_after,
)


@pytest.mark.parametrize(("state", "move"), list(product(OrderState, Transition)))
def test_a_move_leads_where_the_table_says_and_nowhere_else(state, move):
    after = state_after(state, move)

    assert after == TRANSITIONS[state].get(move)
    assert after is not state, "a move that leads nowhere is no move"
    assert (after is OrderState.CANCELLED) == (move is Transition.CANCEL and state in CANCELLABLE_STATES)


def test_every_state_has_its_row_and_every_move_is_in_some_row():
    assert TRANSITIONS.keys() == set(OrderState)
    assert {move for moves in TRANSITIONS.values() for move in moves} == set(Transition)


def test_a_move_has_one_meaning_wherever_it_is_made():
    leads_to = {move: {moves[move] for moves in TRANSITIONS.values() if move in moves} for move in Transition}

    assert {move: len(states) for move, states in leads_to.items()} == dict.fromkeys(Transition, 1)


def test_these_states_and_no_others_may_be_cancelled():
    assert set(CANCELLABLE_STATES) == {
        OrderState.SUBMITTED,
        OrderState.ACCEPTED,
        OrderState.IN_PROGRESS,
        OrderState.HELD,
        OrderState.REJECTED,
        OrderState.PENDING,
        OrderState.COMPLETED,
    }


def test_an_order_that_ended_unfulfilled_stays_so_and_of_the_ends_only_activated_is_fulfilled():
    ends = {state for state, moves in TRANSITIONS.items() if not moves}

    assert ends == ENDED_UNFULFILLED | {OrderState.ACTIVATED}
    assert OrderState.ACTIVATED not in ENDED_UNFULFILLED

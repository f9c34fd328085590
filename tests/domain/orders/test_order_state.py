from itertools import product

import pytest

from countermand.domain.contract import Contract
from countermand.domain.orders.order_state import (
    CANCELLABLE_STATES,
    ENDED_UNFULFILLED,
    OPENING_STATE,
    TRANSITIONS,
    OrderState,
    Transition,
    state_after,
)
from support.states import paths_from


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


@pytest.mark.parametrize("contract", Contract)
def test_an_order_begins_in_a_state_that_may_still_be_cancelled(contract):
    assert OPENING_STATE[contract] in CANCELLABLE_STATES


def test_each_contract_has_its_own_opening_state():
    assert OPENING_STATE == {Contract.CONNECT: OrderState.SUBMITTED, Contract.SHOPPING: OrderState.PENDING}


def test_telecom_and_ticket_orders_meet_in_cancelled_alone():
    telecom, tickets = (paths_from(OPENING_STATE[contract]) for contract in Contract)

    assert telecom.keys() & tickets.keys() == {OrderState.CANCELLED}
    assert telecom.keys() | tickets.keys() == set(OrderState), "no state is out of reach"


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

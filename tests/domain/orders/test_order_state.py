from itertools import product

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import ConflictError
from countermand.domain.contract import Contract
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import (
    CANCELLABLE_STATES,
    ENDED_UNFULFILLED,
    MOVES,
    OPENING_STATE,
    Move,
    OrderState,
    state_after,
)
from support.shared_world import shared_world
from support.world import World

world = shared_world


@pytest.mark.parametrize(("state", "move"), list(product(OrderState, Move)))
def test_a_move_leads_where_the_table_says_and_nowhere_else(state, move):
    after = state_after(state, move)

    assert after == MOVES[state].get(move)
    assert after is not state, "a move that leads nowhere is no move"
    assert (after is OrderState.CANCELLED) == (move is Move.CANCEL and state in CANCELLABLE_STATES)


def test_every_state_has_its_row_and_every_move_is_in_some_row():
    assert MOVES.keys() == set(OrderState)
    assert {move for moves in MOVES.values() for move in moves} == set(Move)


def test_a_move_has_one_meaning_wherever_it_is_made():
    leads_to = {move: {moves[move] for moves in MOVES.values() if move in moves} for move in Move}

    assert {move: len(states) for move, states in leads_to.items()} == dict.fromkeys(Move, 1)


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
    ends = {state for state, moves in MOVES.items() if not moves}

    assert ends == ENDED_UNFULFILLED | {OrderState.ACTIVATED}
    assert OrderState.ACTIVATED not in ENDED_UNFULFILLED


@pytest.mark.parametrize("state", OrderState)
async def test_every_cell_of_the_table_holds_for_real_orders(world: World, state: OrderState):
    owner = {Contract.CONNECT: await world.connect_client(), Contract.SHOPPING: await world.shopping_client()}
    contract = next(contract for contract in Contract if state in paths_from(OPENING_STATE[contract]))
    ticket = await world.product()

    async def order_in_state() -> OrderId:
        if contract is Contract.CONNECT:
            order_id = await world.service_order(owner[contract])
        else:
            order_id = (await world.ticket_order(owner[contract], product=ticket)).order.id
        for move in paths_from(OPENING_STATE[contract])[state]:
            if move is Move.CANCEL:
                assert isinstance(await world.cancel(owner[contract], order_id), Cancelled)
            else:
                await world.advance(order_id, move)
        return order_id

    for move in Move:
        order_id = await order_in_state()
        (before,) = await world.rows("orders", order_id)
        told = await world.rows("outbox", order_id)
        assert before["state"] == state

        if move is Move.CANCEL:
            outcome = await world.cancel(owner[contract], order_id)
            assert isinstance(outcome, Cancelled if move in MOVES[state] else NotCancelled)
        elif move in MOVES[state]:
            await world.advance(order_id, move)
        else:
            with pytest.raises(ConflictError, match=f"an order that is {state} cannot {move}") as refused:
                await world.advance(order_id, move)
            assert refused.value.code == "move_not_allowed"

        (after,) = await world.rows("orders", order_id)
        expected = MOVES[state].get(move, state)
        assert after == before | {"state": expected, "version": before["version"] + (expected is not state)}
        assert len(await world.rows("outbox", order_id)) == len(told) + (expected is not state)
        assert len(await world.rows("cancellations", order_id)) == (expected is OrderState.CANCELLED)


async def test_cancelling_is_no_move_that_can_be_recorded_around_the_policy(world: World):
    order_id = await world.service_order(await world.connect_client())

    with pytest.raises(ConflictError) as refused:
        await world.advance(order_id, Move.CANCEL)

    assert refused.value.code == "use_cancel"
    (row,) = await world.rows("orders", order_id)
    assert row["state"] == OrderState.SUBMITTED
    assert await world.rows("cancellations", order_id) == []


def paths_from(opening: OrderState) -> dict[OrderState, tuple[Move, ...]]:
    """Every state in reach, with a shortest way there."""
    paths: dict[OrderState, tuple[Move, ...]] = {opening: ()}
    waiting = [opening]
    for state in waiting:
        for move, after in MOVES[state].items():
            if after not in paths:
                paths[after] = (*paths[state], move)
                waiting.append(after)
    return paths

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import ConflictError
from countermand.contracts.registry import CONTRACTS
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import TRANSITIONS, OrderState, Transition
from support.contracts import CONNECT, SHOPPING
from support.shared_world import shared_world
from support.states import paths_from
from support.world import World

world = shared_world


@pytest.mark.parametrize("state", OrderState)
async def test_every_cell_of_the_table_holds_for_real_orders(world: World, state: OrderState):
    owner = {CONNECT.name: await world.connect_client(), SHOPPING.name: await world.shopping_client()}
    contract = next(contract for contract in CONTRACTS if state in paths_from(contract.kind.opening_state))
    ticket = await world.product()

    async def order_in_state() -> OrderId:
        if contract is CONNECT:
            order_id = await world.service_order(owner[contract.name])
        else:
            order_id = (await world.ticket_order(owner[contract.name], product=ticket)).order.id
        for move in paths_from(contract.kind.opening_state)[state]:
            if move is Transition.CANCEL:
                assert isinstance(await world.cancel(owner[contract.name], order_id), Cancelled)
            else:
                await world.advance(order_id, move)
        return order_id

    for move in Transition:
        order_id = await order_in_state()
        (before,) = await world.rows("orders", order_id)
        told = await world.rows("outbox", order_id)
        assert before["state"] == state

        if move is Transition.CANCEL:
            outcome = await world.cancel(owner[contract.name], order_id)
            assert isinstance(outcome, Cancelled if move in TRANSITIONS[state] else NotCancelled)
        elif move in TRANSITIONS[state] and move is not Transition.REOPEN:
            await world.advance(order_id, move)
        else:
            with pytest.raises(ConflictError, match=f"the order is {state} and cannot {move}") as refused:
                await world.advance(order_id, move)
            assert refused.value.code == "move_not_allowed"

        (after,) = await world.rows("orders", order_id)
        expected = state if move is Transition.REOPEN else TRANSITIONS[state].get(move, state)
        assert after == before | {"state": expected, "version": before["version"] + (expected is not state)}
        assert len(await world.rows("outbox", order_id)) == len(told) + (expected is not state)
        assert len(await world.rows("cancellations", order_id)) == (expected is OrderState.CANCELLED)


async def test_cancelling_is_no_move_that_can_be_recorded_around_the_policy(world: World):
    order_id = await world.service_order(await world.connect_client())

    with pytest.raises(ConflictError) as refused:
        await world.advance(order_id, Transition.CANCEL)

    assert refused.value.code == "use_cancel"
    (row,) = await world.rows("orders", order_id)
    assert row["state"] == OrderState.SUBMITTED
    assert await world.rows("cancellations", order_id) == []

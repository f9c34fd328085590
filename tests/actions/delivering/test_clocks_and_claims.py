"""What an endpoint hears depends neither on the clocks of nodes, nor on who claims while others write."""

import asyncio
from datetime import timedelta

import pytest

from countermand.domain.orders.order_state import Transition
from support.deliveries import Deliveries, shown
from support.postgres import a_connection, until_waiting
from support.shared_world import shared_postgres_world, shared_world

world = shared_world
postgres_world = shared_postgres_world

APART = timedelta(seconds=50)


@pytest.mark.parametrize("ahead", [APART, -APART], ids=["ahead", "behind"])
async def test_an_event_of_a_node_whose_clock_differs_is_sent_at_once(world, ahead):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    world.clock.now += ahead
    order_id = await world.service_order(me)
    world.clock.now -= ahead

    assert shown(await out.until_done(endpoint)) == [(1, "order.placed")]
    await world.advance(order_id, Transition.ACCEPT)
    assert shown(await out.until_done(endpoint)) == [(2, "order.advanced")]


async def test_versions_of_an_order_by_two_nodes_with_other_clocks_arrive_by_version(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    for ahead, move in ((-APART, Transition.ACCEPT), (APART, Transition.START), (-APART, Transition.ACTIVATE)):
        world.clock.now += ahead
        await world.advance(order_id, move)
        world.clock.now -= ahead

    sent = await out.until_done(endpoint)

    assert [one.order_version for one in sent] == [1, 2, 3, 4]
    assert [one.previous for one in sent] == [None, *(one.event_id for one in sent[:-1])]


async def test_spreading_lanes_leaves_alone_a_lane_that_a_node_claims_meanwhile(postgres_world):
    """Otherwise a second node would send the event at the same time."""
    world = postgres_world
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    now = world.clock()
    async with a_connection(world) as watching, world.database.store.transaction() as claiming:
        until = now + timedelta(seconds=20)
        assert len(await claiming.claim_lanes(endpoint.number, now, until, "mine", 10)) == 1

        async def spread() -> None:
            async with world.database.store.transaction() as tx:
                await tx.spread_lanes(endpoint.number, now, 500)

        spreading = asyncio.create_task(spread())
        await until_waiting(watching)
        await claiming._direct.commit()
        await spreading
    async with world.database.store.transaction() as tx:
        assert await tx.claim_lanes(endpoint.number, now, until, "another's", 10) == []

"""What a node claimed and could not send in time is given back, as if it had not been claimed."""

from datetime import timedelta

from countermand.actions.delivering.attempts import LEASE
from support.deliveries import Deliveries, shown
from support.shared_world import shared_world
from support.world import World

world = shared_world


async def test_an_event_that_was_given_back_is_sent_at_once_as_the_first_attempt(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    claimed = await out.attempts.claim(await out.current(endpoint), 10)

    await out.attempts.give_back(claimed)
    (sent,) = await out.until_done(endpoint)

    assert (sent.attempt, sent.event_id, sent.body) == (1, claimed[0].sending.event_id, claimed[0].sending.body)
    assert [(row["attempt"], row["outcome"]) for row in await world.rows("delivery_attempts")] == [(1, "delivered")]


async def test_a_later_attempt_that_was_given_back_keeps_its_number(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    await out.attempts.claim(await out.current(endpoint), 10)
    world.clock.now += LEASE
    again = await out.attempts.claim(await out.current(endpoint), 10)
    assert [one.sending.attempt for one in again] == [2]

    await out.attempts.give_back(again)

    assert [one.attempt for one in await out.until_done(endpoint)] == [2]


async def test_after_the_lease_nothing_is_given_back(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    late = await out.attempts.claim(await out.current(endpoint), 10)
    world.clock.now += LEASE
    (held,) = await out.attempts.claim(await out.current(endpoint), 10)

    await out.attempts.give_back(late)

    assert await out.attempts.claim(await out.current(endpoint), 10) == []
    world.clock.now += LEASE - timedelta(microseconds=1)
    assert await out.once(endpoint) == []
    world.clock.now += timedelta(microseconds=1)
    assert shown(await out.until_done(endpoint)) == [(1, "order.placed")]
    assert held.sending.attempt == 2

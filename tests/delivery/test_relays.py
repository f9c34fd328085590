"""Several relays on one PostgreSQL: clocks that differ and transactions that last cost no event, and no order."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.actions.delivering.attempts import LEASE
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.bootstrap.clock import shared_by_all
from countermand.delivery import relay as relays
from countermand.delivery.relay import NULL_DELIVERY_METRICS, Relay, RelayParts
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.feed import event_feed_head
from support.contracts import CONNECT
from support.deliveries import Deliveries
from support.postgres import a_connection, until_waiting
from support.receivers import Receiver, a_receiver, status
from support.relays import (
    DETAILS,
    RelayNode,
    a_relay_node,
    add_endpoint,
    settings_of,
    until_arrived,
    until_nothing_waits,
)
from support.world import World

APART = timedelta(seconds=50)
MOVES = (Transition.ACCEPT, Transition.START, Transition.ACTIVATE)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver(status(204)) as listening:
        yield listening


@pytest_asyncio.fixture
async def nodes(postgres_world: World, receiver: Receiver) -> AsyncIterator[list[RelayNode]]:
    """Two nodes whose clocks differ, and an endpoint."""
    settings = settings_of(postgres_world)
    async with postgres_world.database.store.transaction() as tx:  # the events are older than the migration
        await tx.run(update(event_feed_head).values(began_at=0))
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(a_relay_node(settings, ahead)) for ahead in (-APART / 2, APART / 2)]
        await add_endpoint(made[0], receiver)
        yield made


def arrived(receiver: Receiver) -> dict[str, list[tuple[int, str, str | None]]]:
    """Version, id and previous id of each arrival, by order."""
    orders = defaultdict(list)
    for one in receiver.requests:
        id_, version = one.headers["webhook-id"], int(one.headers["countermand-order-version"])
        orders[id_.split("_")[1]].append((version, id_, one.headers.get("countermand-previous-event")))
    return orders


async def test_two_nodes_whose_clocks_differ_send_each_event_once_and_each_order_in_order(
    postgres_world: World, receiver: Receiver, nodes: list[RelayNode]
):
    """The events of one order are written by both, so that their instants go back and forth."""
    me = await postgres_world.connect_client()

    async def one_order(number: int) -> None:
        order_id = await nodes[number % 2].place(me)
        for step, move in enumerate(MOVES):
            await nodes[(number + step + 1) % 2].advance(me, order_id, move)

    for begin in range(0, 60, 6):
        await asyncio.gather(*(one_order(begin + number) for number in range(6)))
    await until_arrived(receiver, 240)
    await until_nothing_waits(postgres_world)

    assert len(receiver.requests) == 240
    assert set((nodes[0].sent + nodes[1].sent).values()) == {1}
    assert len(nodes[0].sent) + len(nodes[1].sent) == 240
    orders = arrived(receiver)
    assert len(orders) == 60
    for came in orders.values():
        assert [version for version, _, _ in came] == [1, 2, 3, 4]
        assert [previous for _, _, previous in came] == [None, *(id_ for _, id_, _ in came[:-1])]
    attempts = await postgres_world.rows("delivery_attempts")
    assert {(row["attempt"], row["error"], row["outcome"]) for row in attempts} == {(1, None, "delivered")}
    assert len(attempts) == 240


async def test_what_others_commit_does_not_wait_for_a_transaction_that_stays_open_whose_events_come_later(
    postgres_world: World, receiver: Receiver, nodes: list[RelayNode]
):
    """Neither at the endpoint nor in the feed, although the instants of its events are older."""
    me = await postgres_world.connect_client()
    writer, other = nodes
    assert other.service is not None
    feed = other.service.feed
    begin = (await feed.read(None, 1)).following
    before = await other.place(me)
    await until_arrived(receiver, 1)

    async with writer.database.store.transaction() as tx:
        long_ago = writer.clock() - timedelta(seconds=100)
        late = (await place_service_order(tx, me.client.id, DETAILS, long_ago, contract=CONNECT.name)).order.id
        meanwhile = [await other.place(me) for _ in range(5)]
        await other.advance(me, before, Transition.ACCEPT)
        await until_arrived(receiver, 7)
        read = await feed.read(begin, 100)
        assert [one.order_id for _, one in read.events] == [before, *meanwhile, before]
        assert f"connect-{late}" not in arrived(receiver)
    await writer.advance(me, late, Transition.ACCEPT)
    await until_arrived(receiver, 9)
    await until_nothing_waits(postgres_world)

    assert len(receiver.requests) == 9
    assert [version for version, _, _ in arrived(receiver)[f"connect-{late}"]] == [1, 2]
    rest = await feed.read(read.following, 100)
    assert [(one.order_id, one.order_version) for _, one in rest.events] == [(late, 1), (late, 2)]
    assert not (await feed.read(rest.following, 100)).events
    again = [one.order_id for _, one in (await feed.read(begin, 100)).events]
    assert again == [before, *meanwhile, before, late, late]


async def test_an_attempt_does_not_begin_if_the_claim_took_so_long_that_the_lease_may_end_before_the_attempt(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
):
    """Another node may have the event by then."""
    out = Deliveries(postgres_world)
    await out.endpoint()
    order_id = await postgres_world.service_order(await postgres_world.connect_client())
    await out.hand_out()
    parts = RelayParts(
        dispatch=out.dispatch,
        attempts=out.attempts,
        endpoints=postgres_world.database.store,
        send=out.send,
        shared_clock=shared_by_all(postgres_world.clock),
        metrics=NULL_DELIVERY_METRICS,
        cancelling_share=lambda: 0.0,
    )
    relay, stopping = Relay(parts), asyncio.Event()
    await relay.read_endpoints()
    monkeypatch.setattr(relays, "CLAIM_HOLDS", timedelta(seconds=0.2))

    async with a_connection(postgres_world) as holding, a_connection(postgres_world) as watching:
        async with holding.transaction():
            await holding.execute("SELECT order_id FROM deliveries WHERE order_id = $1 FOR UPDATE", order_id)
            claiming = asyncio.create_task(relay._claim_all(stopping))
            await until_waiting(watching)
            await asyncio.sleep(0.3)
        await claiming
    await asyncio.gather(*relay._attempts)
    assert out.sent == []
    assert [row["attempts"] for row in await postgres_world.rows("deliveries")] == [1]

    postgres_world.clock.now += LEASE
    monkeypatch.undo()
    await relay._claim_all(stopping)
    await asyncio.gather(*relay._attempts)
    assert [(one.order_version, one.attempt) for one in out.sent] == [(1, 2)]


async def test_a_late_writer_is_not_missed_by_an_endpoint_that_was_added_while_it_wrote(
    postgres_world: World, receiver: Receiver, nodes: list[RelayNode]
):
    """What commits after an endpoint is there goes to it, although it was written before."""
    me = await postgres_world.connect_client()
    async with a_receiver(status(204)) as new:
        async with nodes[1].database.store.transaction() as tx:
            late = (await place_service_order(tx, me.client.id, DETAILS, nodes[1].clock(), contract=CONNECT.name)).order
            await nodes[0].place(me)
            await until_arrived(receiver, 1)
            await add_endpoint(nodes[0], new)
        await until_arrived(receiver, 2)
        await until_arrived(new, 1)
        await until_nothing_waits(postgres_world)

        assert [*arrived(new)] == [f"connect-{late.id}"]
        assert len(arrived(receiver)) == 2

"""What is old is forgotten, to the microsecond, some at a time; what counts is never forgotten."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.background import retention
from countermand.bootstrap.database import retention_of
from countermand.storage.retention import (
    APPROVALS,
    ATTEMPTS,
    CANCELLATIONS,
    DELIVERED_ORDER_EVENTS,
    DELIVERIES,
    IDEMPOTENCY_KEYS,
    REFUSALS,
    UNHEARD_ORDER_EVENTS,
    count_old,
    forget,
)
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from support.approvals import asked
from support.database_contents import changed, contents
from support.deliveries import Deliveries
from support.world import NOON, a_world

ALL = [APPROVALS, CANCELLATIONS, DELIVERED_ORDER_EVENTS, IDEMPOTENCY_KEYS, REFUSALS]


async def an_order_of_each_kind(world):
    """A cancelled order and a refused one, each under a key, an approval, and all their facts delivered at noon."""
    owner = await world.connect_client()
    cancelled, refused = await world.service_order(owner), await world.service_order(owner)
    await world.appointment(refused, timedelta(hours=3))
    assert isinstance(await world.cancel(owner, cancelled, key="one"), Cancelled)
    assert isinstance(await world.cancel(owner, refused, key="two"), NotCancelled)
    await asked(world, refused, "appointment_within_notice")
    await deliver_everything(world)
    return owner, cancelled, refused


async def deliver_everything(world):
    async with world.database.store.transaction() as tx:
        await tx.run(update(outbox).values(delivered_at=micros(NOON)))


@pytest.mark.parametrize("kept", ALL, ids=lambda kept: kept.name)
async def test_what_is_older_goes_and_what_is_as_old_as_that_stays(world, kept):
    await an_order_of_each_kind(world)
    store = world.database.store
    before = await contents(world)

    assert await count_old(store, kept, NOON) == 0
    assert await forget(store, kept, NOON, at_most=1000) == 0
    assert changed(before, await contents(world)) == set()

    later = NOON + timedelta(microseconds=1)
    rows = len(before[kept.table.name])
    assert await count_old(store, kept, later) == rows > 0
    assert await forget(store, kept, later, at_most=1000) == rows
    after = await contents(world)
    assert changed(before, after) == {kept.table.name}
    assert after[kept.table.name] == []


async def test_some_at_a_time(world):
    await an_order_of_each_kind(world)
    later = NOON + timedelta(seconds=1)

    gone = [await forget(world.database.store, DELIVERED_ORDER_EVENTS, later, at_most=2) for _ in range(3)]

    assert gone == [2, 2, 0]
    assert await world.rows("outbox") == []


async def test_a_fact_that_is_not_delivered_is_never_forgotten(world):
    owner, cancelled, _ = await an_order_of_each_kind(world)
    undelivered = await world.service_order(owner)

    await forget(world.database.store, DELIVERED_ORDER_EVENTS, NOON + timedelta(days=36_500), at_most=1000)

    assert [row["order_id"] for row in await world.rows("outbox")] == [undelivered]
    assert await world.rows("outbox", cancelled) == []


async def test_an_order_stays_cancelled_when_its_record_is_forgotten(world):
    owner, cancelled, _ = await an_order_of_each_kind(world)

    assert await forget(world.database.store, CANCELLATIONS, NOON + timedelta(days=1), at_most=1000) == 1

    assert isinstance(await world.cancel(owner, cancelled), NotCancelled)
    assert await world.rows("cancellations") == []


async def test_two_nodes_may_forget_at_once(postgres_world):
    world = postgres_world
    owner = await world.connect_client()
    for _ in range(20):
        await world.service_order(owner)
    await deliver_everything(world)
    later = NOON + timedelta(seconds=1)

    gone = await asyncio.gather(
        *(forget(world.database.store, DELIVERED_ORDER_EVENTS, later, at_most=6) for _ in range(5))
    )

    assert sum(gone) <= 20
    while await forget(world.database.store, DELIVERED_ORDER_EVENTS, later, at_most=6):
        pass
    assert await world.rows("outbox") == []


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
async def test_a_node_goes_on_forgetting_the_rest_where_one_table_is_gone_and_stops_in_peace(tmp_path, monkeypatch, on):
    monkeypatch.setattr(retention, "_SWEEP_EVERY_S", 0.01)
    async with a_world(tmp_path, on) as world:
        owner = await world.connect_client()
        refused = await world.service_order(owner)
        await world.appointment(refused, timedelta(hours=3))
        assert isinstance(await world.cancel(owner, refused), NotCancelled)
        async with world.database.store.transaction() as tx:
            await tx.run(text("ALTER TABLE idempotency_keys RENAME TO elsewhere"))  # the first it looks at
        world.clock.forward(days=401)
        async with asyncio.timeout(10):
            while await world.rows("refusals"):  # noqa: ASYNC110 - it has nobody to tell
                await asyncio.sleep(0.01)


async def test_an_event_stays_until_every_endpoint_is_done_with_it(world):
    out = Deliveries(world)
    quick, slow = await out.endpoint(), await out.endpoint()
    owner = await world.connect_client()
    await world.service_order(owner)
    await out.until_done(quick)
    store, far = world.database.store, NOON + timedelta(days=400)

    assert await forget(store, DELIVERED_ORDER_EVENTS, far, at_most=1000) == 0
    assert await forget(store, DELIVERIES, far, at_most=1000) == 1
    await out.until_done(slow)
    assert await forget(store, DELIVERED_ORDER_EVENTS, far, at_most=1000) == 1
    assert await forget(store, ATTEMPTS, far, at_most=1000) == 2


async def test_what_a_removed_endpoint_did_not_get_keeps_no_event(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    store, far = world.database.store, NOON + timedelta(days=400)
    assert await forget(store, DELIVERED_ORDER_EVENTS, far, at_most=1000) == 0

    await out.endpoints.remove(endpoint.id, None)
    async with store.transaction() as tx:
        while await tx.forget_removed(1):
            pass
    assert await forget(store, DELIVERED_ORDER_EVENTS, far, at_most=1000) == 1


async def test_an_event_that_is_delivered_late_is_kept_from_then_on(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    world.clock.forward(days=40)
    await out.until_done(endpoint)

    store = world.database.store
    assert await forget(store, DELIVERED_ORDER_EVENTS, world.clock.now, at_most=1000) == 0
    assert await forget(store, DELIVERED_ORDER_EVENTS, world.clock.now + timedelta(microseconds=1), at_most=1000) == 1


async def test_events_that_no_endpoint_gets_go_only_by_the_operators_word_and_those_that_wait_never(world):
    out = Deliveries(world)
    owner = await world.connect_client()
    await world.service_order(owner)
    world.clock.forward(days=1)
    await out.endpoint()
    await world.service_order(owner)
    store, far = world.database.store, NOON + timedelta(days=400)

    assert UNHEARD_ORDER_EVENTS not in retention_of(world.settings)
    assert await forget(store, DELIVERED_ORDER_EVENTS, far, at_most=1000) == 0
    assert await forget(store, UNHEARD_ORDER_EVENTS, far, at_most=1000) == 1
    assert [row["recorded_at"] for row in await world.rows("outbox")] == [micros(world.clock.now)]

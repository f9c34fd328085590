"""The relay sends what was committed, whoever committed it, and writes what became of it, also when it stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import delete, insert
from structlog.testing import capture_logs

from countermand.actions.delivering.sending import AttemptError, AttemptResult, Sending
from countermand.actions.errors import UnavailableError
from countermand.bootstrap.clock import shared_by_all
from countermand.bootstrap.endpoints import delivering_in, deployment_of
from countermand.delivery.relay import NULL_DELIVERY_METRICS, Relay
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from support.outside_world import SUCCESS, failure
from support.shared_world import shared_world
from support.world import PUBLIC_URL, World

world = shared_world

URL = "https://receiver.example/events"


@asynccontextmanager
async def relaying(world: World, *, woken: bool = True) -> AsyncIterator[Relay]:
    """A relay as a node has it. Without `woken`, it is not told of this process's commits."""
    made = delivering_in(
        world.settings,
        world.database,
        deployment_of(world.settings, PUBLIC_URL),
        shared_by_all(world.clock),
        NULL_DELIVERY_METRICS,
        lambda: 0.0,
        world.outside.joined(),
    )
    stopping = asyncio.Event()
    before, world.database.store.after_events = world.database.store.after_events, lambda: None
    if woken:
        world.database.store.after_events = made.relay.wake
    task = asyncio.create_task(made.relay.run(stopping))
    try:
        yield made.relay
    finally:
        stopping.set()
        await task
        world.database.store.after_events = before


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited stands in a list or in the database
            await asyncio.sleep(0.01)


async def an_endpoint(world: World, url: str = URL) -> str:
    return (await world.endpoints.add(url, Subscription(), None)).endpoint.id


def subjects(world: World) -> list[tuple[str, int]]:
    return [(one.event_id.split("_")[1], one.order_version) for one in world.outside.sent]


@pytest.mark.parametrize("woken", [True, False])
async def test_events_are_sent_whether_the_relay_is_woken_or_finds_them(world: World, woken):
    me = await world.connect_client()
    await an_endpoint(world)
    async with relaying(world, woken=woken):
        order_id = await world.service_order(me, moves=(Transition.ACCEPT,))
        await world.cancel(me, order_id)
        await until(lambda: len(world.outside.sent) == 3)

    assert subjects(world) == [(f"connect-{order_id}", version) for version in (1, 2, 3)]
    assert {row["state"] for row in await world.rows("deliveries")} == {"delivered"}
    assert await world.rows("delivery_lanes") == []


async def test_a_stop_ends_what_is_under_way_and_writes_what_became_of_it(world: World):
    going, goes_on = asyncio.Event(), asyncio.Event()

    async def hanging(_: Sending) -> AttemptResult:
        going.set()
        await goes_on.wait()
        return SUCCESS

    world.outside.send = hanging  # type: ignore[method-assign]
    await an_endpoint(world)
    async with relaying(world):
        await world.service_order(await world.connect_client())
        await asyncio.wait_for(going.wait(), 60)
        asyncio.get_running_loop().call_later(0.2, goes_on.set)

    del world.outside.send
    assert [row["outcome"] for row in await world.rows("delivery_attempts")] == ["delivered"]


async def test_a_result_is_kept_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch):
    await an_endpoint(world)
    store, tried = world.database.store, []
    transaction = store.transaction

    def away():
        if world.outside.sent and len(tried) < 2:
            tried.append(True)
            raise UnavailableError("the database is away")
        return transaction()

    monkeypatch.setattr(store, "transaction", away)
    async with relaying(world):
        async with transaction() as tx:
            assert tx is not None
        await world.service_order(await world.connect_client())
        await until(lambda: len(tried) == 2)

        async with asyncio.timeout(60):
            while not await world.rows("delivery_attempts"):  # noqa: ASYNC110 - the row is in the database
                await asyncio.sleep(0.01)
    assert len(world.outside.sent) == 1


async def test_an_endpoint_that_hangs_holds_up_no_other(world: World):
    goes_on = asyncio.Event()
    slow = await an_endpoint(world, "https://slow.example/")
    quick = await an_endpoint(world)
    arrived = []

    async def send(sending: Sending) -> AttemptResult:
        if sending.endpoint.id == slow:
            await goes_on.wait()
        else:
            arrived.append(sending.event_id)
        return SUCCESS

    world.outside.send = send  # type: ignore[method-assign]
    async with relaying(world):
        me = await world.connect_client()
        for _ in range(80):
            await world.service_order(me)
        await until(lambda: len(arrived) == 80)
        goes_on.set()
    del world.outside.send
    assert quick != slow


async def test_a_paused_endpoint_gets_nothing_until_it_is_resumed(world: World):
    world.outside.answers.append(failure(AttemptError.STATUS, 500))
    name = await an_endpoint(world)
    async with relaying(world) as relay:
        await world.endpoints.pause(name, None)
        await relay.read_endpoints()
        await world.service_order(await world.connect_client())
        await asyncio.sleep(1.5)
        assert world.outside.sent == []
        world.outside.answers.clear()
        await world.endpoints.resume(name, None)
        await until(lambda: len(world.outside.sent) == 1)


async def test_a_bug_in_sending_is_a_failed_attempt_of_one_event(world: World):
    await an_endpoint(world)
    arrived = []

    async def send(sending: Sending) -> AttemptResult:
        if "connect-1_" in sending.event_id:
            raise ValueError("a header with a line break")
        arrived.append(sending.event_id)
        return SUCCESS

    world.outside.send = send  # type: ignore[method-assign]
    with capture_logs() as lines:
        async with relaying(world):
            me = await world.connect_client()
            for _ in range(2):
                await world.service_order(me)
            await until(lambda: arrived)
    del world.outside.send
    errors = {row["order_id"]: row["error"] for row in await world.rows("delivery_attempts")}
    assert errors == {1: "fault", 2: None}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["an event could not be sent"]


async def test_a_result_that_the_database_refuses_takes_no_other_with_it(world: World):
    await an_endpoint(world)
    release = asyncio.Event()

    async def send(sending: Sending) -> AttemptResult:
        await release.wait()
        detail = "\x00" if "connect-1_" in sending.event_id else "fine"
        return replace(SUCCESS, detail=detail, status=None if detail == "fine" else 2**70)

    world.outside.send = send  # type: ignore[method-assign]
    with capture_logs() as lines:
        async with relaying(world):
            me = await world.connect_client()
            for _ in range(3):
                await world.service_order(me)
            await asyncio.sleep(0.3)
            release.set()
            async with asyncio.timeout(60):
                while len(await world.rows("delivery_attempts")) < 2:  # noqa: ASYNC110 - the rows are in the database
                    await asyncio.sleep(0.01)
    del world.outside.send
    assert {row["order_id"] for row in await world.rows("delivery_attempts")} == {2, 3}
    states = {row["order_id"]: row["state"] for row in await world.rows("deliveries")}
    assert states == {1: "pending", 2: "delivered", 3: "delivered"}
    refused = [line for line in lines if line["event"] == "the result of an attempt cannot be written"]
    assert len(refused) == 1


async def test_a_row_that_nobody_can_read_ends_neither_the_sending_nor_the_writing_of_results(world: World):
    """Otherwise what was sent would be sent again and again, and only a new start of the node would end that."""
    going, goes_on = asyncio.Event(), asyncio.Event()
    send = world.outside.send

    async def hanging(sending: Sending) -> AttemptResult:
        going.set()
        await goes_on.wait()
        return await send(sending)

    world.outside.send = hanging  # type: ignore[method-assign]
    me = await world.connect_client()
    await an_endpoint(world)
    with capture_logs() as logged:
        async with relaying(world):
            order_id = await world.service_order(me)
            await asyncio.wait_for(going.wait(), 60)
            broken = outbox.c.order_version == 99
            row = {"order_id": order_id, "order_version": 99, "kind": "order.advanced", "client_id": 1}
            async with world.database.store.transaction() as tx:
                await tx.run(insert(outbox).values(row | {"recorded_at": micros(world.clock()), "details": '{"x'}))
            await until(lambda: any(one["log_level"] == "error" for one in logged))
            goes_on.set()
            async with asyncio.timeout(60):
                while not await world.rows("delivery_attempts"):  # noqa: ASYNC110 - the rows are in the database
                    await asyncio.sleep(0.01)
            async with world.database.store.transaction() as tx:
                await tx.run(delete(outbox).where(broken))
            other = await world.service_order(me)
            await until(lambda: len(world.outside.sent) == 2)

    del world.outside.send
    assert subjects(world) == [(f"connect-{order_id}", 1), (f"connect-{other}", 1)]
    assert [one["outcome"] for one in await world.rows("delivery_attempts")] == ["delivered", "delivered"]

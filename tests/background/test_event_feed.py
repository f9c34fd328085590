"""Once somebody has read the feed, every node gives events their positions, and goes on after an error."""

import asyncio

import pytest

from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.event_feed import EventFeed
from countermand.background import event_feed
from countermand.background.event_feed import number_events
from support.shared_world import shared_world
from support.world import World

world = shared_world


async def test_nobody_gets_a_position_before_the_first_read(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(event_feed, "_NUMBER_EVERY_S", 0.0)
    await world.service_order(await world.connect_client())
    began, left, stopping = EventFeed.has_begun, [None] * 5, asyncio.Event()

    async def counted(self: EventFeed) -> bool:
        left.pop()
        if not left:
            stopping.set()
        return await began(self)

    monkeypatch.setattr(EventFeed, "has_begun", counted)
    async with asyncio.timeout(60):
        await number_events(world.service.feed, stopping)
    assert not left
    assert await world.rows("event_feed") == []


async def test_events_get_positions_after_the_first_read_and_an_error_only_delays_them(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_feed, "_NUMBER_EVERY_S", 0.0)
    me = await world.connect_client()
    orders = [await world.service_order(me)]
    await world.service.feed.read(None, 1)
    orders += [await world.service_order(me) for _ in range(2)]
    fails, stopping = [True], asyncio.Event()
    number = EventFeed.number

    async def failing_once(self: EventFeed) -> bool:
        if fails:
            raise UnavailableError(f"the database is away {fails.pop()}")
        return await number(self)

    monkeypatch.setattr(EventFeed, "number", failing_once)
    tasks = [asyncio.create_task(number_events(world.service.feed, stopping)) for _ in range(2)]
    async with asyncio.timeout(60):
        while len(await world.rows("event_feed")) < len(orders):
            pass
    stopping.set()
    await asyncio.gather(*tasks)
    assert not fails
    assert [row["position"] for row in await world.rows("event_feed")] == [1, 2, 3]
    assert {row["order_id"] for row in await world.rows("event_feed")} == set(orders)

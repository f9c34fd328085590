"""Every node gives events their positions by itself, and goes on after an error of the database."""

import asyncio

import pytest

from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.event_feed import EventFeed
from countermand.background import event_feed
from countermand.background.event_feed import number_events
from support.shared_world import shared_world
from support.world import World

world = shared_world


async def test_events_get_positions_though_nobody_reads_and_an_error_only_delays_them(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_feed, "_NUMBER_EVERY_S", 0.0)
    orders = [await world.service_order(await world.connect_client()) for _ in range(3)]
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

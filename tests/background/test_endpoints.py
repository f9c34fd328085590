"""What waited for a removed endpoint is deleted, some rows at a time, and nothing of the others."""

import asyncio

import pytest

from countermand.background import endpoints
from countermand.background.endpoints import forget_removed_endpoints
from support.deliveries import Deliveries
from support.shared_world import shared_world
from support.world import World

world = shared_world


async def test_only_what_waited_for_the_removed_endpoint_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endpoints, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(endpoints, "FORGOTTEN_AT_ONCE", 2)
    out = Deliveries(world)
    removed, stays = await out.endpoint(), await out.endpoint()
    owner = await world.connect_client()
    for _ in range(5):
        await world.service_order(owner)
    await out.hand_out()
    await out.endpoints.remove(removed.id, None)

    stopping = asyncio.Event()
    task = asyncio.create_task(forget_removed_endpoints(world.database.store, stopping))
    async with asyncio.timeout(60):
        while any(row["state"] != "forgotten" for row in await world.rows("endpoints") if row["removed_at"]):  # noqa: ASYNC110 - in the database
            await asyncio.sleep(0.02)
    stopping.set()
    await task

    assert {row["endpoint"] for row in await world.rows("deliveries")} == {stays.number}
    assert {row["endpoint"] for row in await world.rows("delivery_lanes")} == {stays.number}
    assert len(await out.until_done(stays)) == 5

"""The background task that ends unpaid orders outlives an error of the database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from countermand.background import expiry
from support.ticket_shop import a_shop
from support.world import World, a_world


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
async def test_unpaid_orders_stay_while_their_table_is_gone_and_end_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str
):
    failed = asyncio.Event()
    monkeypatch.setattr(expiry, "_EXPIRE_EVERY_S", 0.01)
    monkeypatch.setattr(expiry.log, "warning", lambda *_, **__: failed.set(), raising=False)
    async with a_world(tmp_path, on) as world:
        shop = await a_shop(world)
        await shop.order({await shop.product(): 2})
        await _renamed(world, "expiries", "elsewhere")
        world.clock.now += timedelta(hours=1)
        async with asyncio.timeout(30):
            await failed.wait()
            assert [row["state"] for row in await world.rows("orders")] == ["pending"]
            await _renamed(world, "elsewhere", "expiries")
            while [row["state"] for row in await world.rows("orders")] == ["pending"]:  # noqa: ASYNC110 - it has nobody to tell
                await asyncio.sleep(0.01)
        assert [row["state"] for row in await world.rows("orders")] == ["expired"]


async def _renamed(world: World, old: str, new: str) -> None:
    async with world.database.store.transaction() as tx:
        await tx.run(text(f"ALTER TABLE {old} RENAME TO {new}"))

"""The background task that ends unpaid orders outlives an error of the database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from countermand.background import expiry
from countermand.background.rounds import started
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


async def test_an_order_that_cannot_be_ended_holds_up_no_other_however_long_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(expiry, "_EXPIRE_EVERY_S", 0.01)
    monkeypatch.setattr(expiry, "_EXPIRED_AT_ONCE", 1)
    async with a_world(tmp_path, "postgres") as world:
        shop = await a_shop(world)
        product = await shop.product()
        first = await shop.order({product: 1})
        world.clock.forward(seconds=1)
        await shop.order({product: 1})
        async with world.database.store.transaction() as tx:
            await tx.run(text(_REFUSES_ONE.format(uid=first)))
            await tx.run(text(_TRIGGER))
        world.clock.now += timedelta(hours=2)
        states: list[str] = []
        async with asyncio.timeout(30):
            while "expired" not in states:
                await asyncio.sleep(0.01)
                states = [row["state"] for row in await world.rows("orders")]
        assert sorted(states) == ["expired", "pending"]


async def test_a_background_task_that_a_bug_ends_says_so_at_once(capsys: pytest.CaptureFixture[str]):
    async def work() -> None:
        raise ZeroDivisionError

    task = started(work(), name="a task")
    await asyncio.wait({task})
    await asyncio.sleep(0)
    captured = capsys.readouterr()
    told = captured.out + captured.err
    assert "a background task failed" in told
    assert "ZeroDivisionError" in told


_REFUSES_ONE = """
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT uid FROM order_details WHERE order_id = NEW.id) = '{uid}' THEN
    RAISE EXCEPTION 'not this one' USING ERRCODE = '23514';
  END IF;
  RETURN NEW;
END $$"""
_TRIGGER = "CREATE TRIGGER refuses BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuses()"


async def _renamed(world: World, old: str, new: str) -> None:
    async with world.database.store.transaction() as tx:
        await tx.run(text(f"ALTER TABLE {old} RENAME TO {new}"))

"""A node whose clock is wrong ends nothing of the others, and says that it is wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import insert
from structlog.testing import capture_logs

from countermand.background import expiry, retention
from countermand.background.clock import ClockCheck
from countermand.bootstrap.service import build
from countermand.storage.tables.cancelling import idempotency_keys
from support.world import NOON, PUBLIC_URL, Clock, World, running

HOUR_AHEAD = timedelta(minutes=65)


@asynccontextmanager
async def a_node(world: World, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """Another node on the world's database, with a clock of its own; the world's is the database's."""

    async def shared_clock() -> datetime:
        return world.clock()

    service = build(world.settings, world.database, PUBLIC_URL, clock=clock, shared_clock=shared_clock)
    transport = httpx.ASGITransport(service.application, raise_app_exceptions=False)
    async with running(service.application), httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield http


async def test_a_node_an_hour_ahead_expires_no_order_that_can_still_be_paid(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(expiry, "_EXPIRE_EVERY_S", 0.01)
    me = await world.shopping_client()
    soon, due = await world.ticket_order(me), await world.ticket_order(me)
    async with world.database.store.transaction() as tx:
        await tx.expire_at(soon.order.id, NOON + timedelta(hours=1))
    async with a_node(world, Clock(NOON + HOUR_AHEAD)):
        async with world.database.store.transaction() as tx:
            await tx.expire_at(due.order.id, NOON)
        await until_expired(world, due.order.id)
        (row,) = await world.rows("orders", soon.order.id)
        assert row["state"] == "pending"
        world.clock.now = NOON + timedelta(hours=1)
        await until_expired(world, soon.order.id)


async def until_expired(world: World, order_id: int) -> None:
    async with asyncio.timeout(60):
        while (await world.rows("orders", order_id))[0]["state"] != "expired":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_node_an_hour_ahead_forgets_nothing_before_its_time(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "_SWEEP_EVERY_S", 0.01)
    me = await world.shopping_client()
    age = timedelta(hours=world.settings.idempotency_kept_h)
    async with world.database.store.transaction() as tx:
        for key, made_at in (("young", NOON - age + timedelta(hours=1)), ("old", NOON - age - timedelta(hours=1))):
            row = {"client_id": me.client.id, "key": key, "fingerprint": "x", "answer": "{}"}
            made = int(made_at.timestamp()) * 1_000_000
            await tx.run(insert(idempotency_keys).values(row | {"created_at": made}))
    async with a_node(world, Clock(NOON + HOUR_AHEAD)):
        async with asyncio.timeout(60):
            while len(await world.rows("idempotency_keys")) == 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert [row["key"] for row in await world.rows("idempotency_keys")] == ["young"]


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_node_more_than_a_minute_off_is_not_ready_and_says_why_until_its_clock_is_right(
    world: World, sign: int
):
    clock = Clock(NOON)
    async with a_node(world, clock) as http:
        for off_s, status in ((0, 200), (60, 200), (61, 503), (3900, 503), (5, 200)):
            clock.now = NOON + sign * timedelta(seconds=off_s)
            answer = await http.get("/readyz")
            assert (off_s, answer.status_code) == (off_s, status)
            if status == 503:
                assert answer.json()["reason"] == f"this node's clock is {off_s} seconds off the database's"
            page = (await http.get("/metrics")).text
            assert f"countermand_clock_ahead_seconds {sign * off_s:.1f}" in page.replace("-0.0", "0.0")


@pytest.mark.parametrize(("off_s", "is_told"), [(5, False), (5.001, True), (-5, False), (-5.001, True)])
async def test_the_log_hears_once_of_a_clock_more_than_five_seconds_off(off_s: float, *, is_told: bool):
    clock = Clock(NOON + timedelta(seconds=off_s))
    check = ClockCheck(clock, at_noon)
    with capture_logs() as lines:
        for _ in range(3):
            await check.off_s()
        clock.now = NOON
        await check.off_s()
    told = [(line["log_level"], line["ahead_s"]) for line in lines]
    assert told == ([("warning", round(off_s, 1)), ("info", 0.0)] if is_told else [])


async def at_noon() -> datetime:
    return NOON


async def test_a_slow_database_makes_no_clock_wrong():
    clock = Clock(NOON)

    async def slow() -> datetime:
        clock.forward(seconds=100)
        return NOON + timedelta(seconds=100)  # the answer was made at the very end

    assert await ClockCheck(clock, slow).off_s() == 0


async def test_the_shared_clock_is_the_databases_own(world: World):
    before = datetime.now(UTC) - timedelta(minutes=1)
    now = await world.database.store.now()
    assert now.utcoffset() == timedelta(0)
    assert before < now < before + timedelta(minutes=2)

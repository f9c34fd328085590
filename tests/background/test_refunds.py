"""Orders that older nodes refunded in full are marked, in small steps, and paid orders never are."""

import asyncio

import pytest
from sqlalchemy import update

from countermand.background import order_rounds, refunds
from countermand.background.refunds import mark_refunded, mark_some
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.orders import orders
from support.beside import beside
from support.money import euros, owe, pay, pay_back, row_of, take_back, void
from support.shared_world import shared_world
from support.world import World

world = shared_world

LIMIT_S = 120  # only guards against hanging


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refunds, "LOOKED_AT_ONCE", 2)
    monkeypatch.setattr(order_rounds, "SWEEP_PAUSE_S", 0.0)
    monkeypatch.setattr(order_rounds, "_AGAIN_AFTER_S", 0.0)


async def as_older_nodes_left(world: World) -> None:
    """Take the marks from all orders, or leave marks of versions before."""
    async with world.database.store.transaction() as tx:
        await tx.run(update(orders).values(refunded_version=None))
        await tx.run(update(orders).where(orders.c.id % 2 == 0).values(refunded_version=orders.c.version - 1))


async def some_orders(world: World) -> dict[str, OrderId]:
    owner = await world.connect_client()
    names = ("refunded", "taken back", "in part", "paid again", "due", "voided", "never paid", "unknown")
    made = {name: await world.service_order(owner) for name in names}
    for name, order_id in made.items():
        if name != "never paid":
            await pay(world, order_id, f"tx {name}", euros(1000))
    for name in ("refunded", "paid again", "unknown"):
        await pay_back(world, made[name], f"re {name}", euros(1000))
    await pay(world, made["paid again"], "tx more", euros(1))
    await take_back(world, made["taken back"], "cb 1", euros(1000))
    await pay_back(world, made["in part"], "re part", euros(999))
    await owe(world, made["due"], euros(1000))
    await void(world, made["voided"], "tx voided")
    async with world.database.store.transaction() as tx:
        await tx.run(update(orders).where(orders.c.id == made["unknown"]).values(state="teleported"))
    return made


@pytest.mark.usefixtures("in_small_steps")
async def test_two_nodes_mark_just_the_orders_that_were_refunded_in_full_and_then_stop(world: World):
    made = await some_orders(world)
    await as_older_nodes_left(world)
    before = {row["id"]: row for row in await world.rows("orders")}
    said: list[bool] = []
    async with beside(world) as other, asyncio.timeout(LIMIT_S):
        await asyncio.gather(
            mark_refunded(world.database.store, asyncio.Event(), said.append),
            mark_refunded(other.database.store, asyncio.Event()),
        )
    after = {row["id"]: row for row in await world.rows("orders")}
    marked = {name for name, of in made.items() if after[of]["refunded_version"] == after[of]["version"]}
    assert marked == {"refunded", "taken back"}
    assert said == [True, False]
    for order_id, row in after.items():
        assert row | {"refunded_version": None} == before[order_id] | {"refunded_version": None}


async def test_a_round_that_finds_nothing_to_mark_writes_nothing(world: World):
    made = await some_orders(world)
    before = await world.rows("orders")
    step = await mark_some(world.database.store, 0)
    assert (step.last, step.found) == (max(made[name] for name in ("refunded", "unknown", "in part")), 0)
    assert await world.rows("orders") == before
    assert (await mark_some(world.database.store, int(step.last or 0))).last is None
    assert (await row_of(world, made["refunded"]))["refunded_version"] is not None

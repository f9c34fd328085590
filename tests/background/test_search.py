"""Handles of older orders are made in small steps, on several nodes at once, and each order is looked at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert

from countermand.actions.errors import UnavailableError
from countermand.background import search
from countermand.background.search import Step, make_handles, make_some
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.orders import order_details
from countermand.storage.tables.progress import task_progress
from countermand.storage.tables.search import order_search
from support.beside import beside
from support.findable import bought, found, telecom_of
from support.shared_world import shared_world
from support.ticket_shop import a_shop
from support.world import NOON, World

world = shared_world

LIMIT_S = 120  # only guards against hanging
LATER = NOON + timedelta(days=1)
Handles = set[tuple[str, OrderId]]


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT_ONCE", 7)
    monkeypatch.setattr(search, "MADE_AT_ONCE", 3)
    monkeypatch.setattr(search, "SWEEP_PAUSE_S", 0.0)
    monkeypatch.setattr(search, "_AGAIN_AFTER_S", 0.0)


async def handles(world: World) -> Handles:
    return {(row["handle"], row["order_id"]) for row in await world.rows("order_search")}


async def orders_of_all_kinds(world: World) -> Handles:
    """Telecom and ticket orders, with visits and payments, as an old node leaves them: their handles, which are gone.

    One order has a handle again, as if a new node had recorded its payment.
    """
    shop, partner = await a_shop(world), await world.connect_client()
    for number in range(9):
        order = await telecom_of(world, partner, contact_name=f"Jo Citizen{number}", customer_reference=f"C-{number}")
        if number % 3 == 0:
            await world.appointment(order, timedelta(hours=30))
        await bought(shop, consumer={"first_name": f"Ann{number}", "email": "ann@example.com"}, paid=True)
        world.clock.forward(seconds=number % 2)
    made = await handles(world)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(order_search))
        await tx.run(insert(order_search).values(handle="=" + "c-8", order_id=order))
    return made


async def until_all_are_made(world: World, wanted: Handles) -> None:
    while await handles(world) != wanted:  # noqa: ASYNC110 - other nodes write them
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("in_small_steps")
async def test_two_nodes_make_the_same_handles_that_the_orders_would_have_got_when_placed(world: World):
    wanted = await orders_of_all_kinds(world)
    world.clock.now = LATER
    stopping = asyncio.Event()
    async with beside(world) as other, asyncio.timeout(LIMIT_S):
        making = [
            asyncio.create_task(make_handles(one.database.store, world.database.store.now, stopping))
            for one in (world, other)
        ]
        await until_all_are_made(world, wanted)
        stopping.set()
        await asyncio.gather(*making)
    assert await handles(world) == wanted
    assert len(await found(world, await world.manage_client(), "citizen")) == 9


async def test_an_order_is_looked_at_once_and_a_new_order_when_it_is_two_minutes_old(world: World):
    wanted = await orders_of_all_kinds(world)
    assert await make_some(world.database.store, NOON) == Step(seen=0, made=0)
    assert await make_some(world.database.store, LATER) == Step(seen=18, made=18)
    assert await handles(world) == wanted
    assert await make_some(world.database.store, LATER) == Step(seen=0, made=0)
    world.clock.forward(minutes=1)
    await world.ticket_order(await world.shopping_client())
    before = await handles(world)
    assert await make_some(world.database.store, LATER) == Step(seen=1, made=0)
    assert await handles(world) == before


async def test_a_step_begins_where_another_process_has_stopped(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "MADE_AT_ONCE", 4)
    wanted = await orders_of_all_kinds(world)
    done = [(await make_some(world.database.store, LATER)).made for _ in range(6)]
    assert done == [4, 4, 4, 4, 2, 0]
    assert await handles(world) == wanted
    assert len(await world.rows("task_progress")) == 1


async def test_a_database_that_is_away_for_a_while_delays_the_handles_only(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    wanted = await orders_of_all_kinds(world)
    monkeypatch.setattr(search, "_RETRY_AFTER_S", 0.0)
    failures = [UnavailableError("away")] * 3

    async def away_at_first(*given: Any) -> Step:
        if failures:
            raise failures.pop()
        return await make_some(*given)

    monkeypatch.setattr(search, "make_some", away_at_first)
    stopping = asyncio.Event()

    async def later():
        return LATER

    async with asyncio.timeout(LIMIT_S):
        making = asyncio.create_task(make_handles(world.database.store, later, stopping))
        await until_all_are_made(world, wanted)
        stopping.set()
        await making
    assert failures == []


async def test_orders_whose_people_are_forgotten_keep_the_handles_of_what_is_left(world: World):
    partner = await world.connect_client()
    kept = await telecom_of(world, partner, contact_name="Jo Citizen")
    order = await telecom_of(world, partner, contact_name="Jo Citizen", contact_email="jo@example.com")
    async with world.database.store.transaction() as tx:
        await tx.run(order_details.update().where(order_details.c.order_id == order).values(details="{}"))
        await tx.renew_handles([order])
    assert {handle for handle, of in await handles(world) if of == order} == {f"={order}"}
    assert await found(world, await world.manage_client(), "jo") == [f"connect-{kept}"]


async def test_the_place_that_was_reached_is_moved_once_by_one_of_two_nodes(world: World):
    await orders_of_all_kinds(world)
    first, second = (NOON, OrderId(1)), (LATER, OrderId(2))
    async with world.database.store.transaction() as tx:
        assert await tx.move_handle_progress(None, first)
        assert not await tx.move_handle_progress(None, second)
        assert await tx.move_handle_progress(first, second)
        assert not await tx.move_handle_progress(first, second)
        assert await tx.handle_progress() == second
        await tx.run(delete(task_progress))

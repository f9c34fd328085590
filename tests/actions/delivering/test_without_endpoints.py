"""Without an endpoint, a cancellation knows nothing of delivery: the same statements run, with the same rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from countermand.actions.errors import UnforeseenDatabaseError
from countermand.domain.client import Client
from countermand.domain.orders.order import OrderId
from support.deliveries import Deliveries
from support.shared_world import shared_world
from support.watched import watched
from support.world import World

world = shared_world

TABLES = ("endpoints", "deliveries", "delivery_lanes", "delivery_attempts", "delivery_head")


async def rename(world: World, before: str, after: str) -> None:
    async with world.database.store.transaction() as tx:
        for table in TABLES:
            await tx.run(text(f"ALTER TABLE {before}{table} RENAME TO {after}{table}"))


@asynccontextmanager
async def without_tables(world: World) -> AsyncIterator[None]:
    """The tables of delivery are not there: a statement that names one fails."""
    await rename(world, "", "away_")
    try:
        yield
    finally:
        await rename(world, "away_", "")


async def order_with_a_visit(world: World, me: Client) -> OrderId:
    return await world.service_order(me, appointment_in=timedelta(hours=30))


async def test_a_cancellation_uses_no_table_of_delivery(world: World):
    me, shop = await world.connect_client(), await world.shopping_client()
    order_id, placed = await order_with_a_visit(world, me), await world.ticket_order(shop)

    async with without_tables(world):
        with pytest.raises(UnforeseenDatabaseError):
            await world.rows("endpoints")
        await world.cancel(me, order_id)
        await world.cancel(shop, placed.order.id)

    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert [row["state"] for row in await world.rows("orders", placed.order.id)] == ["cancelled"]


async def test_a_cancellation_runs_one_statement_with_an_endpoint_and_without(world: World):
    me = await world.connect_client()
    without, with_one = await order_with_a_visit(world, me), await order_with_a_visit(world, me)
    ran = watched(world).statements
    await world.cancel(me, without)
    before = list(ran)

    await Deliveries(world).endpoint()
    ran.clear()
    await world.cancel(me, with_one)

    assert ran == before == ["cancel"]


async def test_the_outbox_has_the_same_rows_and_none_is_marked(world: World):
    me = await world.connect_client()
    order_id = await order_with_a_visit(world, me)
    await world.cancel(me, order_id)
    await Deliveries(world).dispatch()

    told = [row for row in await world.rows("outbox", order_id) if row["order_version"] == 3]
    assert {row["kind"] for row in told} == {"order.cancelled", "appointment.cancelled"}
    assert {(row["delivered_at"], row["digest"]) for row in told} == {(None, None)}
    for table in TABLES[:-1]:
        assert await world.rows(table) == []

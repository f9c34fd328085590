"""What a batch costs the database: one round trip, one plan, each row written once, and no table read whole."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.ports import CancelOrder
from countermand.domain.orders.order import OrderId
from support.bulk import many_ticket_orders, stock_is_whole
from support.postgres import a_connection, a_database
from support.watched import watched
from support.wire import Wire, a_wire
from support.world import Caller, World, a_world

LATER = timedelta(hours=30)


async def test_the_common_yes_is_one_statement_and_one_round_trip(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire):
        me, shop = await world.connect_client(), await world.shopping_client()
        commands = await one_of_each(world, me, shop)
        assert await run(world, *commands) == {Cancelled}  # prepares the statement
        watch = watched(world)
        for keyed in (False, True):
            commands = await one_of_each(world, me, shop, key="k" if keyed else None)
            await run(world, world.command(me, await world.service_order(me), key=f"warm up {keyed}"))
            asked = wire.round_trips
            watch.statements.clear()
            assert await run(world, *commands) == {Cancelled}
            assert wire.round_trips - asked == 1
            assert watch.statements == ["cancel"]


async def test_a_refusal_costs_a_read_and_a_write_more(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire):
        me = await world.connect_client()
        refused = [await world.service_order(me, appointment_in=timedelta(hours=3)) for _ in range(4)]
        await run(world, *(world.command(me, order_id) for order_id in refused[:2]))
        watch, asked = watched(world), wire.round_trips
        assert await run(world, *(world.command(me, order_id) for order_id in refused[2:])) == {NotCancelled}
        assert watch.statements == ["cancel", "orders", "refuse"]
        assert wire.round_trips - asked == 3


async def test_nobody_asks_for_nothing(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire):
        await world.database.cancellations.orders([])
        asked = wire.round_trips
        assert await world.database.cancellations.cancel([], world.clock()) == {}
        assert await world.database.cancellations.kept([]) == {}
        assert wire.round_trips == asked


async def test_however_large_a_batch_it_is_one_statement_prepared_once_with_one_plan(postgres_world: World):
    world = postgres_world
    me, shop = await world.connect_client(), await world.shopping_client()
    product = await world.product(stock=10_000)
    async with a_connection(world) as connection:
        for size in (1, 200, 7, 512, 1, 1, 1):
            ids = await many_ticket_orders(connection, world, shop, [[product]] * size)
            keyed = [world.command(shop, order_id, key=str(order_id)) for order_id in ids[: size // 2]]
            assert await run(world, *keyed, *(world.command(shop, order_id) for order_id in ids[size // 2 :])) == {
                Cancelled
            }
    assert await run(world, world.command(me, await world.service_order(me))) == {Cancelled}
    async with the_session(world) as session:
        prepared = await session.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'WITH%cancelled AS%'"
        )
        assert await session.fetchval("SHOW plan_cache_mode") == "force_generic_plan"
    assert len(prepared) == 3  # with keys, and without; and without tickets
    assert {row["custom_plans"] for row in prepared} == {0}
    assert sum(row["generic_plans"] for row in prepared) == 8


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
async def test_a_batch_writes_each_product_once_and_each_order_where_it_stands(tmp_path: Path, *, in_parts: bool):
    async with a_world(tmp_path, "postgres", database_distributed=in_parts) as world:
        shop = await world.shopping_client()
        products = [await world.product(stock=1000) for _ in range(3)]
        async with a_connection(world) as connection:
            ids = await many_ticket_orders(connection, world, shop, [products * 2] * 40)
        async with the_session(world) as session:
            before = await written(session)
        assert await run(world, *(world.command(shop, order_id) for order_id in ids)) == {Cancelled}
        async with the_session(world) as session:
            after = await written(session)
        assert {table: after[table][0] - before[table][0] for table in before} == {
            "orders": 40,
            "products": 3,
            "tickets": 240,
            "appointments": 0,
        }
        # In the room that each page keeps free: no index was touched.
        for table in ("orders", "products"):
            assert after[table] == (after[table][0], after[table][0]), table
        await stock_is_whole(world)


async def test_a_plan_made_while_the_tables_were_empty_reads_none_of_them_whole_later(postgres_world: World):
    world = postgres_world
    me, shop = await world.connect_client(), await world.shopping_client()
    nobody = [world.command(me, OrderId(7)), world.command(me, OrderId(8), key="k")]
    answers = await world.service.commit.run(nobody)  # prepared now: nothing there, and no statistics
    assert not any(isinstance(answer, Cancelled) for answer in answers)
    await one_of_each(world, me, shop)  # by the actions, whose look-ups are not what is tested
    product = await world.product(stock=100_000)
    async with a_connection(world) as connection:
        ids = await many_ticket_orders(connection, world, shop, [[product] * 2] * 3000)
        for analysed, shown in itertools.product((False, True), repeat=2):
            if analysed:  # the statement is planned again, on tables that are known to be large
                await connection.execute("ANALYZE")
            async with the_session(world) as session:
                before = await read_whole(session)
            chosen, ids = ids[:20], ids[20:]
            commands = [world.command(shop, order_id, key=f"{order_id}") for order_id in chosen[:10]]
            commands += [world.command(shop, order_id) for order_id in chosen[10:]]
            commands += [world.command(shop, OrderId(9)), world.command(me, chosen[0])]
            commands = [structs.replace(command, wants_order=shown) for command in commands]
            answers = await world.service.commit.run(commands)
            assert [type(answer) for answer in answers].count(Cancelled) == 20
            async with the_session(world) as session:
                assert await read_whole(session) == before


@asynccontextmanager
async def on_a_wire(folder: Path) -> AsyncIterator[tuple[World, Wire]]:
    with a_database() as url:
        async with a_wire(url) as wire, a_world(folder, database_url=wire.url) as world:
            yield world, wire


@asynccontextmanager
async def the_session(world: World) -> AsyncIterator[Any]:
    """The session that cancels, itself: it alone knows its plans, and tells what it counted once it is asked."""
    async with world.database.cancellations._pool.acquire() as session:
        yield session


async def one_of_each(world: World, me: Caller, shop: Caller, *, key: str | None = None) -> list[CancelOrder]:
    """An order with a visit, one without, and one with tickets: all may be cancelled."""
    visit, plain = await world.service_order(me, appointment_in=LATER), await world.service_order(me)
    tickets = (await world.ticket_order(shop)).order.id
    return [
        world.command(caller, order_id, key=key and f"{key} {order_id}")
        for caller, order_id in ((me, visit), (me, plain), (shop, tickets))
    ]


async def run(world: World, *commands: CancelOrder) -> set[type]:
    return {type(answer) for answer in await world.service.commit.run(commands)}


async def written(session: "asyncpg.Connection[asyncpg.Record]") -> dict[str, tuple[int, int]]:
    """For each table, how many rows were given a new version, and how many of those beside the old one."""
    await session.execute("SELECT pg_stat_force_next_flush()")
    found = await session.fetch(
        "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
        " WHERE relname IN ('orders', 'products', 'tickets', 'appointments')"
    )
    return {row["relname"]: (row["n_tup_upd"], row["n_tup_hot_upd"]) for row in found}


async def read_whole(session: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    """For each table of orders, how often it was read from beginning to end."""
    await session.execute("SELECT pg_stat_force_next_flush()")
    found = await session.fetch("SELECT relname, seq_scan FROM pg_stat_user_tables")
    left_out = {"clients", "policies", "schema_notes", "alembic_version"}
    return {row["relname"]: row["seq_scan"] for row in found if row["relname"] not in left_out}

"""Every transaction takes its locks in one order, so nobody waits in a circle, whoever comes in whichever order."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.ordering.views import Line
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.orders.order_state import Transition
from countermand.domain.ticketing.consumer import Consumer
from support.bulk import many_ticket_orders, stock_is_whole
from support.contracts import SHOPPING
from support.postgres import a_connection, a_database, until_waiting
from support.world import Caller, World, a_world

ROUNDS = 20
HOT = 6  # products that everybody wants
IN_PARTS = pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])


@asynccontextmanager
async def two_nodes(folder: Path, *, in_parts: bool) -> AsyncIterator[tuple[World, World]]:
    """Two nodes on one database, which must see no deadlock for as long as the block runs."""
    with a_database() as url:
        settings = {"database_url": url, "database_distributed": in_parts}
        async with a_world(folder, **settings) as one, a_world(folder, **settings) as other:
            yield one, other
        # Now that their connections are closed, they have told of all they met.
        assert await deadlocks(url) == 0


@IN_PARTS
@pytest.mark.parametrize("given", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
async def test_a_batch_takes_its_orders_by_number_however_they_are_given(
    tmp_path: Path, given: tuple[int, ...], *, in_parts: bool
):
    async with a_world(tmp_path, "postgres", database_distributed=in_parts) as world, a_connection(world) as other:
        partner = await world.connect_client()
        ids = [await world.service_order(partner) for _ in range(3)]
        batch = commands(world, partner, [ids[place] for place in given])
        async with other.transaction():
            await other.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", ids[1])
            running = asyncio.create_task(world.database.cancellations.cancel(batch, world.clock()))
            await until_waiting(other)
            # It waits for the second, has the first, and has not touched the third.
            assert await free(other, "orders", "id") == [ids[1], ids[2]]
        assert len(await running) == 3


async def cancels(world: World, shop: Caller, ids: list[OrderId], _: list[str]) -> object:
    return await world.database.cancellations.cancel(commands(world, shop, ids), world.clock())


async def expires(world: World, _: Caller, ids: list[OrderId], __: list[str]) -> object:
    return await world.advance(ids[0], Transition.EXPIRE)


async def reserves(world: World, _: Caller, __: list[OrderId], uids: list[str]) -> object:
    async with world.database.store.transaction() as tx:
        return await tx.reserve(dict.fromkeys(uids, 1))


@pytest.mark.parametrize("given", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize(("do", "in_parts"), [(cancels, False), (cancels, True), (expires, False), (reserves, False)])
async def test_products_are_taken_by_uid_by_everybody(
    tmp_path: Path, do: Callable[..., Awaitable[object]], given: tuple[int, ...], *, in_parts: bool
):
    async with a_world(tmp_path, "postgres", database_distributed=in_parts) as world, a_connection(world) as other:
        shop = await world.shopping_client()
        uids = sorted([await world.product(stock=10) for _ in range(3)])
        wanted = [uids[place] for place in given]
        ids = await many_ticket_orders(other, world, shop, [wanted] * 2)
        async with other.transaction():
            await other.execute("SELECT 1 FROM products WHERE uid = $1 FOR UPDATE", uids[1])
            running = asyncio.create_task(do(world, shop, ids, wanted))
            await until_waiting(other)
            assert await free(other, "products", "uid") == [uids[1], uids[2]]
        await running


@IN_PARTS
async def test_two_nodes_that_cancel_the_same_orders_of_the_same_products_in_opposite_order(
    tmp_path: Path, *, in_parts: bool
):
    async with two_nodes(tmp_path, in_parts=in_parts) as (one, other), a_connection(one) as connection:
        shop = await one.shopping_client()
        uids = [await one.product(stock=100_000) for _ in range(HOT)]
        chance, cancelled = random.Random(7), 0
        for _ in range(ROUNDS):
            orders = [chance.choices(uids, k=4) for _ in range(50)]
            ids = await many_ticket_orders(connection, one, shop, orders)
            # Twenty that both want, and fifteen of each node's own: they meet on orders and on products.
            first, second = commands(one, shop, ids[:35]), commands(other, shop, ids[15:][::-1])
            answers = await asyncio.gather(
                # Straight from the statement: a deadlock would be an exception, and not be made good by a retry.
                one.database.cancellations.cancel(first, one.clock()),
                other.database.cancellations.cancel(second, other.clock()),
            )
            cancelled += len(answers[0]) + len(answers[1])
            assert cancelled % 50 == 0
        assert cancelled == ROUNDS * 50
        cancelled_ids = [row["order_id"] for row in await one.rows("cancellations")]
        assert len(cancelled_ids) == len(set(cancelled_ids)) == cancelled
        assert {row["state"] for row in await one.rows("orders")} == {"cancelled"}
        assert [row["availability"] for row in await one.rows("products")] == [100_000] * HOT
        await stock_is_whole(one)


@IN_PARTS
async def test_whoever_buys_and_whoever_cancels_the_same_products(tmp_path: Path, *, in_parts: bool):
    async with two_nodes(tmp_path, in_parts=in_parts) as (one, other), a_connection(one) as connection:
        shop = await one.shopping_client()
        uids = [await one.product(stock=10_000) for _ in range(HOT)]
        paying = await one.payment_method()
        chance = random.Random(7)

        async def buys(node: World) -> OrderId:
            lines = [Line(product_uid=uid, quantity=1) for uid in chance.sample(uids, 4)]
            given = TicketOrderGiven(consumer=Consumer())
            wanted = TicketOrder(lines=lines, payment_method_uid=paying, shipping_method_uid=None, given=given)
            async with node.database.store.transaction() as tx:
                return (
                    await place_ticket_order(tx, shop.client.id, wanted, node.clock(), contract=SHOPPING.name)
                ).order.id

        bought = 0
        for _ in range(ROUNDS // 2):
            ids = await many_ticket_orders(connection, one, shop, [chance.choices(uids, k=4) for _ in range(30)])
            doing: list[Awaitable[object]] = [
                one.database.cancellations.cancel(commands(one, shop, ids[:15]), one.clock()),
                other.database.cancellations.cancel(commands(other, shop, ids[:14:-1]), other.clock()),
                *(buys(node) for node in (one, other) for _ in range(4)),
            ]
            await asyncio.gather(*doing)
            bought += 8
        states = [row["state"] for row in await one.rows("orders")]
        assert (states.count("cancelled"), states.count("pending")) == (ROUNDS // 2 * 30, bought)
        await stock_is_whole(one)


async def test_cancelling_paying_booking_and_ending_the_same_orders_from_both_nodes(tmp_path: Path):
    async with two_nodes(tmp_path, in_parts=False) as (one, other), a_connection(one) as connection:
        shop, partner = await one.shopping_client(), await one.connect_client()
        uids = [await one.product(stock=10_000) for _ in range(HOT)]
        chance = random.Random(7)
        for _ in range(6):
            tickets = await many_ticket_orders(connection, one, shop, [chance.choices(uids, k=3) for _ in range(12)])
            services = [await one.service_order(partner, appointment_in=timedelta(hours=30)) for _ in range(6)]
            doing: list[Awaitable[object]] = []
            for order_id in chance.sample(tickets, len(tickets)):
                doing += [one.cancel(shop, order_id), other.cancel(shop, order_id), other.pay(order_id)]
            for order_id in chance.sample(services, len(services)):
                doing += [one.cancel(partner, order_id), other.cancel(partner, order_id)]
                doing += [one.pay(order_id), other.pay(order_id)]
            answers = await asyncio.gather(*doing)
            assert {type(answer) for answer in answers} <= {Cancelled, NotCancelled, type(None)}
        states = {row["id"]: row["state"] for row in await one.rows("orders")}
        assert set(states.values()) <= {"cancelled", "completed", "submitted"}
        cancelled = {row["order_id"] for row in await one.rows("cancellations")}
        assert cancelled == {order_id for order_id, state in states.items() if state == "cancelled"}
        in_time = {row["order_id"] for row in await one.rows("payments") if not row["is_late"]}
        assert not any(states[order_id] == "cancelled" for order_id in in_time if order_id >= 1_000_000)
        assert {row["order_id"] for row in await one.rows("appointments") if row["state"] == "booked"}.isdisjoint(
            cancelled
        )
        await stock_is_whole(one)


async def free(connection: "asyncpg.Connection[asyncpg.Record]", table: str, key: str) -> list[object]:
    """The keys of the rows that nobody else holds."""
    return [
        row[0] for row in await connection.fetch(f"SELECT {key} FROM {table} ORDER BY {key} FOR UPDATE SKIP LOCKED")
    ]


def commands(node: World, shop: Caller, ids: list[OrderId]) -> list[CancelOrder]:
    return [node.command(shop, order_id) for order_id in ids]


async def deadlocks(url: str) -> int:
    """How many deadlocks the database has resolved in its life."""
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()

"""A crowd of buyers of one product leaves connections to everybody else."""

import asyncio
from collections import Counter
from pathlib import Path

from support.manage_calls import PAYMENT, manage
from support.postgres import a_connection, until_waiting
from support.ticket_shop import a_shop, check_conservation
from support.world import a_world

CROWD = 40


async def test_while_a_crowd_waits_for_one_product_everybody_else_is_served(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_busy_limit_s=30, database_statement_limit_s=30) as world:
        shop, operator = await a_shop(world), await world.manage_client()
        wanted, other = await shop.product(stock=CROWD), await shop.product()
        bought = (await shop.order({other: 1})).json()["_links"]["self"]["href"]
        owner = await world.connect_client()
        service_order = await world.service_order(owner)
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM products WHERE uid = $1 FOR NO KEY UPDATE", wanted)
            crowd = [asyncio.create_task(shop.order({wanted: 1})) for _ in range(CROWD)]
            assert len(await until_waiting(connection, 2)) == 2
            async with asyncio.timeout(20):
                assert (await world.http.get("/readyz")).status_code == 200
                assert (await shop.get(bought)).status_code == 200
                assert (await shop.order({other: 1})).status_code == 201
                assert (await manage(world, operator, "POST", f"{service_order}/payments", PAYMENT)).status_code == 201
                assert (
                    await world.http.post("/orders", headers=world.shopping_headers(shop.caller))
                ).status_code == 400
            assert len(await until_waiting(connection, 2)) == 2  # of all the crowd, no more have a connection
            assert not any(one.done() for one in crowd)
        assert Counter(one.status_code for one in await asyncio.gather(*crowd)) == {201: CROWD}
        assert (await shop.left())[wanted] == 0
        await check_conservation(world)


async def test_a_crowd_that_waits_in_vain_hears_503_and_when_to_come_again(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_busy_limit_s=0.3) as world:
        shop = await a_shop(world)
        wanted = await shop.product(stock=CROWD)
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM products WHERE uid = $1 FOR NO KEY UPDATE", wanted)
            answers = await asyncio.gather(*(shop.order({wanted: 1}) for _ in range(CROWD)))
        assert {one.status_code for one in answers} == {503}
        assert {one.headers["retry-after"] for one in answers} == {"1"}
        assert (await shop.order({wanted: CROWD})).status_code == 201  # nothing was taken
        await check_conservation(world)


async def test_payments_of_one_held_order_leave_connections_to_everybody_else(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_busy_limit_s=30, database_statement_limit_s=30) as world:
        operator, owner = await world.manage_client(), await world.connect_client()
        held, other = await world.service_order(owner), await world.service_order(owner)
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR NO KEY UPDATE", held)
            crowd = [
                asyncio.create_task(manage(world, operator, "POST", f"{held}/payments", PAYMENT)) for _ in range(CROWD)
            ]
            await until_waiting(connection, 2)
            async with asyncio.timeout(20):
                assert (await world.http.get("/readyz")).status_code == 200
                paid = await manage(world, operator, "POST", f"{other}/payments", PAYMENT | {"reference": "another"})
                assert paid.status_code == 201
        assert len(await asyncio.gather(*crowd)) == CROWD
        assert len(await world.rows("payments", held)) == 1

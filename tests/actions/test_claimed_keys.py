"""A repeat under an `Idempotency-Key` holds nothing while the first request is at work."""

import asyncio

from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.actions.run_idempotently import KeptForm, run_idempotently
from countermand.contracts.http.store import Transaction
from support.postgres import a_connection, until_waiting
from support.world import World


async def test_a_repeat_that_comes_while_the_first_is_at_work_waits_with_nothing_locked(postgres_world: World):
    world, begun, let_go = postgres_world, asyncio.Event(), asyncio.Event()
    me, product = await world.shopping_client(), await world.product(stock=10)
    key = IdempotencyKey(key="k", fingerprints=Fingerprints(request="the same", message="the same"))

    async def buys(tx: Transaction) -> str:
        assert not begun.is_set(), "a repeat is at work, too"
        await tx.reserve({product: 1})
        begun.set()
        await let_go.wait()
        return "bought"

    async def asks() -> str:
        form: KeptForm[str] = KeptForm(encode=str.encode, decode=bytes.decode)
        store, client_id = world.database.store, me.client.id
        return await run_idempotently(store, world.clock, client_id, key, buys, lambda _: None, form)

    first = asyncio.create_task(asks())
    await asyncio.wait_for(begun.wait(), 10)
    repeats = [asyncio.create_task(asks()) for _ in range(3)]
    async with a_connection(world) as connection:
        await until_waiting(connection, 3)
    let_go.set()
    assert await asyncio.gather(first, *repeats) == ["bought"] * 4
    assert [row["availability"] for row in await world.rows("products")] == [9]
    assert [row["answer"] for row in await world.rows("idempotency_keys")] == ["bought"]

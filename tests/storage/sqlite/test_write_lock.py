"""Writers meet: on SQLite one at a time, behind one asyncio lock in the process and SQLite's own between processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import UnavailableError
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import OrderState
from support.races import another_process_writes
from support.world import Caller, World, a_world

Write = Callable[[World, Caller, OrderId], Awaitable[object]]


async def cancels(world: World, me: Caller, order_id: OrderId) -> object:
    return await world.cancel(me, order_id)


async def is_refused(world: World, me: Caller, order_id: OrderId) -> object:
    return await world.cancel(me, order_id + 1)


async def books(world: World, _: Caller, order_id: OrderId) -> object:
    return await world.appointment(order_id, timedelta(hours=30))


# A few tenths of a second in one statement; the first counts to two million.
SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT max(i) FROM n",
    "postgres": "SELECT pg_sleep(0.3)",
}
WRITES: list[Write] = [cancels, is_refused, books]


@pytest_asyncio.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[World]:
    """A service that waits a fifth of a second for another process's write lock."""
    async with a_world(tmp_path, database_busy_limit_s=0.2) as made:
        yield made


@pytest.mark.parametrize("write", WRITES)
async def test_a_writer_waits_for_another_process_while_the_loop_goes_on(sqlite_world: World, write: Write):
    me, order_id = await an_order_and_a_refused_one(sqlite_world)
    with another_process_writes(sqlite_world.settings.database_path):
        writing = asyncio.create_task(write(sqlite_world, me, order_id))
        # The lock is let go of by this very loop: were it held up in a busy timeout, the writer would give up first.
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert not writing.done()
    assert not isinstance(await writing, Exception)
    assert len(await sqlite_world.rows("appointments", order_id)) == (write is books)
    assert len(await sqlite_world.rows("cancellations")) == (write is cancels)
    assert len(await sqlite_world.rows("refusals")) == (write is is_refused)


@pytest.mark.parametrize("write", WRITES)
async def test_a_writer_gives_up_at_its_limit_with_nothing_done_and_works_when_the_lock_is_free(
    impatient: World, write: Write
):
    me, order_id = await an_order_and_a_refused_one(impatient)
    before = await everything(impatient)
    with another_process_writes(impatient.settings.database_path):
        with pytest.raises(UnavailableError):
            await write(impatient, me, order_id)
        assert await everything(impatient) == before
    await write(impatient, me, order_id)
    assert await everything(impatient) != before


async def test_the_limit_is_for_the_whole_wait_so_who_stood_behind_asks_once_more_and_gives_up(impatient: World):
    me = await impatient.connect_client()
    commands = [impatient.command(me, await impatient.service_order(me)) for _ in range(10)]
    store, asked = impatient.database.cancellations, list[str]()
    store._connection.set_trace_callback(asked.append)  # the one place that sees every BEGIN that was refused
    with another_process_writes(impatient.settings.database_path):
        waiting = [asyncio.create_task(store.cancel([command], impatient.clock())) for command in commands]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        by_the_first = asked.count("BEGIN IMMEDIATE")
        errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in errors} == {UnavailableError}
    # Once, or twice where they came a moment later; not as often again as the first, one after the other.
    assert asked.count("BEGIN IMMEDIATE") - by_the_first <= 2 * 9


async def test_readers_wait_for_no_writer(sqlite_world: World):
    me, order_id = await an_order_and_a_refused_one(sqlite_world)
    with another_process_writes(sqlite_world.settings.database_path):
        assert [row["state"] for row in await sqlite_world.rows("orders", order_id)] == ["submitted"]
        assert list(await sqlite_world.database.cancellations.views([order_id])) == [order_id]
        assert await sqlite_world.database.clients.by_identity(*me.client.identity or ("", "")) == me.client


async def test_everybody_who_waited_is_served_when_the_lock_is_free(sqlite_world: World):
    me = await sqlite_world.connect_client()
    order_ids = [await sqlite_world.service_order(me) for _ in range(10)]
    with another_process_writes(sqlite_world.settings.database_path):
        waiting = [asyncio.create_task(sqlite_world.cancel(me, order_id)) for order_id in order_ids]
        waiting += [asyncio.create_task(sqlite_world.service_order(me)) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in waiting)
    await asyncio.gather(*waiting)
    states = sorted(row["state"] for row in await sqlite_world.rows("orders"))
    assert states == ["cancelled"] * 10 + ["submitted"] * 10


async def test_both_kinds_of_writers_at_once_never_meet_a_busy_error_nor_each_other(world: World):
    me, shop = await world.connect_client(), await world.shopping_client()
    product = await world.product(stock=200)
    to_cancel = [await world.service_order(me) for _ in range(30)]
    to_book = [await world.service_order(me) for _ in range(30)]
    bought = [(await world.ticket_order(shop, product=product)).order.id for _ in range(20)]
    writers: list[Awaitable[object]] = []
    for number in range(30):
        writers += [
            world.cancel(me, to_cancel[number]),
            world.appointment(to_book[number], timedelta(hours=30)),
            world.service_order(me),
        ]
    for order_id in bought:
        writers += [world.cancel(shop, order_id), world.ticket_order(shop, product=product), readers(world)]
    await asyncio.gather(*writers)
    assert len(await world.rows("cancellations")) == 50
    assert len(await world.rows("appointments")) == 30
    assert len(await world.rows("orders")) == 60 + 30 + 40
    (row,) = await world.rows("products")
    assert row["availability"] == 200 - 2 * 20


async def test_a_transaction_whose_task_is_cancelled_in_a_statement_leaves_nothing_and_says_so(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await everything(world)
    in_statement = asyncio.Event()

    async def slowly() -> None:
        async with world.database.store.transaction() as tx:
            order = await tx.lock_order(order_id)
            assert order is not None
            await tx.change_order(order, replace(order.facts, state=OrderState.ACTIVATED))
            in_statement.set()
            await tx.rows(text(SLOW["sqlite" if world.settings.is_sqlite else "postgres"]))

    writing = asyncio.create_task(slowly())
    await in_statement.wait()
    await asyncio.sleep(0.02)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await everything(world) == before
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    assert isinstance(await world.service_order(me), int)


@pytest.mark.parametrize("after_ms", range(8))
async def test_a_transaction_whose_task_is_cancelled_at_any_time_leaves_all_or_nothing_and_blocks_nobody(
    world: World, after_ms: int
):
    me = await world.connect_client()
    await asyncio.gather(*(readers(world) for _ in range(5)))  # connections are there: none is cut off while it opens
    writing = asyncio.create_task(world.service_order(me))
    await asyncio.sleep(after_ms / 1000)
    writing.cancel()
    cut = (await asyncio.gather(writing, return_exceptions=True))[0]
    assert isinstance(cut, int | asyncio.CancelledError), cut
    order_id = await world.service_order(me)
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    placed = await world.rows("orders")
    assert len(placed) in {1, 2}
    assert len(await world.rows("order_details")) == len(placed)
    assert len(await world.rows("outbox")) == len(placed) + 1


async def an_order_and_a_refused_one(world: World) -> tuple[Caller, OrderId]:
    """An order that may be cancelled; the next number's may not."""
    me = await world.connect_client()
    order_id = await world.service_order(me)
    refused = await world.service_order(me)
    async with world.database.store.transaction() as tx:
        order = await tx.lock_order(refused)
        assert order is not None
        await tx.change_order(order, replace(order.facts, state=OrderState.ACTIVATED))
    return me, order_id


async def everything(world: World) -> list[object]:
    tables = ("orders", "appointments", "cancellations", "refusals", "outbox", "counters", "idempotency_keys")
    return [await world.rows(table) for table in tables]


async def readers(world: World) -> None:
    async with world.database.store.snapshot() as reading:
        await reading.views([OrderId(1), OrderId(2)])

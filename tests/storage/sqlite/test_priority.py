"""Cancellations go before a crowd of buyers, and every wait for the write lock ends at its limit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import UnavailableError
from countermand.storage.sqlite.write_lock import WriteLock
from support.world import Caller, World, a_world

BUYERS = 40


@pytest_asyncio.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[World]:
    """A service in which nobody waits for more than a fifth of a second."""
    async with a_world(tmp_path, database_busy_limit_s=0.2) as made:
        yield made


async def test_a_cancellation_is_done_while_a_crowd_of_buyers_still_waits(sqlite_world: World):
    me = await sqlite_world.connect_client()
    order_id = await sqlite_world.service_order(me)
    ended: list[str] = []
    async with sqlite_world.database.store.transaction():
        buyers = [asyncio.create_task(buys(sqlite_world, me, ended)) for _ in range(BUYERS)]
        await asyncio.sleep(0.05)  # all of them wait
        cancelling = asyncio.create_task(sqlite_world.cancel(me, order_id))
        await asyncio.sleep(0.05)
    assert isinstance(await cancelling, Cancelled)
    assert len(ended) <= 1
    await asyncio.gather(*buyers)
    assert len(await sqlite_world.rows("orders")) == BUYERS + 1
    assert len(await sqlite_world.rows("cancellations")) == 1


async def test_a_buyer_behind_others_hears_503_at_the_limit_and_bought_nothing(impatient: World):
    me = await impatient.connect_client()
    async with impatient.database.store.transaction():
        waiting = [asyncio.create_task(impatient.service_order(me)) for _ in range(BUYERS)]
        done, _ = await asyncio.wait(waiting, timeout=30)  # while the other writer goes on
        assert len(done) == BUYERS
    assert {type(one.exception()) for one in done} == {UnavailableError}
    assert await impatient.rows("orders") == []
    await impatient.service_order(me)
    assert len(await impatient.rows("orders")) == 1


async def test_a_reader_behind_others_hears_503_at_the_limit(impatient: World):
    entered, let_go = asyncio.Semaphore(0), asyncio.Event()

    async def reads() -> None:
        async with impatient.database.store.snapshot():
            entered.release()
            await let_go.wait()

    readers = [asyncio.create_task(reads()) for _ in range(5)]
    for _ in readers:
        await entered.acquire()
    one_more = asyncio.create_task(reads())
    done, _ = await asyncio.wait([one_more], timeout=20)  # SQLAlchemy's own limit is 30 s
    let_go.set()
    await asyncio.gather(*readers)
    assert done
    assert isinstance(one_more.exception(), UnavailableError)


async def test_a_stream_of_batches_starves_no_buyer():
    lock, order = WriteLock(limit_s=30), list[str]()

    async def writes(kind: str) -> None:
        async with lock.for_batch() if kind == "batch" else lock.for_transaction():
            order.append(kind)
            await asyncio.sleep(0)

    kinds = ["batch"] + ["buyer"] * 3 + ["batch"] * 20
    await asyncio.gather(*(writes(kind) for kind in kinds))
    assert [place for place, kind in enumerate(order) if kind == "buyer"] == [4, 9, 14]


@pytest.mark.parametrize("turns", range(4))
async def test_a_writer_that_goes_away_while_it_waits_leaves_the_lock_to_the_others(turns: int):
    lock, done = WriteLock(limit_s=30), list[str]()

    async def writes(name: str) -> None:
        async with lock.for_transaction():
            done.append(name)
            await asyncio.sleep(0)

    first, leaving, last = (asyncio.create_task(writes(name)) for name in ("first", "leaving", "last"))
    for _ in range(turns):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(asyncio.gather(first, leaving, last, return_exceptions=True), timeout=10)
    assert {"first", "last"} <= set(done)
    await asyncio.wait_for(writes("again"), timeout=10)


async def buys(world: World, me: Caller, ended: list[str]) -> None:
    await world.service_order(me)
    ended.append("bought")

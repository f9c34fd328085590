"""Nobody waits for ever, even where the database answers nobody."""

import asyncio

import pytest

from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.errors import UnavailableError


class Stuck:
    """Writes nothing until it is let go; keeps what it was given."""

    def __init__(self):
        self.free = asyncio.Event()
        self.begun = []

    async def __call__(self, batch):
        self.begun += batch
        await self.free.wait()
        return [f"{command} done" for command in batch]


async def test_who_waits_too_long_for_a_flight_is_told_that_nothing_was_begun():
    stuck = Stuck()
    commit = GroupCommit(run=stuck, queue_limit_s=0.05)
    first = asyncio.create_task(commit.submit("first"))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(commit.submit("late"))

    with pytest.raises(UnavailableError):
        await late
    stuck.free.set()

    assert await first == "first done"  # what is in flight is not given up: it may well be done
    assert stuck.begun == ["first"]
    assert commit.waiting == 0


async def test_the_queue_goes_on_afterwards():
    stuck = Stuck()
    commit = GroupCommit(run=stuck, queue_limit_s=0.05)
    first = asyncio.create_task(commit.submit("first"))
    await asyncio.sleep(0.01)
    for _ in range(2):  # the timer is set anew after it went off
        with pytest.raises(UnavailableError):
            await commit.submit("late")
    stuck.free.set()

    assert await commit.submit("next") == "next done"
    assert await first == "first done"
    assert stuck.begun == ["first", "next"]


async def test_who_came_later_waits_on():
    stuck = Stuck()
    commit = GroupCommit(run=stuck, queue_limit_s=0.2)
    first = asyncio.create_task(commit.submit("first"))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(commit.submit("late"))
    await asyncio.sleep(0.1)
    later = asyncio.create_task(commit.submit("later"))

    with pytest.raises(UnavailableError):
        await late
    assert not later.done()
    stuck.free.set()

    assert await later == "later done"
    assert await first == "first done"


async def test_a_slow_flight_that_is_overtaken_keeps_nobody_in_the_queue():
    stuck = Stuck()
    commit = GroupCommit(run=stuck, queue_limit_s=0.5, slow_s=0.01, overtaken_cap=1)
    first = asyncio.create_task(commit.submit("first"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(commit.submit("second"))
    await asyncio.sleep(0.05)

    assert stuck.begun == ["first", "second"]
    stuck.free.set()
    assert [await first, await second] == ["first done", "second done"]

"""Long work lets the event loop take other steps, and the long works of all requests take turns."""

import asyncio
from collections import Counter

import pytest

from countermand.actions import slices
from countermand.actions.slices import Slices, in_slices


@pytest.fixture
def every_pause_ends_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 0)


class Turns:
    """Counts the turns of the event loop."""

    number = 0

    async def count(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)


async def test_work_that_is_short_does_not_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slices, "SLICE_S", 1000)
    turns = Turns()
    counting = asyncio.create_task(turns.count())
    work = Slices()
    for _ in range(1000):
        await work.pause()
    assert turns.number == 0
    counting.cancel()


@pytest.mark.usefixtures("every_pause_ends_a_slice")
async def test_the_loop_takes_a_turn_between_two_slices():
    turns = Turns()
    counting = asyncio.create_task(turns.count())
    work, seen = Slices(), []
    for _ in range(20):
        await work.pause()
        seen.append(turns.number)
    assert len(set(seen)) == 20
    counting.cancel()


@pytest.mark.usefixtures("every_pause_ends_a_slice")
async def test_of_many_long_works_one_slice_runs_in_a_turn_and_all_of_them_end():
    turns, slices_in = Turns(), Counter[int]()
    counting = asyncio.create_task(turns.count())

    async def work() -> int:
        its_own = Slices()
        for _ in range(20):
            await its_own.pause()
            slices_in[turns.number] += 1
        return 20

    assert await asyncio.gather(*(work() for _ in range(16))) == [20] * 16
    assert max(slices_in.values()) == 1
    assert slices_in.total() == 16 * 20
    counting.cancel()


@pytest.mark.usefixtures("every_pause_ends_a_slice")
async def test_a_work_that_is_cancelled_while_it_waits_keeps_no_turn():
    async def work() -> None:
        its_own = Slices()
        while True:
            await its_own.pause()

    works = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    for one in works:
        one.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    async with asyncio.timeout(10):
        await Slices().pause()


@pytest.mark.usefixtures("every_pause_ends_a_slice")
async def test_items_are_all_there_in_their_order():
    assert [one async for one in in_slices(range(1000))] == list(range(1000))

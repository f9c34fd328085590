"""A batch that takes long, as somebody else holds one of its orders, holds up nobody but itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from countermand.actions.cancelling.group_commit import GO_AGAIN, GroupCommit
from countermand.actions.errors import OutcomeUnknownError, UnavailableError

SLOW_S = 0.02


class Held:
    """Writes batches at once, but for those with a command that is held, until that is let go."""

    def __init__(self, *held: str, again: dict[str, int] | None = None, broken: str | None = None) -> None:
        self._held = {command: asyncio.Event() for command in held}
        self._again, self._broken = again or {}, broken
        self.begun: list[list[str]] = []
        self.done: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0

    def let_go(self, *commands: str) -> None:
        for command in commands or list(self._held):
            self._held[command].set()

    async def __call__(self, batch: Sequence[str]) -> list[Any]:
        self.begun.append(list(batch))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.gather(*(self._held[command].wait() for command in batch if command in self._held))
        await asyncio.sleep(0)
        self.at_once -= 1
        if self._broken in batch:
            raise RuntimeError("nobody expected this")
        return [self._answer(command) for command in batch]

    def _answer(self, command: str) -> Any:
        if self._again.get(command, 0):
            self._again[command] -= 1
            return GO_AGAIN
        self.done[command] += 1
        return f"{command} done"


def a_commit(run: Held, **settings: Any) -> GroupCommit[str, str]:
    return GroupCommit(run=run, **{"slow_s": SLOW_S, "overtaken_cap": 2} | settings)


async def test_those_behind_a_slow_batch_go_on_and_it_ends_in_its_own_time():
    run = Held("slow")
    commit = a_commit(run)
    (slow,) = asked(commit, "slow")
    await begun(run, 1)
    others = asked(commit, *"abc")
    assert await asyncio.gather(*others) == ["a done", "b done", "c done"]
    assert await commit.submit("d") == "d done"
    assert not slow.done()
    run.let_go()
    assert await slow == "slow done"
    assert set(run.done.values()) == {1}


async def test_a_batch_that_is_not_slow_is_overtaken_by_nobody():
    run = Held("long")
    commit = a_commit(run, slow_s=60)
    tasks = asked(commit, "long")
    await begun(run, 1)
    tasks += asked(commit, *"ab")
    await asyncio.sleep(3 * SLOW_S)
    assert run.begun == [["long"]]
    run.let_go()
    assert await asyncio.gather(*tasks) == ["long done", "a done", "b done"]
    assert run.most_at_once == 1


async def test_with_nobody_to_overtake_it_a_slow_batch_leaves_its_place_to_whoever_comes():
    run = Held("slow")
    commit = a_commit(run)
    (slow,) = asked(commit, "slow")
    await asyncio.sleep(3 * SLOW_S)
    assert run.begun == [["slow"]]
    assert await commit.submit("late") == "late done"
    run.let_go()
    assert await slow == "slow done"


@pytest.mark.parametrize("cap", [0, 1, 2, 3])
async def test_no_more_slow_batches_at_once_than_the_cap_and_one_under_way(cap: int):
    names = [f"slow {number}" for number in range(5)]
    run = Held(*names)
    commit = a_commit(run, overtaken_cap=cap, batch_cap=1)
    tasks = asked(commit, *names)
    await asyncio.sleep(SLOW_S * 12)
    assert [command for batch in run.begun for command in batch] == names[: cap + 1]
    assert commit.waiting == 5 - (cap + 1)
    run.let_go()
    assert await asyncio.gather(*tasks) == [f"{name} done" for name in names]
    assert run.most_at_once == cap + 1
    assert set(run.done.values()) == {1}


async def test_when_a_slow_batch_has_ended_another_may_be_overtaken():
    run = Held("first", "second")
    commit = a_commit(run, overtaken_cap=1)
    (first,) = asked(commit, "first")
    await begun(run, 1)
    assert await commit.submit("a") == "a done"
    run.let_go("first")
    await first
    (second,) = asked(commit, "second")
    await begun(run, 3)
    assert await commit.submit("b") == "b done"
    run.let_go("second")
    assert await second == "second done"


async def test_a_slow_batch_that_could_not_be_overtaken_is_as_soon_as_another_slow_one_has_ended():
    run = Held("first", "second")
    commit = a_commit(run, overtaken_cap=1)
    (first,) = asked(commit, "first")
    await begun(run, 1)
    await asyncio.sleep(SLOW_S * 3)
    (second,) = asked(commit, "second")
    await begun(run, 2)
    await asyncio.sleep(SLOW_S * 3)
    (other,) = asked(commit, "a")
    await asyncio.sleep(SLOW_S * 3)
    assert not other.done()
    run.let_go("first")
    async with asyncio.timeout(5):
        assert await other == "a done"
    assert not second.done()
    run.let_go("second")
    assert await asyncio.gather(first, second) == ["first done", "second done"]
    assert run.most_at_once == 2


@pytest.mark.parametrize("flights", [1, 2, 4])
async def test_so_many_flights_are_written_at_once_and_no_more(flights: int):
    names = [f"held {number}" for number in range(8)]
    run = Held(*names)
    commit = a_commit(run, flights=flights, batch_cap=1, slow_s=60)
    tasks = []
    for name in names:
        tasks += asked(commit, name)
        await asyncio.sleep(0)
    await begun(run, flights)
    await asyncio.sleep(0.01)
    assert len(run.begun) == flights
    run.let_go()
    assert await asyncio.gather(*tasks) == [f"{name} done" for name in names]
    assert run.most_at_once == flights
    assert set(run.done.values()) == {1}


async def test_what_goes_again_from_a_slow_batch_comes_first_in_the_next_and_is_answered_once():
    run = Held("slow", "under way", again={"slow": 1})
    commit = a_commit(run)
    (slow,) = asked(commit, "slow")
    await begun(run, 1)
    (under_way,) = asked(commit, "under way")
    await begun(run, 2)
    later = asked(commit, "a", "b")
    run.let_go("slow")  # while the second is written, and two wait
    await asyncio.sleep(0)
    run.let_go("under way")
    assert await asyncio.gather(slow, under_way, *later) == ["slow done", "under way done", "a done", "b done"]
    assert [batch for batch in run.begun if "slow" in batch][-1][0] == "slow"
    assert set(run.done.values()) == {1}


async def test_what_goes_again_with_nobody_flying_takes_off_by_itself():
    run = Held("slow", again={"slow": 2})
    commit = a_commit(run)
    (slow,) = asked(commit, "slow")
    await asyncio.sleep(3 * SLOW_S)  # it has been overtaken, by nobody
    run.let_go()
    assert await slow == "slow done"
    assert run.begun == [["slow"]] * 3


async def test_a_batch_that_was_overtaken_leaves_the_next_ones_to_the_one_that_is_under_way():
    run = Held("slow", "under way")
    commit = a_commit(run, slow_s=0.3)
    (slow,) = asked(commit, "slow")
    await begun(run, 1)
    (under_way,) = asked(commit, "under way")
    await begun(run, 2)
    (waiting,) = asked(commit, "waiting")
    await asyncio.sleep(0)
    run.let_go("slow")
    assert await slow == "slow done"
    await asyncio.sleep(0.02)  # the one under way is not slow yet
    assert run.begun == [["slow"], ["under way"]]
    run.let_go()
    assert await asyncio.gather(under_way, waiting) == ["under way done", "waiting done"]


async def test_a_slow_batch_that_fails_tells_its_own_callers_alone():
    run = Held("slow", broken="slow")
    commit = a_commit(run)
    (slow,) = asked(commit, "slow")
    await begun(run, 1)
    assert await commit.submit("a") == "a done"
    run.let_go()
    with pytest.raises(OutcomeUnknownError):
        await slow
    assert await commit.submit("b") == "b done"


async def test_closing_waits_for_the_slow_ones_too_and_for_what_is_behind_them():
    run = Held("slow", "slower", again={"slower": 1})
    commit = a_commit(run)
    tasks = asked(commit, "slow")
    await begun(run, 1)
    tasks += asked(commit, "slower")
    await begun(run, 2)
    await asyncio.sleep(3 * SLOW_S)
    tasks += asked(commit, "behind")
    closing = asyncio.create_task(commit.close())
    await asyncio.sleep(3 * SLOW_S)
    assert not closing.done()
    with pytest.raises(UnavailableError):
        await commit.submit("too late")
    run.let_go()
    await closing
    assert [task.result() for task in tasks] == ["slow done", "slower done", "behind done"]
    assert run.at_once == 0


async def test_a_caller_that_goes_away_from_a_slow_batch_takes_nothing_back_and_harms_nobody():
    run = Held("slow")
    commit = a_commit(run)
    gone, stays = asked(commit, "slow", "beside it")
    await begun(run, 1)
    gone.cancel()
    assert await commit.submit("a") == "a done"
    run.let_go()
    assert await stays == "beside it done"
    assert run.done["slow"] == 1


def asked(commit: GroupCommit[str, str], *commands: str) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(commit.submit(command)) for command in commands]


async def begun(run: Held, batches: int) -> None:
    """Return once so many batches are being written, or were."""
    async with asyncio.timeout(10):
        while len(run.begun) < batches:  # noqa: ASYNC110 - the fake is told nothing of who looks
            await asyncio.sleep(0.001)

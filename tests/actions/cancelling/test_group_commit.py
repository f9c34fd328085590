import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from countermand.actions.cancelling import group_commit
from countermand.actions.cancelling.group_commit import GO_AGAIN, GroupCommit
from countermand.actions.errors import ConflictError, OutcomeUnknownError, UnavailableError


async def test_a_lone_command_waits_for_nobody():
    writing = Writing()
    commit = GroupCommit(run=writing)
    asked = asyncio.create_task(commit.submit("a"))
    await turns()
    assert writing.batches == [["a"]]  # the loop has turned a few times, and no time has passed
    assert await asked == "a done"


async def test_what_queues_up_while_a_batch_is_written_is_the_next_batch_in_the_order_it_came():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing)
    first = await submitted(commit, "first")
    later = await submitted(commit, *"dacb")
    assert writing.batches == [["first"]]
    writing.let_go()
    assert await asyncio.gather(*first, *later) == ["first done", "d done", "a done", "c done", "b done"]
    assert writing.batches == [["first"], ["d", "a", "c", "b"]]


async def test_there_is_one_batch_at_a_time():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing, batch_cap=2)
    asked = await submitted(commit, *"abcdefgh")
    writing.let_go()
    await asyncio.gather(*asked)
    assert writing.most_at_once == 1
    assert [command for batch in writing.batches for command in batch] == list("abcdefgh")


@pytest.mark.parametrize(("waiting", "sizes"), [(2, [2]), (3, [3]), (4, [3, 1]), (8, [3, 3, 2])])
async def test_a_batch_is_never_over_its_cap(waiting: int, sizes: list[int]):
    writing = Writing(held=True)
    commit = GroupCommit(run=writing, batch_cap=3)
    asked = await submitted(commit, "first")
    asked += await submitted(commit, *(str(number) for number in range(waiting)))
    writing.let_go()
    await asyncio.gather(*asked)
    assert [len(batch) for batch in writing.batches] == [1, *sizes]


async def test_beyond_the_queues_cap_a_command_is_refused_and_never_run():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing, queue_cap=2)
    taken = await submitted(commit, "in flight")
    taken += await submitted(commit, "second", "third")
    with pytest.raises(UnavailableError):
        await commit.submit("one too many")
    writing.let_go()
    assert await asyncio.gather(*taken) == ["in flight done", "second done", "third done"]
    assert await commit.submit("afterwards") == "afterwards done"
    assert writing.done == ["in flight", "second", "third", "afterwards"]


async def test_a_caller_that_goes_away_before_its_command_is_taken_has_asked_for_nothing():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing)
    first = await submitted(commit, "first")
    gone, stays = await submitted(commit, "gone", "stays")
    gone.cancel()
    await turns()
    writing.let_go()
    assert await asyncio.gather(*first, stays) == ["first done", "stays done"]
    assert writing.done == ["first", "stays"]


async def test_when_everybody_who_waited_went_away_no_empty_batch_is_run():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing)
    first = await submitted(commit, "first")
    for gone in await submitted(commit, "a", "b"):
        gone.cancel()
    await turns()
    writing.let_go()
    await asyncio.gather(*first)
    assert await commit.submit("next") == "next done"
    assert writing.batches == [["first"], ["next"]]


async def test_a_caller_that_goes_away_in_flight_takes_nothing_back_and_harms_nobody():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing)
    gone, stays = await submitted(commit, "gone", "stays")
    gone.cancel()
    await turns()
    assert gone.cancelled()
    writing.let_go()
    assert await stays == "stays done"
    assert writing.done == ["gone", "stays"]


@pytest.mark.parametrize("again", [0, 1, 2])
async def test_a_command_may_go_again_twice_and_is_answered_in_the_third_round(again: int):
    writing = Writing(again={"a": again})
    assert await GroupCommit(run=writing).submit("a") == "a done"
    assert writing.batches == [["a"]] * (again + 1)


async def test_after_three_rounds_a_command_is_certainly_not_done():
    writing = Writing(again={"restless": 3})
    commit = GroupCommit(run=writing)
    restless, calm = await submitted(commit, "restless", "calm")
    with pytest.raises(UnavailableError):
        await restless
    assert await calm == "calm done"
    assert writing.batches == [["restless", "calm"], ["restless"], ["restless"]]
    assert writing.done == ["calm"]


async def test_commands_that_go_again_keep_their_place_before_those_that_came_later():
    writing = Writing(held=True, again={"b": 1, "d": 1})
    commit = GroupCommit(run=writing, batch_cap=4)
    asked = await submitted(commit, *"abcd")
    asked += await submitted(commit, *"efgh")
    writing.let_go()
    await asyncio.gather(*asked)
    assert writing.batches == [list("abcd"), list("bdef"), list("gh")]


async def test_a_caller_that_goes_away_while_its_command_goes_again_is_not_asked_about_any_more():
    writing = Writing(held=True, again={"gone": 1})
    commit = GroupCommit(run=writing)
    gone, stays = await submitted(commit, "gone", "stays")
    gone.cancel()
    await turns()
    writing.let_go()
    assert await stays == "stays done"
    await commit.close()
    assert writing.done == ["stays"]


async def test_each_caller_gets_its_own_answer_and_nobody_elses_exception():
    refusal = ConflictError("ended", "the order has ended")
    writing = Writing(answers={"b": refusal})
    a, b, c = await asyncio.gather(
        *(await submitted(GroupCommit(run=writing), *"abc")),
        return_exceptions=True,
    )
    assert (a, b, c) == ("a done", refusal, "c done")


async def test_when_a_batch_fails_the_outcome_of_all_of_it_is_unknown_and_the_next_one_runs():
    writing = Writing(held=True, broken={"bad"})
    commit = GroupCommit(run=writing)
    batch = await submitted(commit, "good", "bad")
    later = await submitted(commit, "later")
    writing.let_go()
    for asked in batch:
        with pytest.raises(OutcomeUnknownError):
            await asked
    assert await asyncio.gather(*later) == ["later done"]


async def test_a_waiter_without_a_task_is_told_its_outcome_and_one_that_fails_harms_nobody():
    told: list[object] = []

    class Told:
        def done(self) -> bool:
            return False

        def set_result(self, outcome: str, /) -> None:
            told.append(outcome)
            if outcome.startswith("bad"):
                raise RuntimeError("a bug")

        def set_exception(self, error: Exception, /) -> None:
            told.append(error)

    refusal = ConflictError("ended", "the order has ended")
    commit = GroupCommit(run=Writing(answers={"refused": refusal}))
    for command in ("bad", "refused", "good"):
        commit.enqueue(command, Told())
    assert told == []
    assert await commit.submit("last") == "last done"
    assert [told[0], *told[2:]] == ["bad done", refusal, "good done"]
    assert isinstance(told[1], OutcomeUnknownError)  # what failed to hear its outcome hears that nobody knows it
    await commit.close()
    with pytest.raises(UnavailableError):
        commit.enqueue("too late", Told())
    assert len(told) == 4


class _Fails:
    """A waiter that cannot be told anything, as if the log were full."""

    def done(self) -> bool:
        return False

    def set_result(self, _: str, /) -> None:
        raise OSError(28, "No space left on device")

    def set_exception(self, _: Exception, /) -> None:
        raise OSError(28, "No space left on device")


async def test_a_log_that_cannot_be_written_leaves_nobody_without_an_answer(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(group_commit.log, "exception", full, raising=False)
    commit = GroupCommit(run=Writing())
    commit.enqueue("bad", _Fails())
    assert await asyncio.gather(*await submitted(commit, "a", "b")) == ["a done", "b done"]
    assert await commit.submit("next") == "next done"


async def test_a_waiter_that_fails_keeps_nobody_from_hearing_that_it_waited_too_long():
    writing = Writing(held=True)
    commit = GroupCommit(run=writing, queue_limit_s=0.05)
    first = await submitted(commit, "first")
    commit.enqueue("bad", _Fails())
    late = await submitted(commit, "late")
    (outcome,) = await asyncio.gather(*late, return_exceptions=True)
    assert isinstance(outcome, UnavailableError)
    later = await submitted(commit, "later")
    (outcome,) = await asyncio.gather(*later, return_exceptions=True)
    assert isinstance(outcome, UnavailableError)
    writing.let_go()
    assert await asyncio.gather(*first) == ["first done"]
    assert writing.batches == [["first"]]


async def test_closing_finishes_what_was_taken_and_refuses_what_comes_after():
    writing = Writing(held=True, again={"in flight": 1, "queued": 2})
    commit = GroupCommit(run=writing, batch_cap=1)
    taken = await submitted(commit, "in flight")
    taken += await submitted(commit, "queued", "last")
    closing = asyncio.create_task(commit.close())
    await turns()
    with pytest.raises(UnavailableError):
        await commit.submit("too late")
    assert not closing.done()
    writing.let_go()
    assert await asyncio.gather(*taken) == ["in flight done", "queued done", "last done"]
    await closing
    assert writing.done == ["in flight", "queued", "last"]


async def test_closing_what_never_worked_returns_at_once_and_may_be_done_twice():
    writing = Writing()
    commit = GroupCommit(run=writing)
    await commit.close()
    await commit.close()
    with pytest.raises(UnavailableError):
        await commit.submit("too late")
    assert writing.batches == []


class Writing:
    """A batch's transaction as the tests need it: it can be held, and says for each command what it should."""

    def __init__(
        self,
        *,
        held: bool = False,
        again: dict[str, int] | None = None,
        answers: dict[str, Exception] | None = None,
        broken: set[str] | None = None,
    ) -> None:
        self.batches: list[list[str]] = []
        self.done: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._free = asyncio.Event()
        self._again, self._answers, self._broken = again or {}, answers or {}, broken or set()
        if not held:
            self._free.set()

    def let_go(self) -> None:
        self._free.set()

    async def __call__(self, batch: Sequence[str]) -> list[Any]:
        self.batches.append(list(batch))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await self._free.wait()
        await asyncio.sleep(0)  # as a transaction does: others run meanwhile
        self._at_once -= 1
        if self._broken.intersection(batch):
            raise RuntimeError("nobody expected this")
        return [self._answer(command) for command in batch]

    def _answer(self, command: str) -> Any:
        if self._again.get(command, 0):
            self._again[command] -= 1
            return GO_AGAIN
        if command in self._answers:
            return self._answers[command]
        self.done.append(command)
        return f"{command} done"


async def turns() -> None:
    """Let everything that can run do so, while no time passes."""
    for _ in range(10):
        await asyncio.sleep(0)


async def submitted(commit: GroupCommit[str, str], *commands: str) -> list[asyncio.Task[str]]:
    """Callers that have asked, and wait."""
    asked = [asyncio.create_task(commit.submit(command)) for command in commands]
    await turns()
    return asked

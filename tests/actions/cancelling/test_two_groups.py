"""Many callers form two groups: the database writes for one while the other is answered; nothing is decided twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.group_commit import GO_AGAIN, GroupCommit
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import IdempotencyKeyReusedError, UnavailableError
from support.shared_world import shared_world
from support.world import World

world = shared_world

SLOW_S = 0.02


class Database:
    """Writes one batch after the other, each when it is told to land; `log` has what happened, in order."""

    def __init__(self, *, again: Sequence[str] = ()) -> None:
        self.batches: list[list[str]] = []
        self.log: list[str] = []
        self.at_once = self.most_at_once = 0
        self._again = list(again)
        self._landing: list[asyncio.Event] = []

    def land(self, number: int) -> None:
        self._landing[number].set()

    async def __call__(self, batch: Sequence[str]) -> list[Any]:
        self.batches.append(list(batch))
        self._landing.append(landing := asyncio.Event())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.log.append(f"{batch[0]} takes off")
        await landing.wait()
        self.at_once -= 1
        self.log.append(f"{batch[0]} lands")
        return [self._answer(command) for command in batch]

    def _answer(self, command: str) -> Any:
        if command in self._again:
            self._again.remove(command)
            return GO_AGAIN
        return f"{command} done"


async def turns(number: int = 20) -> None:
    """Let everything that can run do so, while no time passes."""
    for _ in range(number):
        await asyncio.sleep(0)


async def submitted(commit: GroupCommit[str, str], database: Database, *commands: str) -> list[asyncio.Task[str]]:
    """Callers that have asked, and wait. The log says when each was answered."""

    async def caller(command: str) -> str:
        answer = await commit.submit(command)
        database.log.append(f"{command} is answered")
        return answer

    asked = [asyncio.create_task(caller(command)) for command in commands]
    await turns()
    return asked


@pytest.mark.parametrize(("behind", "sizes"), [(6, [1, 6]), (7, [1, 4, 3]), (9, [1, 5, 4]), (15, [1, 8, 7])])
async def test_from_eight_callers_on_a_batch_has_half_of_them(behind: int, sizes: list[int]):
    database = Database()
    commit = GroupCommit(run=database, groups_from=8)
    asked = await submitted(commit, database, "first")
    asked += await submitted(commit, database, *(f"c{number}" for number in range(behind)))
    for number in range(len(sizes)):
        database.land(number)
        await turns()
    await asyncio.gather(*asked)
    assert [len(batch) for batch in database.batches] == sizes
    assert [command for batch in database.batches[1:] for command in batch] == [f"c{n}" for n in range(behind)]
    assert database.most_at_once == 1


@pytest.mark.parametrize("without", [{"groups_from": None}, {"groups_from": 8, "flights": 2}])
async def test_without_two_groups_all_that_wait_are_one_batch(without: dict[str, Any]):
    database = Database()
    commit = GroupCommit(run=database, **without)
    asked = await submitted(commit, database, "first")
    asked += await submitted(commit, database, *([] if "flights" not in without else ["second"]))
    asked += await submitted(commit, database, *(f"c{number}" for number in range(20)))
    database.land(0)
    await turns()
    assert len(database.batches[-1]) == 20
    for number in range(1, len(database.batches)):
        database.land(number)
    await asyncio.gather(*asked)


async def test_the_next_group_takes_off_after_the_last_one_has_landed_and_before_it_is_answered():
    database = Database()
    commit = GroupCommit(run=database, groups_from=4)
    asked = await submitted(commit, database, "a0")
    asked += await submitted(commit, database, *(f"b{number}" for number in range(6)))
    assert database.log == ["a0 takes off"]
    database.land(0)
    await turns()
    assert database.log == ["a0 takes off", "a0 lands", "b0 takes off", "a0 is answered"]
    database.land(1)
    await turns()
    assert database.log[4:7] == ["b0 lands", "b4 takes off", "b0 is answered"]
    database.land(2)
    await asyncio.gather(*asked)


async def test_with_less_than_half_a_batch_waiting_the_callers_are_answered_first():
    database = Database()
    commit = GroupCommit(run=database, groups_from=4)
    asked = await submitted(commit, database, "a0")
    asked += await submitted(commit, database, *(f"b{number}" for number in range(5)))
    database.land(0)  # three of the five take off
    await turns()
    gone = asked[4:]
    for task in gone:
        task.cancel()
    await turns()
    commit._queue.clear()  # those that went away
    asked += await submitted(commit, database, "c0")
    database.log.clear()
    database.land(1)
    await turns()
    answered = [f"b{number} is answered" for number in range(3)]
    assert database.log == ["b0 lands", *answered, "c0 takes off"]
    database.land(2)
    assert await asked[-1] == "c0 done"


async def test_what_goes_again_is_in_the_very_next_group_before_those_that_came_later():
    database = Database(again=["b1", "b1"])
    commit = GroupCommit(run=database, groups_from=4)
    asked = await submitted(commit, database, "a0")
    asked += await submitted(commit, database, *(f"b{number}" for number in range(6)))
    for number in range(4):
        database.land(number)
        await turns()
    await asyncio.gather(*asked)
    assert database.batches == [["a0"], ["b0", "b1", "b2", "b3"], ["b1", "b4", "b5"], ["b1"]]


async def test_a_group_that_was_overtaken_is_answered_when_it_lands_and_starts_no_other():
    database = Database()
    commit = GroupCommit(run=database, groups_from=4, slow_s=SLOW_S, overtaken_cap=1)
    asked = await submitted(commit, database, "slow")
    await asyncio.sleep(SLOW_S * 3)
    asked += await submitted(commit, database, *(f"b{number}" for number in range(8)))
    assert len(database.batches) == 2
    database.land(0)
    await turns()
    assert asked[0].done()
    assert len(database.batches) == 2
    for number in range(1, 4):
        await turns()
        if number < len(database.batches):
            database.land(number)
    await asyncio.gather(*asked)
    assert Counter(command for batch in database.batches for command in batch).most_common(1)[0][1] == 1


async def test_closing_waits_for_both_groups_and_all_their_answers():
    database = Database()
    commit = GroupCommit(run=database, groups_from=4)
    asked = await submitted(commit, database, "a0")
    asked += await submitted(commit, database, *(f"b{number}" for number in range(8)))
    closing = asyncio.create_task(commit.close())
    await turns()
    with pytest.raises(UnavailableError):
        await commit.submit("too late")
    for number in range(3):
        assert not closing.done()
        database.land(number)
        await turns()
    await closing
    await turns()
    assert all(task.done() for task in asked)


async def test_a_large_batch_is_answered_in_slices_between_which_others_have_their_turn():
    turn, answered_in = 0, Counter[int]()

    async def counts_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def asks(commit: GroupCommit[int, int], command: int) -> None:
        await commit.submit(command)
        answered_in[turn] += 1

    async def run(batch: Sequence[int]) -> list[Any]:
        await asyncio.sleep(0)
        return list(batch)

    commit = GroupCommit(run=run, batch_cap=512)
    counting = asyncio.create_task(counts_turns())
    await asyncio.gather(*(asks(commit, command) for command in range(512)))
    counting.cancel()
    assert sum(answered_in.values()) == 512
    assert max(answered_in.values()) <= 64
    assert len(answered_in) >= 8


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_order_and_the_same_key_in_both_groups_are_decided_once(world: World, seed: int):
    """Against what the database says afterwards: who cancelled each order, and what each key stands for."""
    chance = random.Random(seed)
    me = await world.connect_client()
    orders = [await world.service_order(me) for _ in range(3)]
    orders.append(await world.service_order(me, appointment_in=timedelta(hours=1)))  # the policy refuses this one
    commands = [
        world.command(me, chance.choice(orders), key=chance.choice([None, None, "k1", "k2", "k3"])) for _ in range(32)
    ]
    flying, batches = Counter[object](), list[Sequence[CancelOrder]]()

    async def run(batch: Sequence[CancelOrder]) -> list[Any]:
        batches.append(batch)
        stand = {command.order_id for command in batch} | {command.kept_under for command in batch} - {None}
        assert not any(flying[one] for one in stand)  # the group before has landed
        flying.update(stand)
        answers = await world.service.commit.run(batch)
        flying.subtract(stand)
        return list(answers)

    commit: GroupCommit[CancelOrder, Any] = GroupCommit(run=run, groups_from=4)
    answers = await asyncio.gather(*(commit.submit(command) for command in commands), return_exceptions=True)
    both = [{c.order_id for c in one} & {c.order_id for c in other} for one, other in pairwise(batches)]
    assert any(both)
    assert _keys(batches[0]) & _keys(batches[1])

    won = {row["command_id"]: row["order_id"] for row in await world.rows("cancellations")}
    assert sorted(won.values()) == sorted({c.order_id for c in commands} - {orders[3]})
    kept = {row["key"]: row for row in await world.rows("idempotency_keys")}
    for command, answer in zip(commands, answers, strict=True):
        if command.idempotency is None:
            assert type(answer) is (Cancelled if command.command_id in won else NotCancelled)
            continue
        stands_for = kept[command.idempotency.key]
        if stands_for["order_id"] != command.order_id:
            assert type(answer) is IdempotencyKeyReusedError
        else:
            assert type(answer) is (Cancelled if stands_for["cancelled"] else NotCancelled)
    refused = [row["command_id"] for row in await world.rows("refusals")]
    answered = zip(commands, answers, strict=True)
    without_key = [c for c, answer in answered if type(answer) is NotCancelled and c.idempotency is None]
    assert len(refused) == len(set(refused)) == len(without_key) + sum(not row["cancelled"] for row in kept.values())


def _keys(batch: Sequence[CancelOrder]) -> set[str]:
    return {command.idempotency.key for command in batch if command.idempotency is not None}

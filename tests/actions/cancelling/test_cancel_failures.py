"""The cancel action where the world breaks: the store is the real one, but for the calls that are made to fail."""

from datetime import timedelta
from typing import Any

import pytest

from countermand.actions.appointments.set import cancel_appointment, set_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.group_commit import GO_AGAIN, GroupCommit
from countermand.actions.cancelling.ports import CancelOrder, RefusalRecord
from countermand.actions.errors import (
    HeldError,
    KeyTakenError,
    NotFoundError,
    OutcomeUnknownError,
    TransientConflictError,
    UnavailableError,
    UnfitDataError,
)
from countermand.domain.actor import Actor
from countermand.domain.orders.order import OrderId
from support.breakage import Breaks, Real, afterwards, breaking, instead
from support.shared_world import shared_world
from support.world import World

world = shared_world

WITHIN_NOTICE = timedelta(hours=3)


@pytest.mark.parametrize(("conflicts", "answer"), [(1, Cancelled), (3, Cancelled), (4, UnavailableError)])
async def test_a_batch_that_lost_a_conflict_is_run_again_three_times_at_most(
    world: World, conflicts: int, answer: type
):
    me = await world.connect_client()
    batch = [world.command(me, await world.service_order(me)) for _ in range(2)]
    cancel, store = breaking(world, cancel=instead(TransientConflictError("deadlock"), times=conflicts))
    assert {type(one) for one in await cancel(batch)} == {answer}
    assert store.calls["cancel"] == min(conflicts + 1, 4)
    assert len(await world.rows("cancellations")) == (2 if answer is Cancelled else 0)
    assert await states(world) == {"cancelled" if answer is Cancelled else "submitted"}


async def test_what_cannot_be_begun_is_certainly_not_done_and_works_when_asked_again(world: World):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me), key=f"k{number}") for number in range(3)]
    cancel, store = breaking(world, cancel=instead(UnavailableError("locked"), times=1))
    assert {type(answer) for answer in await cancel(commands)} == {UnavailableError}
    assert store.calls["cancel"] == 1
    for table in ("cancellations", "refusals", "idempotency_keys"):
        assert await world.rows(table) == []
    assert await states(world) == {"submitted"}
    assert {type(answer) for answer in await cancel(commands)} == {Cancelled}


async def test_a_commit_whose_answer_was_lost_is_a_success_when_our_own_commands_are_found(world: World):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me)) for _ in range(3)]
    cancel, store = breaking(world, cancel=afterwards(OutcomeUnknownError("cut off")))
    assert {type(answer) for answer in await cancel(commands)} == {Cancelled}
    assert store.calls["cancel"] == 1
    assert len(await world.rows("cancellations")) == 3


async def test_anothers_cancellation_of_the_order_is_not_taken_for_ours(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    theirs, ours = world.command(me, order_id), world.command(me, order_id)
    await world.service.commit.run([theirs])
    cancel, _ = breaking(world, cancel=instead(OutcomeUnknownError("cut off")))
    assert [type(answer) for answer in await cancel([ours])] == [UnavailableError]
    assert [row["command_id"] for row in await world.rows("cancellations")] == [theirs.command_id]


async def test_what_was_cut_off_and_is_not_found_is_certainly_not_done_and_works_when_asked_again(world: World):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me), key=f"k{number}") for number in range(3)]
    cancel, store = breaking(world, cancel=instead(OutcomeUnknownError("cut off"), times=1))
    assert [type(answer) for answer in await cancel(commands)] == [UnavailableError] * 3
    assert store.calls["committed"] == 1
    assert await world.rows("cancellations") == await world.rows("idempotency_keys") == []
    assert await states(world) == {"submitted"}
    assert [type(answer) for answer in await cancel(commands)] == [Cancelled] * 3


async def test_what_may_still_happen_stays_unknown_until_it_is_known(world: World):
    me = await world.connect_client()
    command = world.command(me, await world.service_order(me), key="k")
    busy = instead(OutcomeUnknownError("still busy"))
    cancel, store = breaking(world, cancel=instead(OutcomeUnknownError("cut off"), times=1), committed=busy)
    assert [type(answer) for answer in await cancel([command])] == [OutcomeUnknownError]
    assert store.calls["committed"] > 1
    assert store.calls["refuse"] == 0
    assert await world.rows("cancellations") == await world.rows("refusals") == []
    assert [type(answer) for answer in await cancel([command])] == [Cancelled]


async def test_of_a_batch_that_was_cut_off_and_found_what_it_did_not_cancel_is_decided(world: World):
    me = await world.connect_client()
    granted, refused = await world.service_order(me), await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, store = breaking(world, cancel=afterwards(OutcomeUnknownError("cut off")))
    answers = await cancel([world.command(me, refused), world.command(me, granted)])
    assert [type(answer) for answer in answers] == [NotCancelled, Cancelled]
    assert store.calls["cancel"] == 1
    assert [row["order_id"] for row in await world.rows("cancellations")] == [granted]
    assert [row["order_id"] for row in await world.rows("refusals")] == [refused]


@pytest.mark.parametrize("size", [1, 4])
async def test_an_order_held_by_somebody_else_is_503_alone(world: World, size: int):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me), key=f"k{number}") for number in range(size)]
    held = commands[size // 2]
    cancel, store = breaking(world, cancel=held_by_another(held))
    answers = dict(zip((command.command_id for command in commands), await cancel(commands), strict=True))
    assert isinstance(answers.pop(held.command_id), HeldError)
    assert all(isinstance(answer, Cancelled) for answer in answers.values())
    assert store.calls["cancel"] == 2  # the second time without waiting
    assert len(await world.rows("cancellations")) == len(await world.rows("idempotency_keys")) == size - 1
    assert await world.rows("refusals") == []


async def test_an_order_that_is_held_is_refused_or_not_found_all_the_same(world: World):
    me, other = await world.connect_client(), await world.connect_client("another")
    refused = world.command(me, await world.service_order(me, appointment_in=WITHIN_NOTICE), key="k")
    elses = world.command(other, await world.service_order(me))
    granted = world.command(me, await world.service_order(me))
    cancel, _ = breaking(world, cancel=instead(HeldError("held")))
    answers = await cancel([refused, elses, granted])
    assert [type(answer) for answer in answers] == [NotCancelled, NotFoundError, HeldError]
    assert [row["order_id"] for row in await world.rows("refusals")] == [refused.order_id]
    assert await world.rows("cancellations") == []


async def test_the_search_for_the_outcome_goes_on_while_the_database_is_away(world: World):
    me = await world.connect_client()
    command = world.command(me, await world.service_order(me))
    cut_off, away = afterwards(OutcomeUnknownError("cut off")), instead(UnavailableError("away"), times=1)
    cancel, store = breaking(world, cancel=cut_off, committed=away)
    assert [type(answer) for answer in await cancel([command])] == [Cancelled]
    assert store.calls["committed"] == 2


async def test_the_search_for_the_outcome_ends_and_a_repeat_under_the_key_gets_the_yes(world: World):
    me = await world.connect_client()
    command = world.command(me, await world.service_order(me), key="k")
    away = instead(UnavailableError("away"))
    cancel, _ = breaking(world, cancel=afterwards(OutcomeUnknownError("cut off")), committed=away)
    assert [type(answer) for answer in await cancel([command])] == [OutcomeUnknownError]
    assert await states(world) == {"cancelled"}
    repeat = world.command(me, command.order_id, key="k")
    assert await world.service.commit.run([repeat]) == [Cancelled(order_id=command.order_id)]
    assert await world.rows("refusals") == []


@pytest.mark.parametrize("size", [1, 4])
async def test_one_commands_bad_value_fails_it_alone(world: World, size: int):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me)) for _ in range(size)]
    bad = commands[size // 2].command_id

    async def unfit(real: Real, asked: list[CancelOrder], *more: Any, **how: Any) -> Any:
        if bad in {command.command_id for command in asked}:
            raise UnfitDataError("out of range")
        return await real(asked, *more, **how)

    cancel, _ = breaking(world, cancel=unfit)
    answers = dict(zip((command.command_id for command in commands), await cancel(commands), strict=True))
    assert type(answers.pop(bad)) is UnfitDataError  # a repeat would be refused alike: nobody is told to come again
    assert all(isinstance(answer, Cancelled) for answer in answers.values())
    assert bad not in {row["command_id"] for row in await world.rows("cancellations")}
    assert len(await world.rows("cancellations")) == size - 1


async def test_a_key_that_clashes_without_being_known_yet_fails_nobody_else(world: World):
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me), key=f"k{number}") for number in range(3)]
    cancel, _ = breaking(world, cancel=instead(KeyTakenError("in use"), times=1))
    assert {type(answer) for answer in await cancel(commands)} == {Cancelled}
    assert len(await world.rows("idempotency_keys")) == 3


async def test_a_bad_value_of_a_command_that_is_not_to_be_written_anyway_stands_in_no_answers_way(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    kept = world.command(me, order_id, key="k")
    assert await world.service.commit.run([kept]) == [Cancelled(order_id=order_id)]
    cancel, _ = breaking(world, cancel=instead(UnfitDataError("out of range")))
    other = await world.service_order(me)
    commands = [world.command(me, order_id, key="k"), world.command(me, OrderId(999)), world.command(me, other)]
    assert [type(answer) for answer in await cancel(commands)] == [Cancelled, NotFoundError, UnfitDataError]
    assert await world.rows("refusals") == []


async def test_a_key_that_clashed_and_is_gone_may_be_used_again(world: World):
    me = await world.connect_client()
    command = world.command(me, await world.service_order(me), key="k")
    cancel, _ = breaking(world, cancel=instead(KeyTakenError("in use"), times=1))
    assert [type(answer) for answer in await cancel([command])] == [UnavailableError]
    assert await world.rows("cancellations") == await world.rows("idempotency_keys") == []
    assert await cancel([command]) == [Cancelled(order_id=command.order_id)]


@pytest.mark.parametrize("size", [1, 4])
async def test_one_refusals_bad_value_fails_it_alone(world: World, size: int):
    me = await world.connect_client()
    orders = [await world.service_order(me, appointment_in=WITHIN_NOTICE) for _ in range(size)]
    commands = [world.command(me, order_id, key=f"k{order_id}") for order_id in orders]
    bad = commands[size // 2].command_id

    async def unfit(real: Real, asked: list[RefusalRecord]) -> Any:
        if bad in {refusal.command.command_id for refusal in asked}:
            raise UnfitDataError("out of range")
        return await real(asked)

    cancel, _ = breaking(world, refuse=unfit)
    answers = dict(zip((command.command_id for command in commands), await cancel(commands), strict=True))
    assert type(answers.pop(bad)) is UnfitDataError
    assert all(isinstance(answer, NotCancelled) for answer in answers.values())
    assert len(await world.rows("refusals")) == len(await world.rows("idempotency_keys")) == size - 1
    assert bad not in {row["command_id"] for row in await world.rows("refusals")}


@pytest.mark.parametrize("error", [UnavailableError("away"), OutcomeUnknownError("cut off")])
async def test_a_refusal_that_could_not_be_recorded_is_not_answered(world: World, error: Exception):
    me = await world.connect_client()
    granted, refused = await world.service_order(me), await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, _ = breaking(world, refuse=instead(error))
    answers = await cancel([world.command(me, granted), world.command(me, refused, key="k")])
    assert [type(answer) for answer in answers] == [Cancelled, UnavailableError]
    assert await world.rows("refusals") == []
    assert await world.rows("idempotency_keys") == []


async def test_a_refusal_is_in_the_database_by_the_time_it_is_answered(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, store = breaking(world)
    assert [type(answer) for answer in await cancel([world.command(me, order_id)])] == [NotCancelled]
    assert store.calls == {"cancel": 1, "kept": 1, "orders": 1, "refuse": 1}
    assert len(await world.rows("refusals", order_id)) == 1


@pytest.mark.parametrize("error", [KeyTakenError("in use"), TransientConflictError("deadlock")])
async def test_a_refusal_that_met_a_conflict_goes_round_again_and_is_recorded_once(world: World, error: Exception):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, _ = breaking(world, refuse=instead(error, times=1))
    outcome = await GroupCommit(run=cancel).submit(world.command(me, order_id, key="k"))
    assert isinstance(outcome, NotCancelled)
    assert len(await world.rows("refusals")) == 1


@pytest.mark.parametrize("read", ["orders", "kept"])
async def test_what_cannot_be_explained_now_is_certainly_not_done_but_the_yes_of_the_batch_stands(
    world: World, read: str
):
    me = await world.connect_client()
    granted, refused = await world.service_order(me), await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, _ = breaking(world, **{read: instead(UnavailableError("away"))})
    answers = await cancel([world.command(me, granted), world.command(me, refused)])
    assert [type(answer) for answer in answers] == [Cancelled, UnavailableError]
    assert [row["order_id"] for row in await world.rows("cancellations")] == [granted]
    assert await world.rows("refusals") == []


async def test_an_order_that_changed_between_statement_and_read_goes_round_again(world: World):
    me = await world.connect_client()
    changes, stays = await world.service_order(me, appointment_in=WITHIN_NOTICE), await world.service_order(me)
    cancel, _ = breaking(world, orders=calls_off_the_visit(world, changes))
    answers = await cancel([world.command(me, changes), world.command(me, stays)])
    assert answers == [GO_AGAIN, Cancelled(order_id=stays)]
    assert await world.rows("cancellations", changes) == []
    assert await world.rows("refusals") == []


async def test_the_round_after_a_change_decides_on_what_is_there_then(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=WITHIN_NOTICE)
    cancel, store = breaking(world, orders=calls_off_the_visit(world, order_id))
    outcome = await GroupCommit(run=cancel).submit(world.command(me, order_id))
    assert outcome == Cancelled(order_id=order_id)
    assert store.calls["cancel"] == 2
    assert [row["appointment_starts_at"] for row in await world.rows("cancellations", order_id)] == [None]


async def test_an_order_that_keeps_changing_is_certainly_not_cancelled_after_three_rounds(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=WITHIN_NOTICE)
    called_off = calls_off_the_visit(world, order_id)

    async def booked_again(real: Real, *asked: Any, **how: Any) -> Any:
        if await has_no_visit(world, order_id):
            await book(world, order_id)
        return await real(*asked, **how)

    cancel, store = breaking(world, cancel=booked_again, orders=called_off)
    with pytest.raises(UnavailableError):
        await GroupCommit(run=cancel).submit(world.command(me, order_id))
    assert store.calls["cancel"] == 3
    assert await states(world) == {"submitted"}
    assert await world.rows("cancellations") == await world.rows("refusals") == []


def held_by_another(held: CancelOrder) -> Breaks:
    """Another transaction holds this command's order for longer than anybody waits."""

    async def waits(real: Real, asked: list[CancelOrder], *more: Any, skip_held: bool = False) -> Any:
        if not skip_held and held in asked:
            raise HeldError("held")
        return await real([command for command in asked if command is not held], *more, skip_held=skip_held)

    return waits


def calls_off_the_visit(world: World, order_id: OrderId) -> Breaks:
    """Before the read, and after the statement, the appointment is called off by somebody else."""

    async def changed(real: Real, *asked: Any) -> Any:
        async with world.database.store.transaction() as tx:
            visit, order = await tx.active_appointment(order_id), await tx.order(order_id)
            assert order is not None
            if visit is not None:
                await cancel_appointment(tx, Actor(order.client_id), order_id, visit.id, world.clock())
        return await real(*asked)

    return changed


async def has_no_visit(world: World, order_id: OrderId) -> bool:
    return all(row["state"] == "cancelled" for row in await world.rows("appointments", order_id))


async def book(world: World, order_id: OrderId) -> None:
    starts_at = world.clock() + WITHIN_NOTICE
    async with world.database.store.transaction() as tx:
        order = await tx.order(order_id)
        assert order is not None
        await set_appointment(
            tx, Actor(order.client_id), order_id, starts_at, starts_at + timedelta(hours=4), world.clock()
        )


async def states(world: World) -> set[str]:
    return {row["state"] for row in await world.rows("orders")}

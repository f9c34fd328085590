import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from countermand.actions.appointments.set import move_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome, NotCancelled
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import IdempotencyKeyReusedError, NotFoundError
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId, AppointmentState
from countermand.domain.orders.order import OrderId
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world


async def test_an_order_is_cancelled_once_and_one_fact_leaves(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    assert isinstance(await world.cancel(me, order_id), NotCancelled)
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert [row["state"] for row in await world.rows("appointments", order_id)] == ["cancelled"]
    kinds = [row["kind"] for row in await world.rows("outbox", order_id)]
    assert kinds.count("order.cancelled") == 1
    assert kinds.count("appointment.cancelled") == 1
    assert len(await world.rows("cancellations", order_id)) == 1
    assert len(await world.rows("refusals", order_id)) == 1


async def test_of_the_same_command_five_times_in_one_batch_the_first_wins_and_four_refusals_are_recorded(world: World):
    me = await world.connect_client()
    twice_asked, other = await world.service_order(me), await world.service_order(me)
    batch = [world.command(me, twice_asked) for _ in range(5)]
    answers = await world.service.commit.run([batch[0], world.command(me, other), *batch[1:]])
    assert [type(answer) for answer in answers] == [Cancelled, Cancelled, *[NotCancelled] * 4]
    assert [broken_codes(answer) for answer in answers[2:]] == [["order_not_cancellable"]] * 4
    (row,) = await world.rows("cancellations", twice_asked)
    assert row["command_id"] == batch[0].command_id
    assert {row["command_id"] for row in await world.rows("refusals")} == {c.command_id for c in batch[1:]}
    assert await told(world, twice_asked) == ["order.placed", "order.cancelled"]


async def test_five_hundred_attempts_of_strangers_in_the_batch_do_not_delay_the_owners(world: World):
    me, *strangers = [await world.connect_client(f"partner-{number}") for number in range(6)]
    order_id = await world.service_order(me)
    attempts = [world.command(strangers[number % 5], order_id) for number in range(500)]
    *foreign, mine = await world.service.commit.run([*attempts, world.command(me, order_id)])
    assert isinstance(mine, Cancelled)  # in this very round
    assert {type(answer) for answer in foreign} == {NotFoundError}
    assert [row["client_id"] for row in await world.rows("cancellations")] == [me.client.id]
    assert await world.rows("refusals") == []


@pytest.mark.parametrize("order_of_asking", list(permutations(["operator", "owner", "stranger"])), ids="-".join)
async def test_operator_owner_and_stranger_in_one_batch_make_one_cancellation(
    world: World, order_of_asking: tuple[str, ...]
):
    owner, stranger, operator = [*await two_clients(world), await world.manage_client()]
    order_id = await world.service_order(owner)
    commands = {
        "operator": world.command(operator, order_id, on_behalf=True, reason="The customer rang"),
        "owner": world.command(owner, order_id),
        "stranger": world.command(stranger, order_id),
    }
    answers = await world.service.commit.run([commands[who] for who in order_of_asking])
    by_whom = dict(zip(order_of_asking, answers, strict=True))
    assert isinstance(by_whom["operator"], Cancelled)
    assert isinstance(by_whom["owner"], NotCancelled)
    assert isinstance(by_whom["stranger"], NotFoundError)
    (row,) = await world.rows("cancellations", order_id)
    assert (row["client_id"], row["door"], row["reason"]) == (operator.client.id, "manage", "The customer rang")
    assert await told(world, order_id) == ["order.placed", "order.cancelled"]


async def test_operators_in_one_batch_meet_the_same_policy_as_the_owner(world: World):
    owner, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(owner, appointment_in=timedelta(hours=26))
    on_behalf = [world.command(operator, order_id, on_behalf=True) for _ in range(2)]
    answers = await world.service.commit.run([*on_behalf, world.command(owner, order_id)])
    assert [broken_codes(answer) for answer in answers] == [["appointment_within_notice"]] * 3
    assert await world.rows("cancellations") == []
    assert sorted(row["door"] for row in await world.rows("refusals", order_id)) == ["connect", "manage", "manage"]


async def test_a_batch_releases_all_that_its_orders_held_and_nothing_of_others(world: World):
    partner, shop = await world.connect_client(), await world.shopping_client()
    day, evening = await world.product(stock=50), await world.product(stock=50)
    visited = await world.service_order(partner, appointment_in=timedelta(hours=30))
    kept_visit = await world.service_order(partner, appointment_in=timedelta(hours=30))
    sold = [await world.ticket_order(shop, product=day, quantity=n) for n in (1, 2, 4)]
    sold += [await world.ticket_order(shop, product=evening, quantity=8)]
    kept = await world.ticket_order(shop, product=day, quantity=16)
    batch = [world.command(shop, view.order.id, key=f"k{n}") for n, view in enumerate(sold)]
    answers = await world.service.commit.run([world.command(partner, visited), *batch])
    assert {type(answer) for answer in answers} == {Cancelled}
    left = {row["uid"]: row["availability"] for row in await world.rows("products")}
    assert (left[day], left[evening]) == (50 - 16, 50)
    valid = Counter(row["order_id"] for row in await world.rows("tickets") if row["valid"])
    assert valid == {kept.order.id: 16}
    assert [row["state"] for row in await world.rows("appointments", visited)] == ["cancelled"]
    assert [row["state"] for row in await world.rows("appointments", kept_visit)] == ["booked"]
    assert {row["key"] for row in await world.rows("idempotency_keys")} == {"k0", "k1", "k2", "k3"}
    for order_id in (visited, *(view.order.id for view in sold)):
        (row,) = await world.rows("orders", order_id)
        assert (row["state"], row["appointment_starts_at"]) == ("cancelled", None)
        facts = [fact for fact in await world.rows("outbox", order_id) if fact["order_version"] == row["version"]]
        assert {fact["kind"] for fact in facts} - {"appointment.cancelled"} == {"order.cancelled"}
    assert "appointment.cancelled" in await told(world, visited)
    assert "order.cancelled" not in await told(world, kept.order.id)


async def test_visits_that_were_over_before_stay_as_they_were(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    over = [AppointmentState.COMPLETED, AppointmentState.INCOMPLETE, AppointmentState.CANCELLED]
    async with world.database.store.transaction() as tx:
        visit = await tx.active_appointment(order_id)
        assert visit is not None
        for number, state in enumerate(over, start=1000):
            await tx.insert_appointment(order_id, replace(visit, id=AppointmentId(number), state=state))
    before = await world.rows("appointments", order_id)
    assert await world.service.commit.run([world.command(me, order_id)]) == [Cancelled(order_id=order_id)]
    after = await world.rows("appointments", order_id)
    assert [row for row in after if row["id"] != visit.id] == [row for row in before if row["id"] != visit.id]
    assert [row["state"] for row in after if row["id"] == visit.id] == ["cancelled"]
    assert (await told(world, order_id)).count("appointment.cancelled") == 1


async def test_the_answer_shows_the_order_as_it_stands_after_the_commit_to_those_who_asked(world: World):
    shop = await world.shopping_client()
    shown, unseen = await world.ticket_order(shop), await world.ticket_order(shop)
    first, second = await asyncio.gather(
        world.service.cancel.submit_and_show(world.command(shop, shown.order.id)),
        world.service.cancel.submit(world.command(shop, unseen.order.id)),
    )
    assert first.view.order.state == "cancelled"
    assert first.view.order.version == shown.order.version + 1
    assert [ticket.valid for ticket in first.view.tickets] == [False, False]
    assert second == Cancelled(order_id=unseen.order.id)


async def test_the_record_of_a_decision_has_the_facts_it_was_made_on(world: World):
    me = await world.connect_client()
    yes = await world.service_order(me, appointment_in=timedelta(hours=26, microseconds=1))
    no = await world.service_order(me, appointment_in=timedelta(hours=26))
    granted, refused = await world.service.commit.run([world.command(me, yes), world.command(me, no)])
    assert (type(granted), broken_codes(refused)) == (Cancelled, ["appointment_within_notice"])
    (cancellation,), (refusal,) = await world.rows("cancellations"), await world.rows("refusals")
    assert cancellation["appointment_starts_at"] == refusal["appointment_starts_at"] + 1
    assert (cancellation["order_id"], refusal["order_id"]) == (yes, no)
    assert cancellation["decided_at"] == refusal["decided_at"]
    assert cancellation["policy_version"] == refusal["policy_version"] == refused.refused.policy_version
    assert [row["state"] for row in await world.rows("appointments", no)] == ["booked"]


# idempotency keys


async def test_a_repeat_under_its_key_gets_the_first_answer_whatever_the_batch_has_besides(world: World):
    me = await world.connect_client()
    done = await world.service_order(me)
    refused = await world.service_order(me, appointment_in=timedelta(hours=25))
    asked = [(done, "k1"), (refused, "k2")]
    before = await run(world, me, *asked)
    world.clock.forward(hours=1)
    innocent = await world.service_order(me)
    *after, also = await run(world, me, *asked, (innocent, "k3"))
    assert after == before
    assert isinstance(also, Cancelled)
    assert len(await world.rows("cancellations")) == 2
    assert len(await world.rows("refusals")) == 1
    assert len(await world.rows("idempotency_keys")) == 3


async def test_a_kept_refusal_stands_even_when_the_order_may_be_cancelled_by_now(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=25))
    (refused,) = await run(world, me, (order_id, "k"))
    await move_visit(world, order_id, timedelta(hours=30))
    assert await run(world, me, (order_id, "k")) == [refused]
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["submitted"]
    assert [type(answer) for answer in await run(world, me, (order_id, None))] == [Cancelled]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_keys_that_earlier_batches_used_for_other_orders_fail_alone_and_innocents_are_cancelled(
    world: World, place: int
):
    me = await world.connect_client()
    earlier = [await world.service_order(me) for _ in range(2)]
    await run(world, me, *zip(earlier, ["used-1", "used-2"], strict=True))
    reusing = [(await world.service_order(me), "used-1"), (await world.service_order(me), "used-2")]
    innocents = [(await world.service_order(me), key) for key in (None, "fresh-1", "fresh-2")]
    batch = [*innocents[:place], *reusing, *innocents[place:]]
    answers = dict(zip(batch, await run(world, me, *batch), strict=True))
    assert {type(answers[one]) for one in innocents} == {Cancelled}
    assert {type(answers[one]) for one in reusing} == {IdempotencyKeyReusedError}
    cancelled = {row["order_id"] for row in await world.rows("cancellations")}
    assert cancelled == {*earlier, *(order_id for order_id, _ in innocents)}
    assert {row["key"] for row in await world.rows("idempotency_keys")} == {"used-1", "used-2", "fresh-1", "fresh-2"}


async def test_a_key_belongs_to_its_client_and_clashes_with_nobody_elses(world: World):
    one, other = await two_clients(world)
    first, second = await world.service_order(one), await world.service_order(other)
    commands = [world.command(one, first, key="k"), world.command(other, second, key="k")]
    assert {type(answer) for answer in await world.service.commit.run(commands)} == {Cancelled}
    assert len(await world.rows("idempotency_keys")) == 2


async def test_one_key_twice_in_a_batch_for_one_order_gives_one_cancellation_and_the_same_answer_twice(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    assert await run(world, me, (order_id, "k"), (order_id, "k")) == [Cancelled(order_id=order_id)] * 2
    assert len(await world.rows("cancellations")) == 1
    assert await world.rows("refusals") == []


async def test_one_key_twice_in_a_batch_for_a_refused_order_is_refused_once_and_answered_twice(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=3))
    first, second = await run(world, me, (order_id, "k"), (order_id, "k"))
    assert first == second
    assert broken_codes(first) == ["appointment_within_notice"]
    assert len(await world.rows("refusals")) == 1


@pytest.mark.parametrize("appointment_in", [None, timedelta(hours=3)], ids=["cancelled", "refused"])
async def test_one_key_for_two_orders_in_a_batch_stands_for_the_first(world: World, appointment_in: timedelta | None):
    me = await world.connect_client()
    first = await world.service_order(me, appointment_in=appointment_in)
    second = await world.service_order(me)
    answer, reused = await run(world, me, (first, "k"), (second, "k"))
    assert isinstance(answer, NotCancelled if appointment_in else Cancelled)
    again = await world.service.commit.run([world.command(me, second, key="k")])
    assert {type(reused), type(again[0])} == {IdempotencyKeyReusedError}
    assert [row["state"] for row in await world.rows("orders", second)] == ["submitted"]


async def test_an_order_that_is_not_there_leaves_its_key_free(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    (missing,) = await run(world, me, (OrderId(order_id + 1), "k"))
    assert isinstance(missing, NotFoundError)
    assert [type(answer) for answer in await run(world, me, (order_id, "k"))] == [Cancelled]


async def test_a_key_that_stands_for_another_kind_of_request_cancels_nothing(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    command = world.command(me, order_id, key="k")
    another = IdempotencyKey(key="k", fingerprints=Fingerprints(request="another request", message="another request"))
    async with world.database.store.transaction() as tx:
        await tx.keep_answer(me.client.id, another, b"{}", world.clock())
    assert [type(answer) for answer in await world.service.commit.run([command])] == [IdempotencyKeyReusedError]
    assert await world.rows("cancellations") == []


async def run(world: World, caller: Caller, *asked: tuple[OrderId, str | None]) -> list[Any]:
    """One batch of a caller's cancels, each of an order under a key."""
    commands: list[CancelOrder] = [world.command(caller, order_id, key=key) for order_id, key in asked]
    return list(await world.service.commit.run(commands))


def broken_codes(answer: CancelOutcome | Any) -> list[str]:
    assert isinstance(answer, NotCancelled)
    return [finding.code for finding in answer.refused.broken]


async def told(world: World, order_id: OrderId) -> list[str]:
    return [row["kind"] for row in await world.rows("outbox", order_id)]


async def two_clients(world: World) -> list[Caller]:
    return [await world.connect_client("partner"), await world.connect_client("other-partner")]


async def move_visit(world: World, order_id: OrderId, starts_in: timedelta) -> None:
    starts_at = world.clock() + starts_in
    async with world.database.store.transaction() as tx:
        order, visit = await tx.order(order_id), await tx.active_appointment(order_id)
        assert order is not None
        assert visit is not None
        await move_appointment(
            tx, Actor(order.client_id), order_id, visit.id, starts_at, starts_at + timedelta(hours=4), world.clock()
        )

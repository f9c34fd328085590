import asyncio
from datetime import timedelta

import pytest

from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.columns import micros
from support.connect_calls import cancel
from support.contracts import CONNECT
from support.database_contents import contents
from support.shared_world import shared_both_worlds
from support.world import NOON, World

both_worlds = shared_both_worlds

ACCEPTED = (Transition.ACCEPT,)
IN_PROGRESS = (*ACCEPTED, Transition.START)
CANCELLABLE = {
    "submitted": (),
    "accepted": ACCEPTED,
    "in_progress": IN_PROGRESS,
    "held": (Transition.HOLD,),
    "rejected": (Transition.REJECT,),
}
FINAL = {"past_no_return": (*IN_PROGRESS, Transition.PASS_NO_RETURN), "activated": (*IN_PROGRESS, Transition.ACTIVATE)}

HOURS_26 = timedelta(hours=26)
A_SECOND = timedelta(seconds=1)
A_MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(("state", "moves"), CANCELLABLE.items())
async def test_an_order_in_a_cancelable_state_is_cancelled(
    both_worlds: World, state: str, moves: tuple[Transition, ...]
):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=moves)
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    (order,) = await world.rows("orders", order_id)
    (cancellation,) = await world.rows("cancellations", order_id)
    assert (order["state"], cancellation["state"]) == ("cancelled", state)
    assert await world.rows("refusals", order_id) == []


@pytest.mark.parametrize(("state", "moves"), FINAL.items())
async def test_an_order_in_another_state_is_refused_with_code_and_sentence_and_stays(
    both_worlds: World, state: str, moves: tuple[Transition, ...]
):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=moves)
    before = await contents(world)
    reply = await cancel(world, me, {"orderId": order_id})
    assert reply.status == 422
    assert reply.error == {
        "code": "order_not_cancellable",
        "field": "orderId",
        "message": f"the order is {state}, which cannot be cancelled",
    }
    assert _but_refusals(await contents(world)) == _but_refusals(before)


async def test_the_second_cancel_is_refused_and_the_first_one_stands(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    after_one = await contents(world)
    reply = await cancel(world, me, {"orderId": order_id})
    assert reply.status == 422
    assert reply.error["code"] == "order_not_cancellable"
    assert reply.error["message"] == "the order is cancelled, which cannot be cancelled"
    assert _but_refusals(await contents(world)) == _but_refusals(after_one)


async def test_of_twenty_cancels_at_once_one_is_200_and_the_rest_are_422(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    replies = await asyncio.gather(*(cancel(world, me, {"orderId": order_id}) for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200] + [422] * 19
    assert len(await world.rows("cancellations", order_id)) == 1
    assert len(await world.rows("refusals", order_id)) == 19
    assert [row["kind"] for row in await world.rows("outbox", order_id)].count("order.cancelled") == 1


WITHIN = {
    "in 25 hours": (timedelta(hours=25), "2026-11-22T13:00:00Z", "2026-11-21T11:00:00Z"),
    "in exactly 26 hours": (HOURS_26, "2026-11-22T14:00:00Z", "2026-11-21T12:00:00Z"),
    "now": (timedelta(), "2026-11-21T12:00:00Z", "2026-11-20T10:00:00Z"),
    "begun and still active": (timedelta(hours=-1), "2026-11-21T11:00:00Z", "2026-11-20T09:00:00Z"),
    "begun long ago and still active": (timedelta(days=-30), "2026-10-22T12:00:00Z", "2026-10-21T10:00:00Z"),
}


@pytest.mark.parametrize(("starts_in", "starts_at", "until"), WITHIN.values(), ids=WITHIN.keys())
async def test_an_appointment_within_26_hours_refuses_with_both_instants_and_stays(
    both_worlds: World, starts_in: timedelta, starts_at: str, until: str
):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=starts_in)
    before = await contents(world)
    reply = await cancel(world, me, {"orderId": order_id})
    assert reply.status == 422
    assert reply.error == {
        "code": "appointment_within_notice",
        "field": "orderId",
        "message": f"the appointment on {starts_at} starts within 26 hours; cancellable until {until}",
    }
    assert _but_refusals(await contents(world)) == _but_refusals(before)
    assert [row["state"] for row in await world.rows("appointments", order_id)] == ["booked"]


@pytest.mark.parametrize("more", [A_MICROSECOND, A_SECOND, timedelta(hours=4)])
async def test_an_appointment_further_off_is_released_in_the_very_transaction(both_worlds: World, more: timedelta):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=HOURS_26 + more)
    other = await world.service_order(me, appointment_in=HOURS_26 + more)
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    (order,) = await world.rows("orders", order_id)
    (cancellation,) = await world.rows("cancellations", order_id)
    (appointment,) = await world.rows("appointments", order_id)
    assert (order["state"], order["appointment_starts_at"]) == ("cancelled", None)
    assert cancellation["appointment_starts_at"] == micros(NOON + HOURS_26 + more)
    assert (appointment["state"], appointment["cancelled_at"]) == ("cancelled", cancellation["decided_at"])
    told = {row["kind"]: row for row in await world.rows("outbox", order_id)}
    assert told["appointment.cancelled"]["order_version"] == told["order.cancelled"]["order_version"]
    assert told["appointment.cancelled"]["recorded_at"] == told["order.cancelled"]["recorded_at"]
    assert [row["state"] for row in await world.rows("appointments", other)] == ["booked"]


async def test_the_same_order_is_refused_a_second_later(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    orders = [await world.service_order(me, appointment_in=HOURS_26 + A_SECOND) for _ in range(2)]
    assert (await cancel(world, me, {"orderId": orders[0]})).status == 200
    world.clock.forward(seconds=1)
    assert (await cancel(world, me, {"orderId": orders[1]})).codes == ["appointment_within_notice"]


async def test_a_refusal_says_every_reason_in_the_policys_order(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=1), moves=FINAL["activated"])
    reply = await cancel(world, me, {"orderId": order_id})
    assert reply.status == 422
    assert reply.codes == ["order_not_cancellable", "appointment_within_notice"]


async def test_a_refusal_is_recorded_with_the_facts_and_the_policy_it_was_decided_on(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=25), moves=ACCEPTED)
    world.clock.forward(seconds=7)
    assert (await cancel(world, me, {"orderId": order_id})).status == 422
    (refusal,) = await world.rows("refusals", order_id)
    assert refusal.pop("command_id")
    assert refusal == {
        "order_id": order_id,
        "decided_at": micros(NOON + timedelta(seconds=7)),
        "client_id": me.client.id,
        "contract": "connect",
        "door": "connect",
        "policy_version": world.database.policies.by_contract[CONNECT.name].version,
        "state": "accepted",
        "appointment_starts_at": micros(NOON + timedelta(hours=25)),
        "first_payment_at": None,
        "refunded_in_full": None,
        "reason": None,
        "codes": "appointment_within_notice",
        "staff_id": None,
        "acting_as": None,
        "address": "127.0.0.1",
    }
    assert refusal["policy_version"] in {row["version"] for row in (await contents(world))["policies"]}


async def test_every_refusal_is_recorded_by_itself(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=FINAL["activated"])
    assert [(await cancel(world, me, {"orderId": order_id})).status for _ in range(3)] == [422] * 3
    assert len({row["command_id"] for row in await world.rows("refusals", order_id)}) == 3


async def test_a_cancellation_is_recorded_with_the_facts_and_the_policy_it_was_decided_on(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=IN_PROGRESS)
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    (cancellation,) = await world.rows("cancellations", order_id)
    assert cancellation.pop("command_id")
    assert cancellation == {
        "order_id": order_id,
        "decided_at": micros(NOON),
        "client_id": me.client.id,
        "contract": "connect",
        "door": "connect",
        "policy_version": world.database.policies.by_contract[CONNECT.name].version,
        "state": "in_progress",
        "appointment_starts_at": None,
        "first_payment_at": None,
        "reason": None,
        "staff_id": None,
        "acting_as": None,
        "overridden": None,
        "refunded_in_full": None,
        "approved_by": None,
        "key_client_id": None,
        "key": None,
        "address": "127.0.0.1",
    }


def _but_refusals(everything: dict[str, object]) -> dict[str, object]:
    return {name: rows for name, rows in everything.items() if name != "refusals"}

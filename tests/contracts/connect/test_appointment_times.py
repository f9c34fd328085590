"""Instants decide, to the microsecond and whatever the clocks on the wall say; answers may be held back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from support.appointments import ASK, BOOK, CALL_OFF, ORDERS, WITHDRAW, asked, booked, get, offer, post, slot
from support.connect_calls import cancel
from support.database_contents import contents
from support.manage_calls import manage
from support.shared_world import Services, shared_both_worlds, shared_world
from support.world import NOON, Caller, World, a_world

world = shared_world
both_worlds = shared_both_worlds

SYDNEY = ZoneInfo("Australia/Sydney")
A_MICROSECOND = timedelta(microseconds=1)
NOTICE = timedelta(hours=26)


# 26 hours


async def test_a_booked_visit_26_hours_off_refuses_and_a_microsecond_more_does_not(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    begins = NOON + timedelta(days=3)
    await slot(world, "one", begins, capacity=2)
    too_late, in_time = [await world.service_order(me) for _ in range(2)]
    for order_id in (too_late, in_time):
        await booked(world, me, order_id, "one")
    world.clock.now = begins - NOTICE - A_MICROSECOND
    assert (await cancel(world, me, {"orderId": in_time})).status == 200
    world.clock.now = begins - NOTICE
    refused = await cancel(world, me, {"orderId": too_late})
    assert (refused.status, refused.codes) == (422, ["appointment_within_notice"])
    states = {row["order_id"]: row["state"] for row in await world.rows("appointments")}
    assert states == {in_time: "cancelled", too_late: "booked"}


def in_sydney(on_the_wall: str) -> datetime:
    return datetime.fromisoformat(on_the_wall).replace(tzinfo=SYDNEY)


# What the clocks show in Sydney: now, and when the visit begins. Between them they are set forward or back.
CLOCKS_CHANGE: dict[str, tuple[datetime, datetime, bool]] = {
    # 26 hours by the wall, 25 in truth
    "set forward, too late": (in_sydney("2026-10-03T12:00"), in_sydney("2026-10-04T14:00"), False),
    "set forward, exactly": (in_sydney("2026-10-03T11:00"), in_sydney("2026-10-04T14:00"), False),
    "set forward, in time": (in_sydney("2026-10-03T10:59:59.999999"), in_sydney("2026-10-04T14:00"), True),
    # 25 hours by the wall, 26 in truth
    "set back, exactly": (in_sydney("2026-04-04T13:00"), in_sydney("2026-04-05T14:00"), False),
    "set back, in time": (in_sydney("2026-04-04T12:59:59.999999"), in_sydney("2026-04-05T14:00"), True),
}


@pytest.mark.parametrize(("now", "begins", "granted"), CLOCKS_CHANGE.values(), ids=CLOCKS_CHANGE)
async def test_where_clocks_change_before_the_visit_the_hours_that_pass_count(
    world: World, now: datetime, begins: datetime, *, granted: bool
):
    world.clock.now = datetime(2026, 1, 1, tzinfo=UTC)
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "one", begins)
    await booked(world, me, order_id, "one", "2026-01-01")
    world.clock.now = now.astimezone(UTC)
    explained = (await get(world, me, f"{ORDERS}/{order_id}/cancellability")).json
    assert explained["cancellable"] is granted
    assert (await cancel(world, me, {"orderId": order_id})).status == (200 if granted else 422)


async def test_each_slot_has_the_offset_that_clocks_have_there_and_then(world: World):
    world.clock.now = datetime(2026, 10, 1, tzinfo=UTC)
    me = await world.connect_client()
    order_id = await world.service_order(me)
    for day in (3, 4):
        await slot(world, f"october-{day}", datetime(2026, 10, day, 8, tzinfo=SYDNEY))
    offered = await offer(world, me, order_id, "2026-10-01")
    shown = [(one["date"], one["slotType"], one["startTime"], one["timezoneOffset"]) for one in offered["slots"]]
    assert shown == [
        ("2026-10-03", "AM", "2026-10-02T22:00:00Z", "+10:00"),
        ("2026-10-04", "AM", "2026-10-03T21:00:00Z", "+11:00"),
    ]
    for day, offset in {3: "+10:00", 4: "+11:00"}.items():
        appointment = await booked(world, me, await world.service_order(me), f"october-{day}", "2026-10-01")
        assert (appointment["startTime"], appointment["timezoneOffset"]) == (shown[day - 3][2], offset)


async def test_the_first_minute_of_a_day_is_of_that_day_wherever_it_begins_first_and_last(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    for hours in (14, -12):
        at = datetime.fromisoformat(f"2026-11-25T00:00:00{hours:+03d}:00")
        await slot(world, f"first-{hours}", at)
        await slot(world, f"before-{hours}", at - timedelta(minutes=1))
    assert [one["id"] for one in (await offer(world, me, order_id, "2026-11-25"))["slots"]] == ["first-14", "first--12"]
    found = {one["id"]: one["date"] for one in (await offer(world, me, order_id, "2026-11-24"))["slots"]}
    assert found == {
        "before-14": "2026-11-24",
        "first-14": "2026-11-25",
        "before--12": "2026-11-24",
        "first--12": "2026-11-25",
    }


# a visit that has begun, and one that is over


@pytest.mark.parametrize("hours_ago", [0, 1, 26, 24 * 365])
async def test_a_visit_that_has_begun_and_still_stands_refuses_and_one_that_is_over_does_not(
    world: World, hours_ago: int
):
    me, operator = await world.connect_client(), await world.manage_client()
    for state in ("in_progress", "completed", "incomplete"):
        order_id = await world.service_order(me)
        visit = await world.appointment(order_id, timedelta(hours=30))
        assert (await get(world, me, f"{ORDERS}/{order_id}/cancellability")).json["cancellable"] is True
        world.clock.now += timedelta(hours=30 + hours_ago)
        assert (await cancel(world, me, {"orderId": order_id})).codes == ["appointment_within_notice"]
        path = f"{order_id}/appointments/{visit.id}/state"
        said = await manage(world, operator, "POST", path, {"state": state})
        assert (said.status_code, said.json()["state"]) == (200, state)
        shown = (await get(world, me, f"{ORDERS}/appointments/{visit.id}")).json
        assert (shown["status"], shown["cancelledOn"]) == (state, None)
        if state == "in_progress":
            assert (await cancel(world, me, {"orderId": order_id})).codes == ["appointment_within_notice"]
            for after in ("completed", "incomplete"):
                assert (await manage(world, operator, "POST", path, {"state": after})).status_code == (
                    200 if after == "completed" else 409
                )
        assert (await cancel(world, me, {"orderId": order_id})).status == 200
        (row,) = await world.rows("appointments", order_id)
        assert (row["state"], row["cancelled_at"]) == ("completed" if state == "in_progress" else state, None)


async def test_after_a_visit_that_came_to_nothing_another_can_be_booked(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    for name in ("first", "second"):
        await slot(world, name, NOON + timedelta(days=3))
    first = await booked(world, me, order_id, "first")
    path = f"{order_id}/appointments/{first['id']}/state"
    assert (await manage(world, operator, "POST", path, {"state": "incomplete"})).status_code == 200
    second = await booked(world, me, order_id, "second")
    assert [one["status"] for one in (await get(world, me, f"{ORDERS}/{order_id}")).json["appointments"]] == [
        "incomplete",
        "booked",
    ]
    assert second["id"] > first["id"]


# the point of no return


@pytest.mark.parametrize("hours", [0, 1, 48])
async def test_an_appointment_can_be_cancelled_until_the_operators_point_of_no_return(tmp_path: Path, hours: int):
    async with a_world(tmp_path, appointment_no_return_h=hours) as world:
        me = await world.connect_client()
        begins = NOON + timedelta(days=9)
        for before, expected in {A_MICROSECOND: 200, timedelta(): 422, -A_MICROSECOND: 422}.items():
            world.clock.now = NOON
            order_id = await world.service_order(me)
            appointment = await world.appointment(order_id, begins - NOON)
            world.clock.now = begins - timedelta(hours=hours) - before
            reply = await get(world, me, await asked(world, me, CALL_OFF, {"appointmentId": appointment.id}))
            assert (before, reply.status) == (before, expected)
            if expected == 422:
                until = f"{begins - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
                assert reply.codes == ["appointment_past_no_return"]
                assert reply.error["message"].endswith(until)
            (row,) = await world.rows("appointments", order_id)
            assert row["state"] == ("cancelled" if expected == 200 else "booked")


async def test_a_visit_that_has_begun_early_cannot_be_cancelled(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    visit = await world.appointment(order_id, timedelta(days=9))
    path = f"{order_id}/appointments/{visit.id}/state"
    assert (await manage(world, operator, "POST", path, {"state": "in_progress"})).status_code == 200
    reply = await get(world, me, await asked(world, me, CALL_OFF, {"appointmentId": visit.id}))
    assert (reply.status, reply.codes) == (422, ["appointment_past_no_return"])


# answers that are held back


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def slow(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    return await services_of_the_file.world(request.param, appointment_answers_after_s=30)


async def seen_after(world: World, caller: Caller, location: str, seconds: int) -> list[int]:
    """How it is answered until just before so many seconds from now, and then."""
    asked_at, statuses = world.clock.now, []
    for after in (timedelta(), timedelta(seconds=seconds) - A_MICROSECOND, timedelta(seconds=seconds)):
        world.clock.now = asked_at + after
        reply = await get(world, caller, location)
        if reply.status == 202:
            assert (reply.body, reply.headers["retry-after"]) == (b"", "1")
        statuses.append(reply.status)
    return statuses


async def test_an_answer_that_is_held_back_is_202_until_its_instant(slow: World):
    me = await slow.connect_client()
    order_id, other = await slow.service_order(me), await slow.service_order(me)
    await slot(slow, "one", NOON + timedelta(days=3))
    location = await asked(slow, me, ASK, {"orderId": order_id, "dateFrom": "2026-11-21"})
    assert await seen_after(slow, me, location, 30) == [202, 202, 200]
    offered = (await get(slow, me, location)).json["id"]
    others = await asked(slow, me, ASK, {"orderId": other, "dateFrom": "2026-11-21"})

    location = await asked(slow, me, BOOK, {"appointmentRequestId": offered, "slotId": "one"})
    assert await seen_after(slow, me, location, 30) == [202, 202, 200]
    appointment = (await get(slow, me, location)).json

    others = (await get(slow, me, others)).json["id"]
    taken = await asked(slow, me, BOOK, {"appointmentRequestId": others, "slotId": "one"})
    assert await seen_after(slow, me, taken, 30) == [202, 202, 422]

    location = await asked(slow, me, CALL_OFF, {"appointmentId": appointment["id"]})
    assert await seen_after(slow, me, location, 30) == [202, 202, 200]


async def test_slots_that_are_not_seen_yet_cannot_be_booked(slow: World):
    me = await slow.connect_client()
    order_id = await slow.service_order(me)
    await slot(slow, "one", NOON + timedelta(days=3))
    location = await asked(slow, me, ASK, {"orderId": order_id, "dateFrom": "2026-11-21"})
    wanted = {"appointmentRequestId": int(location.rpartition("/")[2]), "slotId": "one"}
    slow.clock.now += timedelta(seconds=30) - A_MICROSECOND
    before = await contents(slow)
    early = await post(slow, me, BOOK, wanted)
    assert (early.status, early.codes) == (422, ["appointment_request_pending"])
    assert await contents(slow) == before
    slow.clock.now += A_MICROSECOND
    assert (await post(slow, me, BOOK, wanted)).status == 201


async def test_a_request_withdrawn_before_its_answer_is_seen_is_gone_at_once_and_for_good(slow: World):
    me = await slow.connect_client()
    order_id = await slow.service_order(me)
    await slot(slow, "one", NOON + timedelta(days=3))
    location = await asked(slow, me, ASK, {"orderId": order_id, "dateFrom": "2026-11-21"})
    number = int(location.rpartition("/")[2])
    assert (await post(slow, me, WITHDRAW, {"appointmentRequestId": number})).status == 204
    for _ in range(2):
        reply = await get(slow, me, location)
        assert (reply.status, reply.codes) == (422, ["appointment_request_cancelled"])
        refused = await post(slow, me, BOOK, {"appointmentRequestId": number, "slotId": "one"})
        assert refused.codes == ["appointment_request_cancelled"]
        slow.clock.forward(seconds=30)

"""The operator's calendar over the management API: loaded as often as one likes, and read in pages."""

from typing import Any

import httpx
import pytest

from support.appointments import booked, offer
from support.connect_calls import cancel
from support.database_contents import changed, contents
from support.manage_calls import fields, problem
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

SLOTS = "/manage/v1/calendar/slots"
AM = {"id": "am", "starts_at": "2026-12-01T08:00:00+11:00", "ends_at": "2026-12-01T12:00:00+11:00", "capacity": 2}
PM = AM | {"id": "pm", "starts_at": "2026-12-01T13:00:00+11:00", "ends_at": "2026-12-01T17:00:00+11:00"}
SHOWN = {
    "id": "am",
    "area": "",
    "starts_at": "2026-11-30T21:00:00Z",
    "ends_at": "2026-12-01T01:00:00Z",
    "slot_type": "AM",
    "utc_offset_minutes": 660,
    "capacity": 2,
    "booked": 0,
}


async def load(world: World, operator: Caller, *slots: dict[str, Any], **headers: str) -> httpx.Response:
    sent = world.manage_headers(operator, **headers)
    return await world.http.put(SLOTS, json={"slots": list(slots)}, headers=sent)


async def read(world: World, operator: Caller, after: str | None = None) -> dict[str, Any]:
    parameters = {} if after is None else {"after": after}
    answer = await world.http.get(SLOTS, params=parameters, headers=world.manage_headers(operator))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_slots_are_added_changed_or_left_as_they_were_and_shown(world: World):
    operator = await world.manage_client()
    assert await read(world, operator) == {"slots": [], "next": None}
    assert (await load(world, operator, AM, PM)).json() == {"added": 2, "changed": 0, "as_they_were": 0}
    pm = SHOWN | {"id": "pm", "starts_at": "2026-12-01T02:00:00Z", "ends_at": "2026-12-01T06:00:00Z", "slot_type": "PM"}
    assert (await read(world, operator))["slots"] == [SHOWN, pm]
    third = AM | {"id": "third", "area": "LOC38", "slot_type": "PM"}
    again = await load(world, operator, third, PM | {"capacity": 5}, AM)
    assert (again.status_code, again.json()) == (200, {"added": 1, "changed": 1, "as_they_were": 1})
    assert (await read(world, operator))["slots"] == [
        SHOWN,
        SHOWN | {"id": "third", "area": "LOC38", "slot_type": "PM"},
        pm | {"capacity": 5},
    ]
    before = await contents(world)
    same = await load(world, operator, AM, PM | {"capacity": 5}, third)
    assert same.json() == {"added": 0, "changed": 0, "as_they_were": 3}
    assert not changed(before, await contents(world))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"starts_at": "2026-12-01T09:00:00+11:00"}, {"starts_at": "2026-11-30T22:00:00Z"}),
        ({"ends_at": "2026-12-01T11:00:00+11:00"}, {"ends_at": "2026-12-01T00:00:00Z"}),
        ({"area": "LOC380100009114"}, {"area": "LOC380100009114"}),
        ({"slot_type": "PM"}, {"slot_type": "PM"}),
        # The same instants in another place's time.
        (
            {"starts_at": "2026-11-30T21:00:00Z", "ends_at": "2026-12-01T01:00:00Z"},
            {"slot_type": "PM", "utc_offset_minutes": 0},
        ),
    ],
    ids=str,
)
async def test_a_slot_is_another_until_a_visit_stands_in_it_and_then_only_its_capacity_changes(
    world: World, change: dict[str, Any], shown: dict[str, Any]
):
    me, operator = await world.connect_client(), await world.manage_client()
    await load(world, operator, AM)
    assert (await load(world, operator, AM | change)).json()["changed"] == 1
    assert (await read(world, operator))["slots"] == [SHOWN | shown]
    await load(world, operator, AM)
    order_id = await world.service_order(me)
    await booked(world, me, order_id, "am")
    before = await contents(world)
    refused = await load(world, operator, PM, AM | change)
    assert problem(refused) == (409, "slot_booked")
    assert "am" in refused.json()["detail"]
    assert not changed(before, await contents(world))
    assert (await load(world, operator, AM | {"capacity": 3})).json()["changed"] == 1
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    assert (await load(world, operator, AM | change)).json()["changed"] == 1


async def test_a_capacity_below_what_is_booked_lets_nobody_else_in_and_sends_nobody_away(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    orders = [await world.service_order(me) for _ in range(3)]
    await load(world, operator, AM)
    for order_id in orders[:2]:
        await booked(world, me, order_id, "am")
    for capacity in (2, 1, 0):
        await load(world, operator, AM | {"capacity": capacity})
        (one,) = (await read(world, operator))["slots"]
        assert (one["capacity"], one["booked"]) == (capacity, 2)
        assert (await offer(world, me, orders[2]))["slots"] == []
    await load(world, operator, AM | {"capacity": 3})
    assert [one["id"] for one in (await offer(world, me, orders[2]))["slots"]] == ["am"]
    assert [row["state"] for row in await world.rows("appointments")] == ["booked", "booked"]


async def test_the_calendar_is_read_in_pages_of_a_hundred_by_start_and_id(world: World):
    operator = await world.manage_client()
    many = [AM | {"id": f"am-{number:03}"} for number in range(150)] + [PM | {"id": f"pm-{n:02}"} for n in range(50)]
    assert (await load(world, operator, *many[::-1])).json()["added"] == 200
    first = await read(world, operator)
    assert first["next"] == "2026-11-30T21:00:00.000000Z am-099"
    second = await read(world, operator, first["next"])
    assert second["next"] is None  # just a hundred, and no more behind them
    assert [one["id"] for one in first["slots"] + second["slots"]] == [one["id"] for one in many]


@pytest.mark.parametrize(
    "after",
    [
        "",
        "am",
        "2026-11-30T21:00:00Z",
        "2026-11-30T21:00:00Z ",
        "2026-11-30T21:00:00 am",
        "2026-11-30T21:00:00Z a m",
        "2026-11-30T21:00:00Z a\0",
        "2026-11-30T21:00:00Z " + "a" * 65,
        "0001-01-01T00:00:00+14:00 am",
        "9999-12-31T23:59:59-14:00 am",
        "never am",
    ],
)
async def test_a_page_that_nobody_gave_is_422_that_names_the_parameter(world: World, after: str):
    operator = await world.manage_client()
    answer = await world.http.get(SLOTS, params={"after": after}, headers=world.manage_headers(operator))
    assert fields(answer) == ["after"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "ends as it starts": ({"ends_at": AM["starts_at"]}, "slots[1]"),
    "ends before it starts": ({"ends_at": "2026-12-01T07:59:59+11:00"}, "slots[1]"),
    "no offset": ({"starts_at": "2026-12-01T08:00:00"}, "slots[1].starts_at"),
    "no time": ({"ends_at": "2026-12-01"}, "slots[1].ends_at"),
    "long ago": ({"starts_at": "1999-12-31T23:59:59Z"}, "slots[1].starts_at"),
    "far off": ({"ends_at": "2200-01-01T00:00:00Z"}, "slots[1].ends_at"),
    "the end of time": ({"ends_at": "9999-12-31T23:59:59-14:00"}, "slots[1].ends_at"),
    "the beginning of time": ({"starts_at": "0001-01-01T00:00:00+14:00"}, "slots[1].starts_at"),
    "further east than anybody": ({"starts_at": "2026-12-01T08:00:00+14:01"}, "slots[1]"),
    "further west than anybody": ({"starts_at": "2026-11-30T08:00:00-14:01"}, "slots[1]"),
    "below nothing": ({"capacity": -1}, "slots[1].capacity"),
    "beyond measure": ({"capacity": 100_001}, "slots[1].capacity"),
    "no area": ({"area": "Sydney"}, "slots[1].area"),
    "too long an area": ({"area": "LOC3801000091141"}, "slots[1].area"),
    "no half day": ({"slot_type": "am"}, "slots[1].slot_type"),
    "no id": ({"id": ""}, "slots[1].id"),
    "a space in the id": ({"id": "a m"}, "slots[1].id"),
    "a long id": ({"id": "a" * 65}, "slots[1].id"),
}


@pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD)
async def test_a_slot_that_does_not_hold_is_named_and_none_is_loaded(world: World, change: dict[str, Any], field: str):
    operator = await world.manage_client()
    assert fields(await load(world, operator, AM, PM | change)) == [field]
    assert await world.rows("slots") == []


GOOD: dict[str, dict[str, Any]] = {
    "ends just after it starts": {"ends_at": "2026-12-01T13:00:00.000001+11:00"},
    "the first of its time": {"starts_at": "2000-01-01T00:00:00Z"},
    "the last of its time": {"ends_at": "2199-12-31T23:59:59Z"},
    "far in the east": {"starts_at": "2026-12-01T08:00:00+14:00"},
    "far in the west": {"starts_at": "2026-11-30T08:00:00-14:00"},
    "for nobody": {"capacity": 0},
    "for everybody": {"capacity": 100_000},
    "one place": {"area": "LOC380100009114"},
    "every place": {"area": "LOC"},
    "any id": {"id": "!" + "~" * 63},
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
async def test_a_slot_just_within_the_limits_is_loaded(world: World, change: dict[str, Any]):
    operator = await world.manage_client()
    assert (await load(world, operator, AM, PM | change)).json()["added"] == 2
    assert len((await read(world, operator))["slots"]) == 2


async def test_everything_that_is_wrong_is_named_at_once_duplicates_too(world: World):
    operator = await world.manage_client()
    answer = await load(world, operator, AM, AM, PM | {"ends_at": "2026-12-01T12:00:00+11:00"})
    assert fields(answer) == ["slots[0].id", "slots[1].id", "slots[2]"]
    assert await world.rows("slots") == []


@pytest.mark.parametrize(("how_many", "status"), [(0, 422), (1, 200), (300, 200), (301, 422)])
async def test_between_one_and_three_hundred_slots_are_loaded_at_once(world: World, how_many: int, status: int):
    operator = await world.manage_client()
    answer = await load(world, operator, *(AM | {"id": f"{number}"} for number in range(how_many)))
    assert answer.status_code == status
    assert len(await world.rows("slots")) == (how_many if status == 200 else 0)


async def test_under_one_key_a_calendar_is_loaded_once_and_another_is_refused(world: World):
    operator = await world.manage_client()
    first = await load(world, operator, AM, Idempotency_Key="k")
    await load(world, operator, AM | {"capacity": 9})
    again = await load(world, operator, AM, Idempotency_Key="k")
    assert (again.status_code, again.json()) == (200, first.json())
    assert problem(await load(world, operator, PM, Idempotency_Key="k")) == (422, "idempotency_key_reused")
    assert [(row["id"], row["capacity"]) for row in await world.rows("slots")] == [("am", 9)]

"""Setting, moving and calling off a visit: the order's fact and its version follow each time."""

import asyncio
from datetime import datetime, timedelta

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.columns import instant
from support.database_contents import changed, contents
from support.manage_calls import VISIT, manage, problem
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

_LATER = {"starts_at": "2026-12-01T09:00:00+11:00", "ends_at": "2026-12-01T13:00:00+11:00"}


async def test_a_visit_is_set_moved_and_called_off_and_the_order_follows_each_time(world: World):
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    made = await manage(world, operator, "POST", f"{order_id}/appointments", VISIT)
    visit = made.json()
    assert (made.status_code, visit["state"], visit["starts_at"]) == (201, "booked", VISIT["starts_at"])
    assert await _fact(world, order_id) == (2, datetime.fromisoformat(VISIT["starts_at"]))
    path = f"{order_id}/appointments/{visit['id']}"
    moved = await manage(world, operator, "PUT", path, _LATER)
    assert (moved.status_code, moved.json()["starts_at"]) == (200, "2026-11-30T22:00:00Z")
    assert await _fact(world, order_id) == (3, datetime.fromisoformat(_LATER["starts_at"]))
    off = await manage(world, operator, "DELETE", path)
    assert (off.status_code, off.json()["state"]) == (200, "cancelled")
    assert off.json()["cancelled_at"] == "2026-11-21T12:00:00Z"
    assert await _fact(world, order_id) == (4, None)
    kinds = sorted((fact["order_version"], fact["kind"]) for fact in await world.rows("outbox", order_id))
    assert [kind for _, kind in kinds] == [
        "order.placed",
        "appointment.set",
        "appointment.moved",
        "appointment.cancelled",
    ]


async def test_an_order_has_one_active_visit_and_another_after_it_is_called_off(world: World):
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    first = (await manage(world, operator, "POST", f"{order_id}/appointments", VISIT)).json()
    before = await contents(world)
    second = await manage(world, operator, "POST", f"{order_id}/appointments", _LATER)
    assert problem(second) == (409, "has_appointment")
    assert str(first["id"]) in second.json()["detail"]
    assert not changed(before, await contents(world))
    await manage(world, operator, "DELETE", f"{order_id}/appointments/{first['id']}")
    assert (await manage(world, operator, "POST", f"{order_id}/appointments", _LATER)).status_code == 201
    assert sorted(row["state"] for row in await world.rows("appointments", order_id)) == ["booked", "cancelled"]


async def test_a_visit_that_is_called_off_cannot_be_moved_or_called_off_again(world: World):
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    visit = (await manage(world, operator, "POST", f"{order_id}/appointments", VISIT)).json()
    path = f"{order_id}/appointments/{visit['id']}"
    await manage(world, operator, "DELETE", path)
    before = await contents(world)
    assert problem(await manage(world, operator, "PUT", path, _LATER)) == (409, "appointment_over")
    assert problem(await manage(world, operator, "DELETE", path)) == (409, "appointment_over")
    assert not changed(before, await contents(world))


async def test_an_order_that_has_ended_takes_no_visit(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    for moves in [(Transition.ACCEPT, Transition.START, Transition.ACTIVATE), ()]:
        order_id = await world.service_order(me, moves=moves)
        if not moves:
            await world.cancel(me, order_id)
        before = await contents(world)
        answer = await manage(world, operator, "POST", f"{order_id}/appointments", VISIT)
        assert problem(answer) == (409, "order_ended")
        assert not changed(before, await contents(world))


async def test_a_visit_moved_into_the_notice_forbids_what_one_moved_out_of_it_allows(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    (visit,) = [row["id"] for row in await world.rows("appointments", order_id)]
    path = f"{order_id}/appointments/{visit}"
    await manage(world, operator, "PUT", path, _visit_in(timedelta(hours=26)))
    assert isinstance(await world.cancel(me, order_id), NotCancelled)
    await manage(world, operator, "PUT", path, _visit_in(timedelta(hours=26, microseconds=1)))
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    assert [row["state"] for row in await world.rows("appointments", order_id)] == ["cancelled"]


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_a_visit_and_a_cancellation_at_once_leave_no_active_visit_on_a_cancelled_order(
    world: World,
    cancel_first: bool,  # noqa: FBT001
):
    operator, me = await world.manage_client(), await world.connect_client()
    for hours in (5, 30):
        for _ in range(3):
            order_id = await world.service_order(me)
            body = _visit_in(timedelta(hours=hours))
            calls = [world.cancel(me, order_id), manage(world, operator, "POST", f"{order_id}/appointments", body)]
            await asyncio.gather(*(calls if cancel_first else reversed(calls)))
            (row,) = await world.rows("orders", order_id)
            visits = [visit["state"] for visit in await world.rows("appointments", order_id)]
            assert (row["state"], row["appointment_starts_at"] is None, visits) in [
                ("cancelled", True, []),
                ("cancelled", True, ["cancelled"]),
                ("submitted", False, ["booked"]),
            ]


async def test_ten_visits_at_once_are_one(world: World):
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    calls = (manage(world, operator, "POST", f"{order_id}/appointments", VISIT) for _ in range(10))
    assert sorted(answer.status_code for answer in await asyncio.gather(*calls)) == [201] + [409] * 9
    assert len(await world.rows("appointments", order_id)) == 1
    assert (await _fact(world, order_id))[0] == 2


def _visit_in(starts_in: timedelta) -> dict[str, str]:
    starts_at = NOON + starts_in
    return {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}


async def _fact(world: World, order_id: int) -> tuple[int, datetime | None]:
    """The order's version, and its fact about the visit."""
    (row,) = await world.rows("orders", order_id)
    starts_at = row["appointment_starts_at"]
    return row["version"], None if starts_at is None else instant(starts_at)

"""Where the operator's own system answers: clients wait until it does, and nothing is done before."""

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.domain.orders.order_state import Transition
from countermand.storage.repositories import desk_lists
from support.appointments import ASK, BOOK, CALL_OFF, ORDERS, WITHDRAW, asked, get, post
from support.connect_calls import cancel
from support.shared_world import Services, shared_world
from support.world import Caller, World

world = shared_world

SLOT = {"id": "s1", "starts_at": "2026-12-01T08:00:00+11:00", "ends_at": "2026-12-01T12:00:00+11:00"}


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def remote(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    return await services_of_the_file.world(request.param, appointments="remote")


async def test_slots_a_booking_and_its_cancellation_wait_for_the_operators_answers(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)

    location = await asked(remote, me, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"})
    await is_pending(remote, me, location)
    (task,) = await tasks(remote, operator)
    assert (task["kind"], task["order_id"], task["from_date"]) == ("offer_slots", f"connect-{order_id}", "2026-12-01")
    assert (await answer(remote, operator, task, {"slots": [SLOT]})).json()["state"] == "done"
    offered = (await get(remote, me, location)).json
    assert [(one["id"], one["slotType"], one["timezoneOffset"]) for one in offered["slots"]] == [("s1", "AM", "+11:00")]

    location = await asked(remote, me, BOOK, {"appointmentRequestId": offered["id"], "slotId": "s1"})
    await is_pending(remote, me, location)
    assert await remote.rows("appointments") == []
    (task,) = await tasks(remote, operator)
    assert (task["kind"], task["slot_id"], task["starts_at"]) == ("book", "s1", "2026-11-30T21:00:00Z")
    assert (await answer(remote, operator, task, {"accepted": {"remote_id": "APT300000000007"}})).status_code == 200
    appointment = (await get(remote, me, location)).json
    assert (appointment["status"], appointment["nbnAppointmentId"]) == ("booked", "APT300000000007")

    location = await asked(remote, me, CALL_OFF, {"appointmentId": appointment["id"]})
    await is_pending(remote, me, location)
    assert (await get(remote, me, f"{ORDERS}/appointments/{appointment['id']}")).json == appointment
    (task,) = await tasks(remote, operator)
    assert (task["kind"], task["appointment_id"]) == ("cancel", appointment["id"])
    assert (await answer(remote, operator, task, {"accepted": {}})).status_code == 200
    assert (await get(remote, me, location)).json["appointmentId"] == appointment["id"]
    assert (await get(remote, me, f"{ORDERS}/appointments/{appointment['id']}")).json["status"] == "cancelled"
    assert await tasks(remote, operator) == []


@pytest.mark.parametrize("asked_for", ["slots", "a booking", "a cancellation"])
async def test_the_operators_no_reaches_the_client_in_the_operators_words(remote: World, asked_for: str):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    location = await ask(remote, me, operator, order_id, asked_for)
    before = await remote.rows("appointments")
    (task,) = await tasks(remote, operator)
    said = {"code": "no_technician", "message": "nobody can come"}
    assert (await answer(remote, operator, task, {"refused": said})).json()["state"] == "failed"
    reply = await get(remote, me, location)
    assert (reply.status, reply.json) == (422, {"errors": [said | {"field": None}]})
    assert await remote.rows("appointments") == before


@pytest.mark.parametrize("asked_for", ["slots", "a booking", "a cancellation"])
async def test_once_the_order_is_cancelled_nothing_that_was_asked_comes_true(remote: World, asked_for: str):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    location = await ask(remote, me, operator, order_id, asked_for)
    (task,) = await tasks(remote, operator)
    assert (await cancel(remote, me, {"orderId": order_id})).status == 200
    reply = await get(remote, me, location)
    assert (reply.status, reply.codes) == (422, ["order_ended"])
    assert await tasks(remote, operator) == []
    before = await remote.rows("appointments")
    late = await answer(remote, operator, task, {"slots": [SLOT]} if asked_for == "slots" else {"accepted": {}})
    assert (late.json()["state"], late.json()["failure"]["code"]) == ("failed", "order_ended")
    assert await remote.rows("appointments") == before
    assert [row["state"] for row in before] == (["cancelled"] if asked_for == "a cancellation" else [])


async def test_an_answer_counts_once(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    await ask(remote, me, operator, order_id, "a booking")
    (task,) = await tasks(remote, operator)
    assert (await answer(remote, operator, task, {"accepted": {}})).status_code == 200
    again = await answer(remote, operator, task, {"refused": {"code": "no", "message": "no"}})
    assert (again.status_code, again.json()["code"]) == (409, "already_answered")
    assert len(await remote.rows("appointments")) == 1


async def test_a_booking_that_the_operator_accepts_after_agreeing_another_visit_fails(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    location = await ask(remote, me, operator, order_id, "a booking")
    times = {"starts_at": "2026-12-02T00:00:00Z", "ends_at": "2026-12-02T04:00:00Z"}
    path = f"/manage/v1/orders/connect-{order_id}/appointments"
    agreed = await remote.http.post(path, json=times, headers=remote.manage_headers(operator))
    assert agreed.status_code == 201
    (task,) = await tasks(remote, operator)
    assert (await answer(remote, operator, task, {"accepted": {}})).json()["failure"]["code"] == "has_appointment"
    assert (await get(remote, me, location)).codes == ["has_appointment"]
    assert [row["id"] for row in await remote.rows("appointments")] == [agreed.json()["id"]]


async def test_a_request_that_the_client_withdrew_takes_no_answer(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    await ask(remote, me, operator, order_id, "slots")
    (task,) = await tasks(remote, operator)
    assert (await post(remote, me, WITHDRAW, {"appointmentRequestId": task["id"]})).status == 204
    assert await tasks(remote, operator) == []
    assert (await answer(remote, operator, task, {"slots": [SLOT]})).json()["code"] == "already_answered"


async def test_only_one_booking_and_one_cancellation_of_an_order_wait_at_a_time(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    first, second = await remote.service_order(me), await remote.service_order(me)
    await ask(remote, me, operator, first, "a booking")
    (task,) = await tasks(remote, operator)
    offers = [row["id"] for row in await remote.rows("appointment_tasks", first) if row["kind"] == "offer_slots"]
    again = await post(remote, me, BOOK, {"appointmentRequestId": offers[0], "slotId": "s1"})
    assert (again.status, again.codes) == (422, ["booking_under_way"])
    await answer(remote, operator, task, {"refused": {"code": "no", "message": "no"}})

    await ask(remote, me, operator, second, "a cancellation")
    (appointment,) = await remote.rows("appointments", second)
    again = await post(remote, me, CALL_OFF, {"appointmentId": appointment["id"]})
    assert (again.status, again.codes) == (422, ["cancellation_under_way"])


@pytest.mark.parametrize(
    ("asked_for", "wrong"),
    [
        ("slots", {"accepted": {}}),
        ("a booking", {"slots": [SLOT]}),
        ("a cancellation", {"slots": []}),
        ("slots", {}),
        ("slots", {"slots": [], "accepted": {}}),
        ("slots", {"slots": [SLOT | {"ends_at": SLOT["starts_at"]}]}),
        ("slots", {"slots": [SLOT | {"starts_at": "2026-12-01T08:00:00"}]}),
        ("slots", {"refused": {"code": "No!", "message": "no"}}),
    ],
)
async def test_an_answer_to_another_question_is_422_and_changes_nothing(
    remote: World, asked_for: str, wrong: dict[str, Any]
):
    me, operator = await remote.connect_client(), await remote.manage_client()
    await ask(remote, me, operator, await remote.service_order(me), asked_for)
    (task,) = await tasks(remote, operator)
    before = await remote.rows("appointment_tasks")
    reply = await answer(remote, operator, task, wrong)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_field")
    assert await remote.rows("appointment_tasks") == before


async def test_once_the_service_runs_a_visit_that_stands_can_still_be_called_off_and_no_other_is_agreed(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me, moves=(Transition.ACCEPT, Transition.START))
    await ask(remote, me, operator, order_id, "a cancellation")
    (cancellation,) = await tasks(remote, operator)
    location = await asked(remote, me, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"})
    await remote.advance(order_id, Transition.ACTIVATE)

    gone = await get(remote, me, location)
    assert (gone.status, gone.codes) == (422, ["order_ended"])
    assert await tasks(remote, operator) == [cancellation]
    slots_wanted = next(row for row in await remote.rows("appointment_tasks") if location.endswith(f"/{row['id']}"))
    late = await answer(remote, operator, slots_wanted | {"order_id": f"connect-{order_id}"}, {"slots": [SLOT]})
    assert (late.json()["state"], late.json()["failure"]["code"]) == ("failed", "order_ended")

    path = f"{ORDERS}/appointment-cancellations/requests/{cancellation['id']}"
    await is_pending(remote, me, path)
    assert (await answer(remote, operator, cancellation, {"accepted": {}})).json()["state"] == "done"
    assert (await get(remote, me, path)).status == 200
    assert [row["state"] for row in await remote.rows("appointments", order_id)] == ["cancelled"]


async def test_slots_offered_twice_under_one_id_are_no_answer(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    await ask(remote, me, operator, await remote.service_order(me), "slots")
    (task,) = await tasks(remote, operator)
    other = SLOT | {"starts_at": "2026-12-01T09:00:00+11:00"}
    reply = await answer(remote, operator, task, {"slots": [SLOT, other]})
    assert [error["field"] for error in reply.json()["errors"]] == ["slots[0].id", "slots[1].id"]
    assert await tasks(remote, operator) == [task]


async def test_tasks_are_listed_a_hundred_at_a_time_by_number(remote: World):
    me, operator = await remote.connect_client(), await remote.manage_client()
    order_id = await remote.service_order(me)
    for _ in range(101):
        await asked(remote, me, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"})
    first = await tasks(remote, operator)
    assert [task["id"] for task in first] == list(range(1, 101))
    assert [task["id"] for task in await tasks(remote, operator, "?after=100")] == [101]
    assert await tasks(remote, operator, "?after=101") == []
    for after in ("-1", "x", "1.0", "", str(2**63)):
        refused = await remote.http.get(
            "/manage/v1/appointment-tasks", params={"after": after}, headers=remote.manage_headers(operator)
        )
        assert (after, refused.status_code, refused.json()["errors"][0]["field"]) == (after, 422, "after")


async def test_tasks_are_selected_by_client_and_time_and_a_page_looks_at_a_limited_number(
    remote: World, monkeypatch: pytest.MonkeyPatch
):
    me, other = await remote.connect_client(), await remote.connect_client("another")
    operator = await remote.manage_client()
    mine, others = await remote.service_order(me), await remote.service_order(other)
    for number in range(1, 9):  # a minute each
        remote.clock.forward(minutes=1)
        caller, order_id = (other, others) if number in {2, 8} else (me, mine)
        await asked(remote, caller, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"})
    third = (await tasks(remote, operator))[2]["asked_at"]
    queries = {
        f"?client={other.client.id}": [2, 8],
        f"?client={operator.client.id}": [],
        f"?from={third}": [3, 4, 5, 6, 7, 8],
        f"?until={third}": [1, 2],
        f"?client={other.client.id}&from={third}&until=2199-01-01T00:00:00Z": [8],
        f"?client={other.client.id}&after=2": [8],
        f"?client={other.client.id}&after=8": [],
    }
    for query, ids in queries.items():
        assert [task["id"] for task in await tasks(remote, operator, query)] == ids, query
    monkeypatch.setattr(desk_lists, "LOOKED_AT", 3)
    for query, ids in queries.items():
        lines = await remote.http.get(
            f"/manage/v1/appointment-tasks{query}",
            headers={**remote.manage_headers(operator), "Accept": "application/x-ndjson"},
        )
        assert [json.loads(line)["id"] for line in lines.text.splitlines()] == ids, query
    short = await remote.http.get(
        f"/manage/v1/appointment-tasks?client={other.client.id}", headers=remote.manage_headers(operator)
    )
    assert ([task["id"] for task in short.json()["tasks"]], short.json()["next"]) == ([2], "3")


@pytest.mark.parametrize(
    "query", ["client=0x1", "client=x", "from=soon", "until=2026-11-21", "contract=connect", "code=x"]
)
async def test_a_wrong_filter_of_tasks_is_named(remote: World, query: str):
    operator = await remote.manage_client()
    refused = await remote.http.get(f"/manage/v1/appointment-tasks?{query}", headers=remote.manage_headers(operator))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, query.partition("=")[0])


async def ask(world: World, me: Caller, operator: Caller, order_id: Any, what: str) -> str:
    """Ask for something that then waits for the operator; gives the address of its result."""
    location = await asked(world, me, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"})
    if what == "slots":
        return location
    (task,) = await tasks(world, operator)
    await answer(world, operator, task, {"slots": [SLOT]})
    location = await asked(world, me, BOOK, {"appointmentRequestId": task["id"], "slotId": "s1"})
    if what == "a booking":
        return location
    (task,) = await tasks(world, operator)
    await answer(world, operator, task, {"accepted": {}})
    appointment = (await get(world, me, location)).json
    return await asked(world, me, CALL_OFF, {"appointmentId": appointment["id"]})


async def is_pending(world: World, me: Caller, location: str) -> None:
    reply = await get(world, me, location)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (202, b"", "1")


async def tasks(world: World, operator: Caller, query: str = "") -> list[dict[str, Any]]:
    reply = await world.http.get("/manage/v1/appointment-tasks" + query, headers=world.manage_headers(operator))
    assert reply.status_code == 200, reply.text
    return list(reply.json()["tasks"])


async def answer(world: World, operator: Caller, task: dict[str, Any], said: dict[str, Any]) -> httpx.Response:
    path = f"/manage/v1/orders/{task['order_id']}/appointment-tasks/{task['id']}/answer"
    return await world.http.post(path, json=said, headers=world.manage_headers(operator))

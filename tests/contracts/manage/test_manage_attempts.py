"""Attempts and events that are sent again, over the operator's API: what is listed, what is sent, and what is not."""

import csv
import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from sqlalchemy import delete, insert

from countermand.actions.delivering.sending import AttemptError
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.delivering import delivery_attempts
from support.database_contents import changed, contents
from support.deliveries import send_due
from support.endpoint_calls import an_endpoint, call, said
from support.manage_calls import fields, problem
from support.outside_world import ADDRESS, failure
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world


async def test_attempts_are_listed_newest_first_a_page_at_a_time_and_by_each_filter(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    one, other = [(await an_endpoint(world, operator))["id"] for _ in range(2)]
    world.outside.answers = [failure(AttemptError.STATUS, 500, b"no")]
    orders = []
    for _ in range(5):
        orders.append(await world.service_order(partner))
        await send_due(world, one)
    await world.cancel(partner, orders[0])
    world.clock.forward(seconds=10)
    world.outside.answers = [replace(failure(AttemptError.STATUS, 500), aborts=True)]
    again, cancelled = await send_due(world, one)
    assert len(await send_due(world, other)) == 6

    async def numbers(query: str) -> list[int]:
        answer = await call(world, operator, "GET", f"/{one}/attempts{query}")
        assert answer.status_code == 200, answer.text
        return [attempt["number"] for attempt in answer.json()["attempts"]]

    assert await numbers("") == [7, 6, 5, 4, 3, 2, 1]
    assert await numbers(f"?order=connect-{orders[0]}") == [7, 6, 1]
    assert await numbers(f"?order=shopping-{orders[0]}") == []
    assert await numbers("?kind=order.cancelled") == [7]
    assert await numbers("?outcome=failed") == [1]
    assert await numbers("?outcome=given_up") == [6]
    assert await numbers(f"?event={again.event_id}") == [6, 1]
    assert await numbers(f"?event={again.event_id}&outcome=failed") == [1]
    assert await numbers(f"?event={cancelled.event_id}") == [7]
    assert await numbers("?kind=endpoint.test") == []
    pages, before = [], ""
    while True:
        page = (await call(world, operator, "GET", f"/{one}/attempts?limit=4{before}")).json()
        pages.append([attempt["number"] for attempt in page["attempts"]])
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert pages == [[7, 6, 5, 4], [3, 2, 1]]
    exact = (await call(world, operator, "GET", f"/{one}/attempts?limit=7")).json()
    assert (len(exact["attempts"]), exact["next"]) == (7, None)
    assert exact["attempts"][1] == {
        "number": 6,
        "endpoint": one,
        "event": again.event_id,
        "kind": "order.placed",
        "order": f"connect-{orders[0]}",
        "version": 1,
        "attempt": 2,
        "at": "2026-11-21T12:00:10Z",
        "duration_ms": 12,
        "address": ADDRESS,
        "status": 500,
        "error": "status",
        "detail": "it failed: status",
        "answer": "",
        "outcome": "given_up",
    }


async def test_attempts_are_streamed_as_csv_and_as_json_lines_whatever_receivers_answer(world: World):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.outside.answers = [failure(AttemptError.STATUS, 500, b"=1+1\r\n,\xff")]
    await world.service_order(await world.connect_client())
    await send_due(world, endpoint)
    (attempt,) = await world.rows("delivery_attempts")
    more = [attempt | {"number": number} for number in range(2, 1101)]  # to send so many takes long
    async with world.database.store.transaction() as tx:
        await tx.run(insert(delivery_attempts).values(more))
    path = f"/{endpoint}/attempts?kind=order.placed"
    lines = await call(world, operator, "GET", path, Accept="application/x-ndjson")
    found = [json.loads(line) for line in lines.text.splitlines()]
    assert [one["number"] for one in found] == list(range(1100, 0, -1))
    as_csv = await call(world, operator, "GET", path, Accept="text/csv")
    rows = list(csv.DictReader(StringIO(as_csv.text, newline="")))
    assert [int(row["number"]) for row in rows] == list(range(1100, 0, -1))
    assert rows[-1]["answer"] == "'=1+1\r\n,\\xff"
    assert rows[0].keys() == found[0].keys()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("order=54", ["order"]),
        ("kind=order.eaten", ["kind"]),
        ("outcome=late", ["outcome"]),
        ("event=a.b", ["event"]),
        ("before=0", ["before"]),
        ("before=x", ["before"]),
        ("limit=0", ["limit"]),
        ("limit=1001", ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("state=failed", ["state"]),
        ("order=%00&kind=%00&event=%00", ["order", "kind", "event"]),
    ],
)
async def test_a_wrong_filter_is_refused_by_name(world: World, query: str, named: list[str]):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    assert fields(await call(world, operator, "GET", f"/{endpoint['id']}/attempts?{query}")) == named


async def test_events_are_sent_again_by_id_or_by_position_under_the_same_ids(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    for _ in range(3):
        await world.service_order(partner)
        await send_due(world, endpoint)
    first, second, third = [one.event_id for one in world.outside.sent]
    again: list[tuple[dict[str, str], list[str]]] = [
        ({"event": third}, [third]),
        ({"event": first}, [first]),
        ({"failed_since": NOON.isoformat()}, []),
        ({"after": "1-0"}, [first, second, third]),
        ({"after": "1-2"}, [third]),
        ({"after": "1-3"}, []),
    ]
    for body, expected in again:
        answer = await call(world, operator, "POST", f"/{endpoint}/redeliver", body)
        assert (answer.status_code, answer.json()) == (202, {"events": len(expected)}), body
        world.clock.forward(seconds=1)  # several are sent again at a limited rate
        assert sorted(one.event_id for one in await send_due(world, endpoint)) == sorted(expected), body


async def test_events_that_failed_in_some_time_are_sent_again_before_their_next_attempt_is_due(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.outside.answers = [failure(AttemptError.CONNECT)] * 2
    for _ in range(3):
        await world.service_order(partner)
        await send_due(world, endpoint)
    failed = [one.event_id for one in world.outside.sent[:2]]
    world.clock.forward(seconds=1)
    assert await send_due(world, endpoint) == []
    path, until = f"/{endpoint}/redeliver", (NOON + timedelta(seconds=1)).isoformat()
    none = await call(world, operator, "POST", path, {"failed_since": until})
    assert (none.status_code, none.json()) == (202, {"events": 0})
    assert await send_due(world, endpoint) == []
    answer = await call(world, operator, "POST", path, {"failed_since": NOON.isoformat(), "failed_until": until})
    assert (answer.status_code, answer.json()) == (202, {"events": 2})
    world.clock.forward(seconds=1)
    assert sorted(one.event_id for one in await send_due(world, endpoint)) == sorted(failed)
    assert (await call(world, operator, "POST", path, {"failed_since": NOON.isoformat()})).json() == {"events": 0}


@pytest.mark.parametrize("by_id", [True, False])
async def test_an_event_that_waits_for_its_next_attempt_is_sent_at_once_and_no_other(world: World, by_id: bool):  # noqa: FBT001
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.outside.answers = [failure(AttemptError.CONNECT)] * 2
    for _ in range(2):
        await world.service_order(partner)
        await send_due(world, endpoint)
    _, second = [one.event_id for one in world.outside.sent]
    world.clock.forward(seconds=1)
    assert await send_due(world, endpoint) == []
    body = {"event": second} if by_id else {"after": "1-1"}
    answer = await call(world, operator, "POST", f"/{endpoint}/redeliver", body)
    assert (answer.status_code, answer.json()) == (202, {"events": 1})
    assert [one.event_id for one in await send_due(world, endpoint)] == [second]


async def test_a_position_that_leads_nowhere_sends_nothing_and_names_the_next(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    old, new = [await world.service_order(partner) for _ in range(2)]
    await send_due(world, endpoint)
    assert (await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "1-2"})).json() == {"events": 0}
    gone = await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "2-1"})
    assert problem(gone) == (410, "feed_of_other_generation")
    assert gone.json()["next"] == "1-0"
    assert "nothing was sent" in gone.json()["detail"]
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == old))
    before = await contents(world)
    gone = await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "1-0"})
    assert problem(gone) == (410, "feed_events_deleted")
    assert gone.json()["next"] == "1-1"
    assert "nothing was sent" in gone.json()["detail"]
    assert not changed(before, await contents(world))
    rest = await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": gone.json()["next"]})
    assert rest.json() == {"events": 1}
    assert [one.event_id.split("_")[1] for one in await send_due(world, endpoint)] == [f"connect-{new}"]


async def test_what_was_deleted_further_on_does_not_keep_the_rest_from_being_sent(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    first, gone, last = [await world.service_order(partner) for _ in range(3)]
    await send_due(world, endpoint)
    assert (await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "1-3"})).json() == {"events": 0}
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == gone))
    answer = await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "1-0"})
    assert (answer.status_code, answer.json()) == (202, {"events": 2})
    world.clock.forward(seconds=1)
    sent = [one.event_id.split("_")[1] for one in await send_due(world, endpoint)]
    assert sorted(sent) == [f"connect-{first}", f"connect-{last}"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["event", "failed_since", "after"]),
        ({"event": "evt_1", "after": "1-5"}, ["event", "after"]),
        ({"event": "evt_1", "failed_until": "2026-11-21T12:00:00Z"}, ["failed_until"]),
        ({"failed_until": "2026-11-21T12:00:00Z"}, ["event", "failed_since", "after"]),
        ({"failed_since": "2026-11-21T12:00:00Z", "failed_until": "2026-11-21T12:00:00Z"}, ["failed_until"]),
        ({"event": "evt_of_another"}, ["event"]),
        ({"event": "evt_connect-99_1_order_placed_0011aabb"}, ["event"]),
        ({"event": "evt_ep_0123456789abcdef_1_endpoint_paused_0011aabb"}, ["event"]),
        ({"event": "a.b"}, ["event"]),
        ({"event": ""}, ["event"]),
        ({"after": "yesterday"}, ["after"]),
        ({"after": ""}, ["after"]),
    ],
)
async def test_what_names_no_events_or_names_them_twice_sends_nothing(world: World, body: Any, named: list[str]):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    await world.service_order(await world.connect_client())
    await send_due(world, endpoint)
    before = await contents(world)
    answer = await call(world, operator, "POST", f"/{endpoint}/redeliver", body)
    assert fields(answer) == named
    assert all("nothing was sent" in one["message"] for one in answer.json()["errors"]), answer.text
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("since", ["2026-11-21T12:00:00", "1026-11-21T12:00:00Z", "yesterday"])
async def test_an_instant_of_the_wrong_form_is_refused_by_field(world: World, since: str):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    assert fields(await call(world, operator, "POST", f"/{endpoint}/redeliver", {"failed_since": since})) == [
        "failed_since"
    ]


async def test_an_event_that_an_endpoint_does_not_hear_of_is_not_sent_to_it(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    everything = (await an_endpoint(world, operator))["id"]
    deaf = (await an_endpoint(world, operator, kinds=["order.cancelled"]))["id"]
    await world.service_order(partner)
    (placed,) = await send_due(world, everything)
    answer = await call(world, operator, "POST", f"/{deaf}/redeliver", {"event": placed.event_id})
    assert said(answer) == {"event": f"the endpoint hears of no event '{placed.event_id}'; nothing was sent"}
    assert (await call(world, operator, "POST", f"/{deaf}/redeliver", {"after": "1-0"})).json() == {"events": 0}
    assert await send_due(world, deaf) == []
    others = placed.event_id.replace("connect-", "shopping-"), placed.event_id.replace("_1_", "_01_")
    for event in others:  # the number alone could be that of another contract's order
        answer = await call(world, operator, "POST", f"/{everything}/redeliver", {"event": event})
        assert said(answer).keys() == {"event"}
    assert await send_due(world, everything) == []

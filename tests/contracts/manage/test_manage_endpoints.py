"""Endpoints over the operator's API: what an operator sees, what is refused with which words, and what stays hidden."""

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest

from countermand.actions.delivering.sending import AttemptError
from countermand.domain.client import Permission
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS
from support.database_contents import changed, contents
from support.manage_calls import fields, problem
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

ENDPOINTS = "/manage/v1/endpoints"
URL = "https://receiver.example/events"
NOBODYS = f"ep_{'0' * 16}"


async def call(
    world: World, operator: Caller, method: str, path: str = "", body: Any = None, **headers: str
) -> httpx.Response:
    sent = world.manage_headers(operator, **headers)
    return await world.http.request(method, f"{ENDPOINTS}{path}", headers=sent, json=body)


async def an_endpoint(world: World, operator: Caller, **given: Any) -> dict[str, Any]:
    added = await call(world, operator, "POST", "", {"url": URL, **given})
    assert added.status_code == 201, added.text
    return added.json()


def said(answer: httpx.Response) -> dict[str, str]:
    assert problem(answer) == (422, "invalid_field")
    return {one["field"]: one["message"] for one in answer.json()["errors"]}


async def test_an_endpoint_is_added_and_its_secret_is_shown_then_and_never_again(world: World):
    operator = await world.manage_client()
    added = await call(world, operator, "POST", "", {"url": URL})
    assert added.status_code == 201
    new = added.json()
    assert new.pop("secret").startswith("whsec_")
    assert new.pop("public_key") is None
    health = {
        "failures": 0,
        "last_success_at": None,
        "first_failure_at": None,
        "failing_since": None,
        "probed": False,
        "next_attempt_at": None,
    }
    assert new == {
        "id": new["id"],
        "url": URL,
        "dialect": "standard",
        "kinds": None,
        "thin": False,
        "structured": False,
        "asymmetric": False,
        "created_at": "2026-11-21T12:00:00Z",
        "state": "active",
        "paused_at": None,
        "paused_because": None,
        "previous_secret_until": None,
        "health": health,
        "contract": None,
        "client": None,
        "owner": None,
    }
    listed = await call(world, operator, "GET")
    shown = await call(world, operator, "GET", f"/{new['id']}")
    assert listed.json() == {"endpoints": [new]}
    backlog = {"undelivered": 2, "oldest_at": "2026-11-21T12:00:00Z", "given_up": 1}
    assert shown.json() == new | {"backlog": backlog}
    others = [await call(world, operator, "POST", f"/{new['id']}/{what}") for what in ("pause", "resume", "test")]
    for answer in (listed, shown, *others):
        assert answer.status_code == 200
        assert added.json()["secret"] not in answer.text
        assert "encrypted" not in answer.text


async def test_an_endpoint_hears_of_what_its_subscription_names(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    wanted = {
        "dialect": "cloudevents",
        "kinds": ["order.placed", "order.cancelled"],
        "contract": "connect",
        "client": partner.client.id,
        "thin": True,
        "structured": True,
        "asymmetric": True,
    }
    added = await an_endpoint(world, operator, **wanted)
    assert {name: added[name] for name in wanted} == wanted | {"kinds": ["order.cancelled", "order.placed"]}
    assert added["public_key"].startswith("whpk_")
    implied = await an_endpoint(world, operator, dialect="connect")
    assert (implied["contract"], implied["kinds"]) == ("connect", None)
    assert (await an_endpoint(world, operator))["id"] not in {added["id"], implied["id"]}, "one address, two endpoints"


async def test_a_wrong_subscription_is_refused_by_field_and_value_and_nothing_is_added(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    wrong: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"dialect": "morse"}, {"dialect": 'dialect must be one of cloudevents, connect, standard, not "morse"'}),
        ({"contract": "museum"}, {"contract": 'contract must be one of connect, shopping, not "museum"'}),
        (
            {"dialect": "connect", "contract": "shopping"},
            {"contract": 'contract must be connect or left out, not "shopping"'},
        ),
        (
            {"kinds": ["order.eaten"]},
            {"kinds": 'refund.failed, endpoint.failing, endpoint.paused, endpoint.resumed; "'},
        ),
        ({"kinds": ["order.eaten", "x"]}, {"kinds": '"order.eaten" and "x" is none of them'}),
        ({"kinds": ["endpoint.test"]}, {"kinds": '"endpoint.test" is none of them'}),
        ({"dialect": "connect", "kinds": ["payment.late", "order.cancelled"]}, {"kinds": "not payment.late"}),
        ({"dialect": "connect", "thin": True}, {"thin": "the dialect connect always shows the order"}),
        ({"structured": True}, {"structured": "the dialect standard has one form"}),
        ({"client": 999}, {"client": "there is no client 999"}),
        ({"client": operator.client.id}, {"client": "is of manage and places no orders"}),
        ({"client": shop.client.id, "contract": "connect"}, {"client": "must be the id of a client of connect"}),
        ({"client": shop.client.id, "dialect": "connect"}, {"client": "must be the id of a client of connect"}),
        ({"kinds": ["endpoint.failing"], "contract": "connect"}, {"kinds": "leave contract and client out"}),
        ({"dialect": "morse", "contract": "museum", "client": 999}, {"dialect": "", "contract": "", "client": ""}),
        ({"url": "http://receiver.example"}, {"url": "url must begin with https"}),
    ]
    for given, expected in wrong:
        told = said(await call(world, operator, "POST", "", {"url": URL, **given}))
        assert told.keys() == expected.keys(), given
        assert all(part in told[field] for field, part in expected.items()), told
    assert (await call(world, operator, "GET")).json() == {"endpoints": []}
    assert (await an_endpoint(world, operator, kinds=["endpoint.failing"]))["kinds"] == ["endpoint.failing"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["url"]),
        ({"url": None}, ["url"]),
        ({"url": ""}, ["url"]),
        ({"url": "https://" + "x" * 2000}, ["url"]),
        ({"url": URL, "kinds": []}, ["kinds"]),
        ({"url": URL, "kinds": ["order.placed", {}]}, ["kinds"]),
        ({"url": URL, "kinds": "order.placed"}, ["kinds"]),
        ({"url": URL, "contract": "Connect"}, ["contract"]),
        ({"url": URL, "client": 0}, ["client"]),
        ({"url": URL, "client": 2**31}, ["client"]),
        ({"url": URL, "thin": "perhaps"}, ["thin"]),
    ],
)
async def test_a_body_of_the_wrong_form_is_refused_by_field(world: World, body: Any, named: list[str]):
    operator = await world.manage_client()
    assert fields(await call(world, operator, "POST", "", body)) == named
    assert not world.endpoints.known


async def test_an_answer_with_a_secret_is_not_stored_so_a_key_is_refused(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    before = await contents(world)
    for path, body in (("", {"url": URL}), (f"/{endpoint['id']}/rotate", {})):
        answer = await call(world, operator, "POST", path, body, Idempotency_Key="k")
        assert said(answer).keys() == {"Idempotency-Key"}
    assert len(world.endpoints.known) == 1
    assert not changed(before, await contents(world))


async def test_a_paused_endpoint_stays_paused_until_it_is_resumed(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    for _ in range(2):
        paused = (await call(world, operator, "POST", f"/{endpoint['id']}/pause")).json()
        world.clock.forward(minutes=1)
        assert (paused["state"], paused["paused_at"]) == ("paused", "2026-11-21T12:00:00Z")
        assert paused["paused_because"]
    resumed = (await call(world, operator, "POST", f"/{endpoint['id']}/resume")).json()
    assert (resumed["state"], resumed["paused_at"], resumed["paused_because"]) == ("active", None, None)


async def test_a_rotation_has_an_overlap_of_a_day_or_as_asked_and_no_second_one_inside_it(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    path = f"/{endpoint['id']}/rotate"
    rotated = await call(world, operator, "POST", path)
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != endpoint["secret"]
    assert rotated.json()["previous_secret_until"] == "2026-11-22T12:00:00Z"
    world.clock.forward(hours=23, minutes=59)
    assert problem(await call(world, operator, "POST", path, {"overlap_h": 1})) == (409, "overlap_running")
    revoked = (await call(world, operator, "POST", path, {"revoke_old_now": True})).json()
    assert revoked["previous_secret_until"] is None
    assert revoked["secret"] not in {rotated.json()["secret"], endpoint["secret"]}
    longest = (await call(world, operator, "POST", path, {"overlap_h": 168})).json()
    assert longest["previous_secret_until"] == "2026-11-29T11:59:00Z"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"overlap_h": -1}, ["overlap_h"]),
        ({"overlap_h": 169}, ["overlap_h"]),
        ({"overlap_h": 1.5}, ["overlap_h"]),
        ({"overlap_h": 1, "revoke_old_now": True}, ["overlap_h"]),
        ({"revoke_old_now": 2}, ["revoke_old_now"]),
    ],
)
async def test_a_wrong_overlap_is_refused_and_the_secret_stays(world: World, body: Any, named: list[str]):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    before = dict(world.endpoints.known)
    assert fields(await call(world, operator, "POST", f"/{endpoint['id']}/rotate", body)) == named
    assert world.endpoints.known == before


async def test_a_test_answers_with_the_attempt_whether_it_failed_or_not(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    world.endpoints.answers = [(AttemptError.STATUS, 500, b"caf\xc3\xa9 \xff\x00"), (AttemptError.TIMEOUT, None, b"")]
    failed, slow, good = [(await call(world, operator, "POST", f"/{endpoint['id']}/test")).json() for _ in range(3)]
    assert (failed["status"], failed["error"], failed["outcome"]) == (500, "status", "failed")
    assert failed["answer"] == "café \\xff\x00"
    assert failed["address"] == "203.0.113.9"
    assert (slow["status"], slow["error"], slow["answer"]) == (None, "timeout", "")
    assert (good["status"], good["error"], good["outcome"], good["duration_ms"]) == (204, None, "delivered", 12)
    assert (good["kind"], good["order"], good["endpoint"]) == ("endpoint.test", None, endpoint["id"])


async def test_attempts_are_listed_newest_first_a_page_at_a_time_and_by_each_filter(world: World):
    operator = await world.manage_client()
    one, other = [(await an_endpoint(world, operator))["id"] for _ in range(2)]
    world.endpoints.answers = [(AttemptError.STATUS, 500, b"no")]
    for number in range(5):
        world.endpoints.attempt(one, f"evt_{number}", "order.placed", f"connect-{number + 1}")
    world.endpoints.attempt(one, "evt_0", "order.cancelled", "connect-1", outcome="given_up")
    world.endpoints.attempt(other, "evt_other", "order.placed", "connect-1")

    async def numbers(query: str) -> list[int]:
        answer = await call(world, operator, "GET", f"/{one}/attempts{query}")
        assert answer.status_code == 200, answer.text
        return [attempt["number"] for attempt in answer.json()["attempts"]]

    assert await numbers("") == [6, 5, 4, 3, 2, 1]
    assert await numbers("?order=connect-1") == [6, 1]
    assert await numbers("?kind=order.cancelled") == [6]
    assert await numbers("?outcome=failed") == [1]
    assert await numbers("?outcome=given_up") == [6]
    assert await numbers("?event=evt_0") == [6, 1]
    assert await numbers("?event=evt_0&outcome=failed") == [1]
    assert await numbers("?kind=endpoint.test") == []
    pages, before = [], ""
    while True:
        page = (await call(world, operator, "GET", f"/{one}/attempts?limit=4{before}")).json()
        pages.append([attempt["number"] for attempt in page["attempts"]])
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert pages == [[6, 5, 4, 3], [2, 1]]
    exact = (await call(world, operator, "GET", f"/{one}/attempts?limit=6")).json()
    assert (len(exact["attempts"]), exact["next"]) == (6, None)


async def test_attempts_are_streamed_as_csv_and_as_json_lines_whatever_receivers_answer(world: World):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.endpoints.answers = [(AttemptError.STATUS, 500, b"=1+1\r\n,\xff")]
    for number in range(1100):
        world.endpoints.attempt(endpoint, f"evt_{number}", "order.placed", "connect-1")
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


async def test_events_are_sent_again_by_id_by_time_or_by_position(world: World):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.endpoints.answers = [(AttemptError.CONNECT, None, b"")] * 2
    for number in range(3):
        world.endpoints.attempt(endpoint, f"evt_{number}", "order.placed", "connect-1")
    world.clock.forward(minutes=1)
    again = [
        ({"event": "evt_2"}, 1),
        ({"failed_since": NOON.isoformat()}, 2),
        ({"failed_since": (NOON - timedelta(hours=1)).isoformat(), "failed_until": NOON.isoformat()}, 0),
        ({"after": "1-5"}, 3),
    ]
    for body, count in again:
        answer = await call(world, operator, "POST", f"/{endpoint}/redeliver", body)
        assert (answer.status_code, answer.json()) == (202, {"events": count}), body
    gone = await call(world, operator, "POST", f"/{endpoint}/redeliver", {"after": "2-1"})
    assert problem(gone) == (410, "feed_of_other_generation")
    assert gone.json()["next"] == "1-5"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["event", "failed_since", "after"]),
        ({"event": "evt_1", "after": "1-5"}, ["event", "after"]),
        ({"event": "evt_1", "failed_until": "2026-11-21T12:00:00Z"}, ["failed_until"]),
        ({"failed_until": "2026-11-21T12:00:00Z"}, ["event", "failed_since", "after"]),
        ({"failed_since": "2026-11-21T12:00:00"}, ["failed_since"]),
        ({"failed_since": "1026-11-21T12:00:00Z"}, ["failed_since"]),
        ({"failed_since": "2026-11-21T12:00:00Z", "failed_until": "2026-11-21T12:00:00Z"}, ["failed_until"]),
        ({"event": "evt_of_another"}, ["event"]),
        ({"event": "a.b"}, ["event"]),
        ({"event": ""}, ["event"]),
        ({"after": "yesterday"}, ["after"]),
    ],
)
async def test_what_names_no_events_or_names_them_twice_sends_nothing(world: World, body: Any, named: list[str]):
    operator = await world.manage_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    world.endpoints.attempt(endpoint, "evt_1", "order.placed", "connect-1")
    assert fields(await call(world, operator, "POST", f"/{endpoint}/redeliver", body)) == named


async def test_a_removed_endpoint_is_no_longer_there_and_no_other_is_touched(world: World):
    operator = await world.manage_client()
    gone, other = [(await an_endpoint(world, operator))["id"] for _ in range(2)]
    removed = await call(world, operator, "DELETE", f"/{gone}")
    assert (removed.status_code, removed.content) == (204, b"")
    assert [one["id"] for one in (await call(world, operator, "GET")).json()["endpoints"]] == [other]
    for name in (gone, NOBODYS, "ep_1", "ep_%00", f"{other}%0A"):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/attempts"),
            *(("POST", f"/{what}") for what in ("pause", "resume", "rotate", "test")),
        ):
            assert problem(await call(world, operator, method, f"/{name}{path}")) == (404, "not_found"), (method, path)
        answer = await call(world, operator, "POST", f"/{name}/redeliver", {"event": "evt_1"})
        assert problem(answer) == (404, "not_found")
    assert (await call(world, operator, "GET", f"/{other}")).status_code == 200


async def test_only_the_permission_for_endpoints_lets_somebody_manage_them(world: World):
    able = await world.manage_client(permissions=frozenset({Permission.ENDPOINTS}))
    unable = await world.manage_client(permissions=frozenset(Permission) - {Permission.ENDPOINTS})
    assert problem(await call(world, unable, "POST", "", {"url": URL})) == (403, "forbidden")
    assert not world.endpoints.known
    assert (await call(world, able, "POST", "", {"url": URL})).status_code == 201


async def test_every_kind_that_an_order_event_has_can_be_wanted(world: World):
    operator = await world.manage_client()
    assert (await an_endpoint(world, operator, kinds=list(SUBSCRIBABLE_KINDS)))["kinds"] == sorted(SUBSCRIBABLE_KINDS)

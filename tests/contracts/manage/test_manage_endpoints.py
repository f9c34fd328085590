"""Endpoints over the operator's API: what an operator sees, what is refused with which words, and what stays hidden."""

from dataclasses import replace
from typing import Any

import pytest

from countermand.actions.delivering.sending import AttemptError
from countermand.domain.client import Permission
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS
from support.database_contents import changed, contents
from support.deliveries import send_due
from support.endpoint_calls import URL, an_endpoint, call, said
from support.manage_calls import fields, problem
from support.outside_world import ADDRESS, failure
from support.shared_world import shared_world
from support.world import World

world = shared_world

NOBODYS = f"ep_{'0' * 16}"


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
        "permitted": True,
    }
    listed = await call(world, operator, "GET")
    shown = await call(world, operator, "GET", f"/{new['id']}")
    assert listed.json() == {"endpoints": [new]}
    backlog = {"undelivered": 0, "oldest_at": None, "given_up": 0}
    assert shown.json() == new | {"backlog": backlog}
    others = [await call(world, operator, "POST", f"/{new['id']}/{what}") for what in ("pause", "resume", "test")]
    (stored,) = await world.rows("endpoints")
    assert world.outside.box.decrypt(stored["secret"]).decode() == added.json()["secret"]
    for answer in (listed, shown, *others):
        assert answer.status_code == 200
        assert added.json()["secret"] not in answer.text
        assert stored["secret"].decode() not in answer.text


async def test_an_endpoint_shows_what_waits_for_it_and_how_the_last_attempts_went(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    endpoint = (await an_endpoint(world, operator))["id"]
    for _ in range(2):
        await world.service_order(partner)
    world.outside.answers = [replace(failure(AttemptError.STATUS, 500), aborts=True), failure(AttemptError.CONNECT)]
    assert len(await send_due(world, endpoint)) == 2
    shown = (await call(world, operator, "GET", f"/{endpoint}")).json()
    assert shown["backlog"] == {"undelivered": 1, "oldest_at": "2026-11-21T12:00:00Z", "given_up": 1}
    health = shown["health"]
    assert (health["failures"], health["first_failure_at"]) == (2, "2026-11-21T12:00:00Z")
    assert (health["last_success_at"], health["failing_since"], health["probed"]) == (None, None, False)
    resumed = (await call(world, operator, "POST", f"/{endpoint}/resume")).json()
    assert resumed["health"]["failures"] == 0
    world.clock.forward(minutes=1)
    assert len(await send_due(world, endpoint)) == 2, "also what was given up"
    shown = (await call(world, operator, "GET", f"/{endpoint}")).json()
    assert shown["backlog"] == {"undelivered": 0, "oldest_at": None, "given_up": 0}
    assert shown["health"]["last_success_at"] == "2026-11-21T12:01:00Z"


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
    assert await world.rows("endpoints") == []


async def test_an_answer_with_a_secret_is_not_stored_so_a_key_is_refused(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    before = await contents(world)
    for path, body in (("", {"url": URL}), (f"/{endpoint['id']}/rotate", {})):
        answer = await call(world, operator, "POST", path, body, Idempotency_Key="k")
        assert said(answer).keys() == {"Idempotency-Key"}
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
    before = await contents(world)
    assert fields(await call(world, operator, "POST", f"/{endpoint['id']}/rotate", body)) == named
    assert not changed(before, await contents(world))


async def test_a_test_answers_with_the_attempt_whether_it_failed_or_not(world: World):
    operator = await world.manage_client()
    endpoint = await an_endpoint(world, operator)
    answered = failure(AttemptError.STATUS, 500, b"caf\xc3\xa9 \xff\x00")
    world.outside.answers = [answered, failure(AttemptError.TIMEOUT)]
    failed, slow, good = [(await call(world, operator, "POST", f"/{endpoint['id']}/test")).json() for _ in range(3)]
    assert (failed["status"], failed["error"], failed["outcome"]) == (500, "status", "failed")
    assert failed["answer"] == "café \\xff\x00"
    assert failed["address"] == ADDRESS
    assert (slow["status"], slow["error"], slow["answer"]) == (None, "timeout", "")
    assert (good["status"], good["error"], good["outcome"], good["duration_ms"]) == (204, None, "delivered", 12)
    assert (good["kind"], good["order"], good["endpoint"]) == ("endpoint.test", None, endpoint["id"])
    assert [one.event_id for one in world.outside.sent] == [failed["event"], slow["event"], good["event"]]
    assert len({failed["event"], slow["event"], good["event"]}) == 3
    assert {one.endpoint.url for one in world.outside.sent} == {URL}
    listed = (await call(world, operator, "GET", f"/{endpoint['id']}/attempts")).json()["attempts"]
    assert listed == [good, slow, failed]
    health = (await call(world, operator, "GET", f"/{endpoint['id']}")).json()["health"]
    assert (health["failures"], health["last_success_at"]) == (0, None), "a test is no delivery"


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
    assert await world.rows("endpoints") == []
    assert (await call(world, able, "POST", "", {"url": URL})).status_code == 201


async def test_every_kind_that_an_order_event_has_can_be_wanted(world: World):
    operator = await world.manage_client()
    assert (await an_endpoint(world, operator, kinds=list(SUBSCRIBABLE_KINDS)))["kinds"] == sorted(SUBSCRIBABLE_KINDS)

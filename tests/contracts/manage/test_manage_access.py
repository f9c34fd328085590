"""Who may call the management API, and what does it say about what it cannot read?"""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from countermand.domain.client import Permission
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.staff import Role
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, ROOT, VISIT, fields, manage, problem
from support.shared_world import shared_sqlite_world, shared_world
from support.world import EVERYTHING, World

world = shared_world
sqlite_world = shared_sqlite_world

# Every call: method, path below the order, a body that would work, the permission it needs.
CALLS: dict[str, tuple[str, str, Any, Permission]] = {
    "read": ("GET", "", None, Permission.READ),
    "explain": ("GET", "/cancellability", None, Permission.READ),
    "cancel": ("POST", "/cancel", {"reason": "asked by phone"}, Permission.CANCEL),
    "pay": ("POST", "/payments", PAYMENT, Permission.RECORD),
    "set": ("POST", "/appointments", VISIT, Permission.RECORD),
    "move": ("PUT", "/appointments/1", VISIT, Permission.RECORD),
    "call off": ("DELETE", "/appointments/1", None, Permission.RECORD),
    "advance": ("POST", "/moves", {"move": "accept"}, Permission.RECORD),
}
_CHANGES = [name for name, (method, *_) in CALLS.items() if method != "GET"]
_WITH_BODY = [name for name, (_, _, body, _) in CALLS.items() if body is not None]


async def test_every_call_needs_a_token_of_this_door_that_counts(world: World):
    order_id = await _an_order_with_a_visit(world)
    operator, shop = await world.manage_client(), await world.shopping_client()
    partner, gone = await world.connect_client("another"), await world.manage_client()
    await world.database.clients.revoke(gone.client.id, world.clock())
    credentials = {
        "nothing": None,
        "no scheme": f"{operator.key}.{operator.secret}",
        "another scheme": f"Basic {operator.key}.{operator.secret}",
        "no token": "Bearer ",
        "no secret": f"Bearer {operator.key}",
        "an empty secret": f"Bearer {operator.key}.",
        "another secret": f"Bearer {operator.key}.{operator.secret}x",
        "an unknown key": f"Bearer nobody.{operator.secret}",
        "no ASCII": f"Bearer {operator.key}.{operator.secret}é".encode(),
        "a shop's": f"Bearer {shop.key}.{shop.secret}",
        "a partner's": f"Bearer {world.token(partner)}",
        "a revoked operator's": f"Bearer {gone.key}.{gone.secret}",
    }
    without_a_token = {"nothing", "no scheme", "another scheme", "no token"}
    before = await contents(world)
    for method, path, body, _ in CALLS.values():
        told = {}
        for what, value in credentials.items():
            headers = {} if value is None else {"Authorization": value}
            answer = await world.http.request(method, f"{ROOT}/connect-{order_id}{path}", headers=headers, json=body)
            told[what] = (*problem(answer), answer.headers["www-authenticate"].partition(",")[0])
        expected = {
            what: (401, "unauthorized", "Bearer" if what in without_a_token else 'Bearer error="invalid_token"')
            for what in credentials
        }
        assert told == expected
    assert not changed(before, await contents(world))


async def test_every_call_needs_its_own_permission_and_no_other(world: World):
    order_id = await _an_order_with_a_visit(world)
    before = await contents(world)
    for method, path, body, permission in CALLS.values():
        enough = {permission, Permission.MONEY} if "payments" in path else {permission}
        operator = await world.manage_client(permissions=EVERYTHING - enough)
        answer = await manage(world, operator, method, f"{order_id}{path}", body)
        assert problem(answer) == (403, "forbidden")
        assert permission in answer.json()["detail"]
    assert changed(before, await contents(world)) == {"clients"}
    for name in ["read", "explain", "set", "advance", "pay", "cancel"]:
        method, path, body, permission = CALLS[name]
        other = await world.service_order(await world.connect_client(name))
        operator = await world.manage_client(permissions=frozenset({permission}))
        assert (await manage(world, operator, method, f"{other}{path}", body)).status_code < 300, name


async def test_no_call_knows_an_order_that_is_not_there(world: World):
    order_id, operator = await _an_order_with_a_visit(world), await world.manage_client()
    before = await contents(world)
    strange = ["0" * 32, "x" * 32, "٣", "%00", "abc", "1%2F2", "-1", "1.0"]
    strange += [f"connect-{n}" for n in ("0", order_id + 1, "-1", "01", "9" * 19, "9" * 20, "abc")]
    for method, path, body, _ in CALLS.values():
        told = {order: problem(await manage(world, operator, method, f"{order}{path}", body)) for order in strange}
        assert told == dict.fromkeys(strange, (404, "not_found"))
    assert not changed(before, await contents(world))


async def test_no_call_takes_a_bare_number_for_an_order_and_each_names_the_order_that_has_it(world: World):
    order_id, operator = await _an_order_with_a_visit(world), await world.manage_client()
    before = await contents(world)
    for method, path, body, _ in CALLS.values():
        for digits, named in (
            (str(order_id), f"may be connect-{order_id};"),
            (f"00{order_id}", f"may be connect-{order_id};"),
            *((digits, "no order has this number") for digits in (str(order_id + 1), "0", "000", "9" * 19)),
        ):
            sent = world.manage_headers(operator)
            answer = await world.http.request(method, f"{ROOT}/{digits}{path}", headers=sent, json=body)
            assert fields(answer) == ["id"]
            assert (digits in answer.json()["detail"], named in answer.json()["errors"][0]["message"]) == (True, True)
        for digits in ("9" * 23, "9" * 300):  # an error shows the first digits
            sent = world.manage_headers(operator)
            answer = await world.http.request(method, f"{ROOT}/{digits}{path}", headers=sent, json=body)
            assert fields(answer) == ["id"]
            assert "no order has this number" in answer.json()["detail"]
            assert len(answer.json()["detail"]) < 200
    assert not changed(before, await contents(world))


async def test_no_call_knows_an_appointment_that_is_not_there_or_is_anothers(world: World):
    order_id, operator = await _an_order_with_a_visit(world), await world.manage_client()
    other = await world.service_order(await world.connect_client("another"), appointment_in=timedelta(hours=40))
    (foreign,) = [row["id"] for row in await world.rows("appointments", other)]
    before = await contents(world)
    (own,) = [row["id"] for row in await world.rows("appointments", order_id)]
    strange = [str(foreign), f"0{own}", "0", "99", "-1", "9" * 19, "9" * 25, "x", "%00"]
    for name in ["move", "call off"]:
        method, _, body, _ = CALLS[name]
        told = {
            visit: problem(await manage(world, operator, method, f"{order_id}/appointments/{visit}", body))
            for visit in strange
        }
        assert told == dict.fromkeys(strange, (404, "not_found"))
    assert not changed(before, await contents(world))


_WRONG: dict[str, list[tuple[Any, list[str]]]] = {
    "cancel": [
        ({}, ["reason"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": " \n"}, ["reason"]),
        ({"reason": None}, ["reason"]),
        ({"reason": "r" * 2001}, ["reason"]),
    ],
    "pay": [
        ({}, ["reference", "amount", "currency"]),
        ({"reference": "", "amount": "x", "currency": "eur"}, ["reference", "amount", "currency"]),
        ({"reference": "r" * 256, "amount": None, "currency": "EURO"}, ["reference", "amount", "currency"]),
        (PAYMENT | {"amount": "25.00"}, ["amount"]),
        (PAYMENT | {"amount": "1E+999999"}, ["amount"]),
        (PAYMENT | {"amount": "NaN"}, ["amount"]),
        (PAYMENT | {"amount": -0.01}, ["amount"]),
        (PAYMENT | {"amount": 0.001}, ["amount"]),
        (PAYMENT | {"amount": 10**13 + 1}, ["amount"]),
        (PAYMENT | {"currency": "JPY"}, ["amount"]),
    ],
    "set": [
        ({}, ["starts_at", "ends_at"]),
        ({"starts_at": "soon", "ends_at": 1}, ["starts_at", "ends_at"]),
        (VISIT | {"starts_at": "2026-11-23T01:00:00"}, ["starts_at"]),
        (VISIT | {"starts_at": "1999-12-31T23:59:59Z"}, ["starts_at"]),
        (VISIT | {"ends_at": "2200-01-01T00:00:00Z"}, ["ends_at"]),
        (VISIT | {"ends_at": VISIT["starts_at"]}, ["ends_at"]),
        (VISIT | {"ends_at": "2026-11-23T00:59:59.999999Z"}, ["ends_at"]),
        (VISIT | {"ends_at": "2026-11-23T02:00:00+01:00"}, ["ends_at"]),
    ],
    "advance": [
        ({}, ["move"]),
        ({"move": "cancel"}, ["move"]),
        ({"move": "Accept"}, ["move"]),
        ({"move": 1}, ["move"]),
    ],
}
_WRONG["move"] = _WRONG["set"]


@pytest.mark.parametrize("name", _WITH_BODY)
async def test_fields_that_do_not_hold_are_all_named_and_nothing_is_done(sqlite_world: World, name: str):
    order_id, operator = await _an_order_with_a_visit(sqlite_world), await sqlite_world.manage_client()
    method, path, _, _ = CALLS[name]
    before = await contents(sqlite_world)
    for body, expected in _WRONG[name]:
        answer = await manage(sqlite_world, operator, method, f"{order_id}{path}", body)
        assert fields(answer) == expected, body
    assert not changed(before, await contents(sqlite_world))


@pytest.mark.parametrize("name", _WITH_BODY)
async def test_a_body_that_cannot_be_read_is_400_413_or_415_and_nothing_is_done(sqlite_world: World, name: str):
    order_id, operator = await _an_order_with_a_visit(sqlite_world), await sqlite_world.manage_client()
    method, path, _, _ = CALLS[name]
    before = await contents(sqlite_world)

    async def send(body: bytes, **headers: str) -> httpx.Response:
        sent = sqlite_world.manage_headers(operator, **headers)
        return await sqlite_world.http.request(method, f"{ROOT}/connect-{order_id}{path}", headers=sent, content=body)

    for body in [b"", b"{", b'{"a": 1, "a": 2}', b"[" * 60_000, b'"\\ud800"', b"\xff", b"{'reason': 'r'}"]:
        assert problem(await send(body)) == (400, "bad_request"), body[:20]
    for body in [b"[]", b"null", b"3"]:
        assert problem(await send(body)) == (422, "invalid_field")
    assert problem(await send(b" " * (64 * 1024 + 1))) == (413, "payload_too_large")
    assert problem(await send(b"{}", Content_Type="text/plain")) == (415, "unsupported_media_type")
    assert not changed(before, await contents(sqlite_world))


@pytest.mark.parametrize("name", _CHANGES)
async def test_a_key_that_is_none_is_400_and_nothing_is_done(sqlite_world: World, name: str):
    order_id, operator = await _an_order_with_a_visit(sqlite_world), await sqlite_world.manage_client()
    method, path, body, _ = CALLS[name]
    before = await contents(sqlite_world)
    for key in ["", "a b", '"a', "k" * 256, "é"]:
        answer = await sqlite_world.http.request(
            method,
            f"{ROOT}/connect-{order_id}{path}",
            headers=sqlite_world.manage_headers(operator) | {"Idempotency-Key": key.encode()},
            json=body,
        )
        assert problem(answer) == (400, "bad_request"), key
    assert not changed(before, await contents(sqlite_world))


async def test_a_method_that_a_path_has_not_is_405_with_those_it_has(world: World):
    operator = await world.manage_client()
    told = {
        path: (await manage(world, operator, "PATCH", f"1{path}", {})).headers.get("allow")
        for path in ["", "/cancellability", "/cancel", "/payments", "/appointments", "/appointments/1", "/moves"]
    }
    assert told == {
        "": "GET",
        "/cancellability": "GET",
        "/cancel": "POST",
        "/payments": "POST",
        "/appointments": "POST",
        "/appointments/1": "DELETE, PUT",
        "/moves": "POST",
    }
    assert problem(await manage(world, operator, "PATCH", "1/moves", {})) == (405, "method_not_allowed")
    assert problem(await manage(world, operator, "GET", "1/nothing/there")) == (404, "not_found")


async def test_every_call_refuses_a_parameter_that_it_does_not_have_and_does_nothing(world: World):
    operator = await world.manage_client()
    await world.person("kim", Role.VIEWER, client=operator)
    order_id = await world.service_order(await world.connect_client())
    named = {"id": f"connect-{order_id}", "appointment": 1, "task": 1, "client": operator.client.id, "staff": "kim"}
    named |= {"reference": "psp-1", "approval": "0" * 32, "endpoint": f"ep_{'0' * 16}"}
    document = (await world.http.get("/docs/manage/openapi.json")).json()
    before = await contents(world)
    for template, methods in document["paths"].items():
        path = template.format(**named, key="k")
        for method, described in methods.items():
            known = [one["name"] for one in described["parameters"] if one["in"] == "query"]
            answer = await world.http.request(
                method, f"{path}?limt=1&limt=2", headers=world.manage_headers(operator), content=b"{}"
            )
            assert fields(answer) == ["limt"], described["operationId"]
            assert all(name in answer.json()["detail"] for name in known)
    assert not changed(before, await contents(world))


async def test_a_call_whose_answer_has_a_secret_refuses_an_idempotency_key_and_stores_none(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    await world.person("kim", Role.VIEWER, client=operator)
    endpoint = await world.endpoints.add("https://receiver.example", Subscription(), None)
    calls: dict[str, dict[str, Any]] = {
        "/clients": {"contract": "shopping", "name": "Shop"},
        f"/clients/{shop.client.id}/rotate": {},
        "/staff/kim/tokens": {},
        "/endpoints": {"url": "https://receiver.example"},
        f"/endpoints/{endpoint.endpoint.id}/rotate": {},
    }
    paths = (await world.http.get("/docs/manage/openapi.json")).json()["paths"]
    of_secrets = [path for path, methods in paths.items() if "has a secret" in str(methods.get("post"))]
    assert len(of_secrets) == len(calls)
    before = await contents(world)
    for path, body in calls.items():
        headers = world.manage_headers(operator, Idempotency_Key="k")
        answer = await world.http.post(f"/manage/v1{path}", json=body, headers=headers)
        assert fields(answer) == ["Idempotency-Key"], path
    assert not changed(before, await contents(world))
    for path, body in calls.items():
        answer = await world.http.post(f"/manage/v1{path}", json=body, headers=world.manage_headers(operator))
        assert answer.is_success, answer.text
    assert await world.rows("idempotency_keys") == []


async def _an_order_with_a_visit(world: World) -> int:
    """Appointment 1 is its own."""
    return await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=48))

"""What every call of the connect contract has in common: who may call, in which version, with what kind of body."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from countermand.bootstrap.api_modules import connect_of
from countermand.contracts.connect.routes import CANCEL
from countermand.contracts.http.openapi import Operation
from countermand.domain.client import Permission
from countermand.settings import Settings
from support.appointments import booked, get, slot
from support.connect_calls import SERVICE_ORDER, SIX_HEADERS, Reply, send
from support.database_contents import contents
from support.shared_world import shared_both_worlds, shared_world
from support.world import EVERYTHING, Caller, World

world = shared_world
both_worlds = shared_both_worlds

OPERATIONS: dict[str, Operation] = {call.operation.name: call.operation for call in connect_of(Settings()).calls()} | {
    CANCEL.name: CANCEL
}
# What each takes, and which fields of it must be there. The order, its appointment and the task have the number 1.
BODIES: dict[str, dict[str, Any]] = {
    "cancelOrder": {"orderId": 1},
    "createOrder": SERVICE_ORDER,
    "requestAppointmentSlots": {"orderId": 1, "dateFrom": "2026-11-22"},
    "cancelAppointmentRequest": {"appointmentRequestId": 1},
    "bookAppointment": {"appointmentRequestId": 1, "slotId": "one"},
    "cancelAppointment": {"appointmentId": 1},
}
WITH_BODY = [pytest.param(operation, id=name) for name, operation in OPERATIONS.items() if operation.method == "POST"]
EVERY = [pytest.param(operation, id=name) for name, operation in OPERATIONS.items()]
WITH_ID = [pytest.param(operation, id=name) for name, operation in OPERATIONS.items() if "{id}" in operation.path]
PERMISSIONS = {"GET": Permission.READ, "POST": Permission.CREATE}


async def call(
    world: World,
    caller: Caller,
    operation: Operation,
    headers: Mapping[str, str | None] | None = None,
    body: bytes | None = None,
    *,
    method: str | None = None,
    number: str = "1",
) -> Reply:
    wanted: dict[str, str | None] = {**world.connect_headers(caller), **(headers or {})}
    content = json.dumps(BODIES.get(operation.name, {})).encode() if body is None else body
    lines = [(name, value) for name, value in wanted.items() if value is not None]
    return await send(world, method or operation.method, operation.path.replace("{id}", number), lines, content)


async def with_an_order(world: World, caller: Caller) -> None:
    """Order, offer and appointment, each of the number 1, with no place left in the slot."""
    await slot(world, "one", datetime.fromisoformat("2026-11-28T08:00:00+11:00"))
    await booked(world, caller, await world.service_order(caller), "one")


def test_there_is_a_body_for_every_call_that_takes_one():
    assert set(BODIES) == {name for name, operation in OPERATIONS.items() if operation.request is not None}
    assert set(BODIES) == {name for name, operation in OPERATIONS.items() if operation.method == "POST"}


@pytest.mark.parametrize("operation", EVERY)
async def test_without_a_valid_token_it_is_401(both_worlds: World, operation: Operation):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for token in (None, "", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {world.token('nobody')}"):
        reply = await call(world, me, operation, {"Authorization": token})
        assert (reply.status, reply.codes) == (401, ["unauthorized"])
        is_token = (token or "").startswith("Bearer ")
        assert reply.headers["www-authenticate"].startswith('Bearer error="invalid_token"' if is_token else "Bearer")
        assert ("error" in reply.headers["www-authenticate"]) is is_token
    assert await contents(world) == before


@pytest.mark.parametrize("operation", EVERY)
async def test_without_one_of_the_eight_versions_it_is_400(both_worlds: World, operation: Operation):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for version in (None, "", "0", "9", "07", "7.0", "x"):
        reply = await call(world, me, operation, {"X-API-VERSION": version})
        assert (version, reply.status, reply.codes) == (version, 400, ["bad_request"])
        assert "1 to 8" in reply.error["message"]
    assert await contents(world) == before


@pytest.mark.parametrize("operation", EVERY)
async def test_without_the_permission_it_is_the_404_of_what_is_not_there(both_worlds: World, operation: Operation):
    world = both_worlds
    wanted = Permission.CANCEL if operation is CANCEL else PERMISSIONS[operation.method]
    me = await world.connect_client()
    await with_an_order(world, me)
    without = await world.connect_client("without", permissions=EVERYTHING - {wanted})
    unknown = await get(world, me, "/api/connect/orders/999999")
    assert unknown.status == 404
    before = await contents(world)
    assert await call(world, without, operation) == unknown
    assert await contents(world) == before
    # Which version is spoken is asked before.
    assert (await call(world, without, operation, {"X-API-VERSION": "9"})).status == 400


@pytest.mark.parametrize("operation", EVERY)
async def test_another_method_is_405_that_names_those_there_are(both_worlds: World, operation: Operation):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    allowed = {other.method for other in OPERATIONS.values() if other.path == operation.path}
    before = await contents(world)
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} - allowed:
        reply = await call(world, me, operation, method=method)
        if method == "OPTIONS" and operation is not CANCEL:
            continue  # answered by the framework: which methods there are
        assert (method, reply.status, reply.codes) == (method, 405, ["method_not_allowed"])
        assert set(reply.headers["allow"].split(", ")) == allowed
    assert await contents(world) == before


@pytest.mark.parametrize("operation", WITH_BODY)
async def test_a_body_that_is_not_said_to_be_json_is_415_before_anybody_is_asked_who_calls(
    both_worlds: World, operation: Operation
):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for media_type in ("text/plain", "application/xml", "application/json;charset=latin-1", "application/jsonx"):
        for token in ({}, {"Authorization": "Bearer x"}):
            reply = await call(world, me, operation, {"Content-Type": media_type, **token})
            assert (media_type, reply.status, reply.codes) == (media_type, 415, ["unsupported_media_type"])
    assert await contents(world) == before


@pytest.mark.parametrize("operation", WITH_BODY)
async def test_what_cannot_be_read_is_400_and_what_does_not_hold_422_with_every_field(
    both_worlds: World, operation: Operation
):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for body in (b"", b"{", b"\xff", b'{"a": 1, "a": 2}', b"[" * 100 + b"]" * 100, b'{"a": "\\u0000"}', b'{"a": NaN}'):
        reply = await call(world, me, operation, body=body)
        assert (body, reply.status, reply.codes) == (body, 400, ["bad_request"])
    for given in ({}, dict.fromkeys(BODIES[operation.name])):
        reply = await call(world, me, operation, body=json.dumps(given).encode())
        assert reply.status == 422
        assert {error["field"] for error in reply.errors} == set(BODIES[operation.name])
        assert set(reply.codes) == {"invalid_field"}
    for body in (b"[]", b"1", b'"x"', b"null"):
        reply = await call(world, me, operation, body=body)
        assert (reply.status, reply.error["field"]) == (422, "body")
    assert (await call(world, me, operation, {"Idempotency-Key": "a key"})).status == 400
    assert (await call(world, me, operation, body=b" " * (64 * 1024 + 1))).status == 413
    assert await contents(world) == before


WRONG_NUMBERS = [None, "1", 1.5, True, [], {}, ""]
NOBODYS_NUMBERS = [0, -1, 2, 2**63 - 1, 2**63, 10**40]


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, body in BODIES.items() for field in body if field.endswith("Id") and body[field] == 1],
)
async def test_a_number_of_another_type_is_422_and_one_of_nothing_404(world: World, name: str, field: str):
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for given in WRONG_NUMBERS:
        body = json.dumps(BODIES[name] | {field: given}).encode()
        reply = await call(world, me, OPERATIONS[name], body=body)
        assert (given, reply.status, reply.error["field"]) == (given, 422, field)
    for given in NOBODYS_NUMBERS:
        body = json.dumps(BODIES[name] | {field: given}).encode()
        reply = await call(world, me, OPERATIONS[name], body=body)
        assert (given, reply.status, reply.codes) == (given, 404, ["not_found"])
    assert await contents(world) == before


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("requestAppointmentSlots", "dateFrom", [None, "", "now", "2026-13-01", "01/12/2026", "2026-12-1", 20261201]),
        ("requestAppointmentSlots", "dateFrom", ["2026-12-01T00:00:00Z", "20261201", "2026-02-29"]),
        ("bookAppointment", "slotId", [None, "", "x" * 65, 1, ["one"]]),
    ],
)
async def test_a_date_or_a_slot_that_does_not_hold_is_422(world: World, name: str, field: str, wrong: list[Any]):
    me = await world.connect_client()
    await with_an_order(world, me)
    before = await contents(world)
    for given in wrong:
        body = json.dumps(BODIES[name] | {field: given}).encode()
        reply = await call(world, me, OPERATIONS[name], body=body)
        assert (given, reply.status, reply.error["field"]) == (given, 422, field)
    assert await contents(world) == before


@pytest.mark.parametrize("given", ["0001-01-01", "1969-12-31", "2026-02-28", "2028-02-29", "9999-12-31"])
async def test_any_date_that_there_is_can_be_asked_for(world: World, given: str):
    me = await world.connect_client()
    await with_an_order(world, me)
    body = json.dumps({"orderId": 1, "dateFrom": given}).encode()
    reply = await call(world, me, OPERATIONS["requestAppointmentSlots"], body=body)
    assert reply.status == 201
    assert (await get(world, me, reply.headers["location"])).json["dateFrom"] == given


@pytest.mark.parametrize("operation", WITH_ID)
async def test_a_number_of_nothing_in_an_address_is_404(both_worlds: World, operation: Operation):
    world = both_worlds
    me = await world.connect_client()
    await with_an_order(world, me)
    unknown = await call(world, me, operation, number="999999")
    assert (unknown.status, unknown.headers.items() >= SIX_HEADERS.items()) == (404, True)
    for number in ("0", "-1", "x", "1.0", "+1", "9" * 19, str(2**63), "9" * 400, "٣", "%31", "1%00"):
        assert await call(world, me, operation, number=number) == unknown

"""Every answer of ours has the id of its request, whoever answers: a call, a page, the framework, or the protocol."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from countermand.web.http_connections import Waiting
from countermand.web.http_protocol import FIELDS_CAP, HEAD_CAP_BYTES
from support.one_server import LONG, OneServer, an_answer, one_server
from support.world import World, a_world

OURS = re.compile("[0-9a-f]{12}-[0-9a-f]+")
SHOP = "http://localhost:3000"
ASKS = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, shopping_allowed_origins=[SHOP], sandbox_payments=True) as made:
        yield made


async def test_every_route_names_its_request_for_each_method(world: World):
    seen = set()
    for path in sorted({route.path for route in framework_of(world).routes}):
        asked = re.sub("{[^}]+}", "1", path)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            for headers in ({}, ASKS):
                answer = await world.http.request(method, asked, headers=headers)
                named = answer.headers.get("x-request-id", "")
                assert OURS.fullmatch(named), (method, path, headers, answer.status_code)
                assert named not in seen
                seen.add(named)
                answer = await world.http.request(method, asked, headers={**headers, "X-Request-Id": "mine-1"})
                assert answer.headers.get_list("x-request-id") == ["mine-1"], (method, path, headers)


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/docs/nothing.js", {}, 404),
        ("POST", "/orders", {"content": b"x" * 70_000}, 413),
        ("POST", "/api/connect/orders/cancel", {"content": b"x" * 70_000}, 413),
        ("POST", "/ordercancellation/", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/ordercancellation/", {"content": b"{}"}, 401),
        ("OPTIONS", "/orders", {"headers": ASKS}, 204),
        ("OPTIONS", "/orders", {"headers": ASKS | {"Origin": "https://else.example"}}, 400),
    ],
)
async def test_every_kind_of_error_names_its_request(
    world: World, method: str, path: str, more: dict[str, Any], status: int
):
    answer = await world.http.request(method, path, **more)
    assert answer.status_code == status
    assert OURS.fullmatch(answer.headers["x-request-id"])


@pytest.fixture
async def server() -> AsyncIterator[OneServer]:
    async with one_server() as running:
        yield running


_MANY = "".join(f"a{number}: b\r\n" for number in range(FIELDS_CAP + 1))


@pytest.mark.parametrize(
    ("sent", "status", "named"),
    [
        ("nonsense\r\n\r\n", 400, None),
        ("GET / HTTP/1.1\r\nX-Request-Id: mine-1\r\nContent-Length: x\r\n\r\n", 400, "mine-1"),
        ("GET / HTTP/1.1\r\nX-Request-Id: two words\r\nContent-Length: x\r\n\r\n", 400, None),
        (f"GET / HTTP/1.1\r\nX-Request-Id: mine-1\r\n{_MANY}\r\n", 431, "mine-1"),
        (f"GET / HTTP/1.1\r\na: {'b' * 2 * HEAD_CAP_BYTES}\r\n\r\n", 431, None),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n", 501, "mine-1"),
    ],
)
async def test_what_the_protocol_itself_answers_names_the_request(
    server: OneServer, sent: str, status: int, named: str | None
):
    reader, writer = await server.connect()
    writer.write(sent.encode())
    found, headers, _ = await an_answer(reader)
    assert found == status
    assert (headers["x-request-id"] == named) if named else OURS.fullmatch(headers["x-request-id"])


async def test_an_application_that_fails_before_it_answers_is_a_500_that_names_the_request(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"POST / HTTP/1.1\r\nX-Request-Id: mine-1\r\nContent-Length: 1\r\n\r\n\xff")  # it cannot repeat it
    status, headers, body = await an_answer(reader)
    assert (status, headers["x-request-id"], body) == (500, "mine-1", b"the request failed unexpectedly")
    assert headers["connection"] == "close"


async def test_a_request_that_does_not_come_in_time_has_its_id_in_the_408(server: OneServer):
    for whole, named in ((b"X-Request-Id: mine-1\r\nContent-Length: 9\r\n\r\n", "mine-1"), (b"Host: x\r\n", None)):
        reader, writer = await server.connect()
        writer.write(b"POST / HTTP/1.1\r\n" + whole)
        await server.until(lambda: server.protocols[-1].waits_for() is not Waiting.IDLE)
        server.pass_by(LONG * 2)
        status, headers, _ = await an_answer(reader)
        assert status == 408
        assert (headers["x-request-id"] == named) if named else OURS.fullmatch(headers["x-request-id"])


async def test_one_connection_too_many_is_a_503_with_an_id():
    async with one_server(cap=1) as full:
        full.go.clear()
        _, writer = await full.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await full.until(lambda: full.heard)
        reader, _ = await full.connect()
        status, headers, _ = await an_answer(reader)
        assert status == 503
        assert OURS.fullmatch(headers["x-request-id"])


def framework_of(world: World) -> Litestar:
    """The framework's application, below what wraps it."""
    found: Any = world.service.application
    while not isinstance(found, Litestar):
        found = getattr(found, "_rest", None) or found._app
    return found

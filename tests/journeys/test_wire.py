"""HTTP as it comes over the wire to `countermand serve`: pipelines, bodies that never come, sizes, methods, and ids."""

import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from countermand.bootstrap import utc_now
from countermand.storage.tables import metadata
from support.serving import Served, a_connection, a_server, next_answer, request
from support.world import Caller, World, a_world

CONNECT = "/api/connect/orders/cancel"
SHOPPING = "/ordercancellation/"
CAP = 64 * 1024


# One server for all: each test brings callers and orders of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("wire")) as made:
        made.clock.now = utc_now()
        yield made


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Served]:
    with a_server(world, log_format="json", log_level="debug") as running:
        yield running


async def test_requests_sent_at_once_on_one_connection_are_answered_in_their_order(world: World, server: Served):
    partner, shop, headers = await a_partner(world)
    orders = [await world.service_order(partner) for _ in range(10)]
    bodies = [json.dumps({"orderId": order_id}).encode() for order_id in (*orders, orders[0], 999_999)]
    shown = request("GET", "/nowhere", {"Authorization": shop.basic})
    with a_connection(server.port) as connection:
        connection.sendall(b"".join(request("POST", CONNECT, headers, body) for body in bodies) + shown)
        statuses, left = [], b""
        for _ in (*bodies, shown):
            status, _, _, left = next_answer(connection, left)
            statuses.append(status)
    assert (statuses, left) == ([200] * 10 + [422, 404, 404], b"")
    assert [len(await world.rows("cancellations", order_id)) for order_id in orders] == [1] * 10


async def test_a_connection_lives_on_however_much_has_gone_over_it(server: Served):
    asked = request("GET", "/healthz", {"X-Padding": "x" * 1000})
    with a_connection(server.port) as connection:
        left = b""
        for _ in range(1_000):  # four times what one request's head may have
            connection.sendall(asked)
            status, _, _, left = next_answer(connection, left)
            assert status == 200


async def test_a_head_without_an_end_is_hung_up_on_and_a_large_one_is_not(server: Served):
    with a_connection(server.port) as connection:
        connection.sendall(request("GET", "/healthz", {"X-Padding": "x" * 200_000}))
        assert next_answer(connection, b"")[0] == 200
    with a_connection(server.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Padding: ")
        assert is_hung_up_on(connection, sending=b"x" * 65_536, times=200)


async def test_a_connection_serves_one_request_after_another(world: World, server: Served):
    partner, _, headers = await a_partner(world)
    before = len(await world.rows("cancellations"))
    with a_connection(server.port) as connection:
        for wanted in (200, 401, 415, 422, 200, 404):
            order_id = await world.service_order(partner) if wanted == 200 else 999_999
            body = b"{}" if wanted == 422 else json.dumps({"orderId": order_id}).encode()
            changed = {401: {"Authorization": "Bearer x"}, 415: {"Content-Type": "text/plain"}}.get(wanted, {})
            connection.sendall(request("POST", CONNECT, headers | changed, body))
            status, _, _, left = next_answer(connection)
            assert (status, left) == (wanted, b"")
    assert len(await world.rows("cancellations")) == before + 2


@pytest.mark.parametrize("path", [CONNECT, SHOPPING, "/orders"])
async def test_a_caller_that_goes_away_before_its_body_came_leaves_nothing_behind(
    path: str, world: World, server: Served
):
    partner, shop, headers = await a_partner(world)
    order_id, ticket_order = await world.service_order(partner), await world.ticket_order(shop)
    headers = headers if path == CONNECT else {"Authorization": shop.basic}
    told = {"orderId": order_id, "order": world.uri(ticket_order), "reason": "The buyer asked"}
    body = json.dumps(told).encode()
    before, logged = await everything(world), len(server.log_lines)
    for come in (0, len(body) - 1):
        with a_connection(server.port) as connection:
            connection.sendall(request("POST", path, {**headers, "Content-Length": str(len(body))}))
            connection.sendall(body[:come])
            async with server.client() as http:  # answered after the server has seen the other connection
                assert (await http.get("/healthz")).status_code == 200
    async with server.client() as http:
        assert (await http.get("/readyz")).status_code == 200
    assert await everything(world) == before
    assert [line for line in server.log_lines[logged:] if line["level"] not in {"debug", "info"}] == []


@pytest.mark.parametrize("path", [CONNECT, SHOPPING, "/orders", "/manage/v1/orders/1/cancel"])
async def test_a_body_that_is_too_large_is_refused_before_it_has_come(path: str, server: Served):
    announced = request("POST", path, {"Content-Length": str(CAP + 1)})
    with a_connection(server.port) as connection:
        connection.sendall(announced)  # and not a byte of the body
        status, headers, _, _ = next_answer(connection)
    assert status == 413
    in_pieces = request("POST", path, {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    with a_connection(server.port) as connection:
        connection.sendall(in_pieces + b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        connection.sendall(b"8001\r\n" + b" " * 0x8001 + b"\r\n")  # one byte too many, and no end of it
        status, headers, _, _ = next_answer(connection)
    assert status == 413
    assert "json" in headers["content-type"]
    with a_connection(server.port) as connection:  # exactly as much as may be is read whole, and then judged
        connection.sendall(request("POST", path, {}, b" " * CAP))
        assert next_answer(connection)[0] == 401


METHODS = {
    CONNECT: {"GET": 405, "HEAD": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405},
    SHOPPING: {"GET": 405, "HEAD": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405},
    "/ordercancellation": {"GET": 405, "HEAD": 405},
    "/api/connect/orders/create": {"GET": 405, "HEAD": 405, "DELETE": 405},
    "/api/connect/nowhere": {"GET": 404, "HEAD": 404, "POST": 404},
    "/nowhere": {"GET": 404, "HEAD": 404, "POST": 404},
    "/manage/v1/nowhere": {"GET": 404, "HEAD": 404},
    "/healthz": {"POST": 405},
}


async def test_other_methods_and_unknown_paths_are_answered_on_a_connection_that_lives_on(server: Served):
    with a_connection(server.port) as connection:
        for path, methods in METHODS.items():
            for method, wanted in methods.items():
                connection.sendall(request(method, path, {}))
                if method == "HEAD":
                    # No body follows, whatever length is announced; what comes next must be the next answer.
                    connection.sendall(request("GET", "/healthz", {}))
                    status, headers, _, left = next_answer(connection, b"", has_body=False)
                    assert (path, status) == (path, wanted)
                    assert next_answer(connection, left)[2] == b'{"status":"ok"}'
                else:
                    status, headers, body, left = next_answer(connection)
                    assert (method, path, status, left) == (method, path, wanted, b"")
                    assert json.loads(body)
                if wanted == 405:
                    assert headers["allow"] == ("GET" if path == "/healthz" else "POST")


@pytest.mark.parametrize(
    ("given", "echoed"),
    [("req-1", True), ("a" * 128, True), ("a" * 129, False), ("two words", False), ("caf\u00e9", False)],
)
async def test_a_request_id_comes_back_with_every_answer_if_it_is_one(
    given: str, *, echoed: bool, world: World, server: Served
):
    partner, shop, headers = await a_partner(world)
    order_id = await world.service_order(partner)
    asked = json.dumps({"orderId": order_id}).encode()
    with a_connection(server.port) as connection:
        for method, path, more, body, wanted in (
            ("POST", CONNECT, headers, asked, 200),
            ("POST", CONNECT, headers, asked, 422),
            ("POST", CONNECT, {}, asked, 401),
            ("POST", SHOPPING, {"Authorization": shop.basic}, b"{}", 400),
            ("GET", f"/api/connect/orders/{order_id}", headers, b"", 200),
            ("GET", "/nowhere", {}, b"", 404),
        ):
            sent = request(method, path, {**more, "X-Request-Id": given}, body)
            connection.sendall(sent)
            status, answered, _, _ = next_answer(connection)
            assert (status, answered.get("x-request-id")) == (wanted, given if echoed else None)


async def a_partner(world: World) -> tuple[Caller, Caller, dict[str, str]]:
    """Somebody for each contract, and the headers of a connect request by the server's own clock."""
    partner, shop = await world.connect_client(secrets.token_hex(4)), await world.shopping_client()
    return partner, shop, world.connect_headers(partner)


async def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    return {name: await world.rows(name) for name in metadata.tables}


def is_hung_up_on(connection: socket.socket, *, sending: bytes, times: int) -> bool:
    try:
        for _ in range(times):
            connection.sendall(sending)
        return connection.recv(1) == b""
    except OSError:  # reset, or a broken pipe
        return True

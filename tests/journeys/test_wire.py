"""HTTP as it comes over the wire to `countermand serve`: pipelines, bodies that never come, sizes, methods, and ids."""

import json
import re
import resource
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from countermand.bootstrap.clock import utc_now
from countermand.storage.tables.columns import metadata
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


@pytest.fixture(scope="module", params=[True, False], ids=["short cut", "no short cut"])
def server(world: World, request: pytest.FixtureRequest) -> Iterator[Served]:
    with a_server(world, log_format="json", log_level="debug", short_cut=request.param) as running:
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


async def test_a_head_without_an_end_is_refused_and_a_large_one_is_not(server: Served):
    with a_connection(server.port) as connection:
        connection.sendall(request("GET", "/healthz", {"X-Padding": "x" * 60_000}))
        assert next_answer(connection, b"")[0] == 200
    with a_connection(server.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Padding: " + b"x" * 70_000)
        assert next_answer(connection)[0] == 431
        assert is_hung_up_on(connection, sending=b"x" * 65_536, times=200)


# As Java's HttpClient and `curl --http2` send a POST to a plain address unless they are told to speak HTTP/1.1.
WITH_UPGRADE = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "User-Agent": "Java-http-client/17.0.15",
}


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.2", "foo"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_cancellation_that_also_asks_for_another_protocol_is_carried_out(
    upgrade: str, *, chunked: bool, world: World, server: Served
):
    partner, shop, headers = await a_partner(world)
    logged = len(server.log_lines)
    for path in (CONNECT, SHOPPING):
        order_id, ticket_order = await world.service_order(partner), await world.ticket_order(shop)
        asked = {CONNECT: order_id, SHOPPING: ticket_order.order.id}[path]
        told = {"orderId": order_id, "order": world.uri(ticket_order), "reason": "The buyer asked"}
        credential = headers if path == CONNECT else {"Authorization": shop.basic}
        body = json.dumps(told).encode()
        head = request("POST", path, credential | WITH_UPGRADE | {"Upgrade": upgrade, "Content-Length": str(len(body))})
        if chunked:
            head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        with a_connection(server.port) as connection:
            connection.sendall(head)
            async with server.client() as http:  # the head is read when this is answered
                assert (await http.get("/healthz")).status_code == 200
            connection.sendall(body)
            status, _, _, left = next_answer(connection)
            assert (status, left) == (200, b"")
            connection.sendall(request("GET", "/healthz", {}))
            assert next_answer(connection)[:1] == (200,)
        assert len(await world.rows("cancellations", asked)) == 1
    assert [line for line in server.log_lines[logged:] if line["level"] not in {"debug", "info"}] == []
    assert "WebSocket" not in server.log


async def test_a_request_within_the_body_of_another_is_not_carried_out(world: World, server: Served):
    partner, _, headers = await a_partner(world)
    order_id = await world.service_order(partner)
    smuggled = request("POST", CONNECT, headers, json.dumps({"orderId": order_id}).encode())
    with a_connection(server.port) as connection:
        connection.sendall(request("POST", CONNECT, headers | WITH_UPGRADE | {"Content-Length": str(len(smuggled))}))
        connection.sendall(smuggled)
        assert next_answer(connection)[0] == 400
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert await world.rows("cancellations", order_id) == []


async def test_a_credential_that_follows_the_body_is_none(world: World, server: Served):
    _, shop, _ = await a_partner(world)
    order = await world.ticket_order(shop)
    body = json.dumps({"order": world.uri(order), "reason": "The buyer asked"}).encode()
    head = request("POST", SHOPPING, {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    chunked = head + b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    with a_connection(server.port) as connection:
        connection.sendall(chunked + b"Authorization: %b\r\n\r\n" % shop.basic.encode())
        assert next_answer(connection)[0] == 401
    assert await world.rows("cancellations", order.order.id) == []


@pytest.mark.parametrize("path", [CONNECT, SHOPPING, "/orders"])
async def test_what_follows_a_body_without_end_is_refused_and_kept_by_nobody(path: str, server: Served):
    head = request("POST", path, {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    for trailer in (b"X-Long: ", b""):
        before = memory_of(server)
        with a_connection(server.port) as connection:
            connection.sendall(head + b"2\r\n{}\r\n0\r\n" + trailer)
            assert is_hung_up_on(connection, sending=b"x" * 65_536 if trailer else b"x-1: 1\r\n" * 8_192, times=1_000)
        assert memory_of(server) - before < 16 * 1024 * 1024  # of 64 MiB that were on their way


async def test_a_client_that_ends_its_sending_reads_its_answer(world: World, server: Served):
    partner, _, headers = await a_partner(world)
    order_id = await world.service_order(partner)
    with a_connection(server.port) as connection:
        connection.sendall(request("POST", CONNECT, headers, json.dumps({"orderId": order_id}).encode()))
        connection.shutdown(socket.SHUT_WR)
        status, _, _, left = next_answer(connection)
        assert (status, left, connection.recv(1)) == (200, b"", b"")
    assert len(await world.rows("cancellations", order_id)) == 1


async def test_a_client_that_is_gone_before_its_answer_leaves_no_error_behind(world: World, server: Served):
    partner, shop, headers = await a_partner(world)
    logged = len(server.log_lines)
    for path, credential in (("/orders", {"Authorization": shop.basic}), (CONNECT, headers)):
        for _ in range(20):
            order_id = await world.service_order(partner)
            body = b"" if path == "/orders" else json.dumps({"orderId": order_id}).encode()
            with a_connection(server.port) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                connection.sendall(request("GET" if path == "/orders" else "POST", path, credential, body))
    async with server.client() as http:
        assert (await http.get("/readyz")).status_code == 200
    assert [line for line in server.log_lines[logged:] if line["level"] not in {"debug", "info"}] == []
    assert "Traceback" not in server.log


async def test_a_connection_serves_one_request_after_another(world: World, server: Served):
    partner, _, headers = await a_partner(world)
    mine: list[int] = []
    with a_connection(server.port) as connection:
        for wanted in (200, 401, 415, 422, 200, 404):
            order_id = await world.service_order(partner) if wanted == 200 else 999_999
            mine += [order_id] if wanted == 200 else []
            body = b"{}" if wanted == 422 else json.dumps({"orderId": order_id}).encode()
            changed = {401: {"Authorization": "Bearer x"}, 415: {"Content-Type": "text/plain"}}.get(wanted, {})
            connection.sendall(request("POST", CONNECT, headers | changed, body))
            status, _, _, left = next_answer(connection)
            assert (status, left) == (wanted, b"")
    assert [len(await world.rows("cancellations", order_id)) for order_id in (*mine, 999_999)] == [1, 1, 0]


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


@pytest.mark.parametrize("path", [CONNECT, SHOPPING, "/orders", "/manage/v1/orders/connect-1/cancel"])
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
async def test_every_answer_has_the_callers_request_id_if_it_is_one_and_otherwise_another(
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
            assert (status, answered["x-request-id"] == given) == (wanted, echoed)
            assert re.fullmatch("[!-~]{1,128}", answered["x-request-id"])


async def a_partner(world: World) -> tuple[Caller, Caller, dict[str, str]]:
    """Somebody for each contract, and the headers of a connect request by the server's own clock."""
    partner, shop = await world.connect_client(secrets.token_hex(4)), await world.shopping_client()
    return partner, shop, world.connect_headers(partner)


async def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    return {name: await world.rows(name) for name in metadata.tables}


def memory_of(server: Served) -> int:
    """Bytes that the server's process holds."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def is_hung_up_on(connection: socket.socket, *, sending: bytes, times: int) -> bool:
    try:
        for _ in range(times):
            connection.sendall(sending)
        return connection.recv(1) == b""
    except OSError:  # reset, or a broken pipe
        return True

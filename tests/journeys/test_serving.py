"""`countermand serve` on settings of its own: what is logged, what holds over the wire, and how it stops."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from countermand.bootstrap.clock import utc_now
from countermand.domain.client import Permission
from countermand.domain.orders.order_state import Transition
from countermand.storage.schema import NEWEST_SCHEMA
from support.connect_calls import SERVICE_ORDER
from support.serving import Served, a_connection, a_server, free_port, next_answer, request
from support.world import PUBLIC_URL, World, a_world, signing_key

CONNECT = "/api/connect/orders/cancel"
SHOPPING = "/ordercancellation/"
POLICIES = """
[[policies.connect]]
name = "state_allows"
only = ["submitted"]

[[policies.connect]]
name = "no_appointment_within"
notice_h = 48
past_active = "ignored"
"""


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A database with clients and orders; the test's own clock stands at the server's now."""
    async with a_world(tmp_path, request.param) as world:
        world.clock.now = utc_now()
        yield world


@pytest.fixture
def server(made: World) -> Iterator[Served]:
    with a_server(made, log_format="json", log_level="debug") as running:
        yield running


async def test_it_says_that_it_lives_and_is_ready_until_its_schema_is_another(made: World, server: Served):
    async with server.client() as http:
        health, readiness = await http.get("/healthz"), await http.get("/readyz")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        assert (readiness.status_code, readiness.json()) == (200, {"status": "ready"})
        newer = NEWEST_SCHEMA + 1
        await write(made, f"INSERT INTO schema_notes (number, oldest_code) VALUES ({newer}, {newer})")
        readiness = await http.get("/readyz")
        assert (readiness.status_code, readiness.headers["retry-after"]) == (503, "1")
        assert "schema" in readiness.json()["reason"]
        assert str(made.folder) not in readiness.text
        assert (await http.get("/healthz")).status_code == 200
        await write(made, f"UPDATE schema_notes SET oldest_code = {NEWEST_SCHEMA} WHERE number = {newer}")
        assert (await http.get("/readyz")).status_code == 200


# what is logged


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_log_is_one_line_an_event_and_tells_no_secret(log_format: str, made: World):
    partner, shop, operator = await made.connect_client(), await made.shopping_client(), await made.manage_client()
    no_cancel = await made.shopping_client(permissions=frozenset({Permission.READ}))
    order_id, ticket_order = await made.service_order(partner), await made.ticket_order(shop)
    token = made.token(partner)
    forged, stale = token[:-8] + "AAAAAAAA", made.token(partner, exp=1)
    basic = {"Authorization": shop.basic}
    cancel = {"order": made.uri(ticket_order), "reason": "a reason of the customer's own"}
    with a_server(made, log_format=log_format, log_level="debug") as server:
        async with server.client() as http:
            statuses = [
                (await http.request(method, path, headers=headers, json=body)).status_code
                for method, path, headers, body in [
                    ("POST", CONNECT, made.connect_headers(partner), {"orderId": order_id}),
                    ("POST", CONNECT, made.connect_headers(partner), {"orderId": order_id}),
                    ("POST", CONNECT, made.connect_headers(partner), {"orderId": 999_999}),
                    ("POST", CONNECT, {"Authorization": f"Bearer {forged}", "X-API-VERSION": "7"}, {"orderId": 1}),
                    ("POST", CONNECT, {"Authorization": f"Bearer {stale}", "X-API-VERSION": "7"}, {"orderId": 1}),
                    ("POST", SHOPPING, {"Authorization": no_cancel.basic}, cancel),
                    ("POST", SHOPPING, {"Authorization": shop.basic[:-6] + "AAAA=="}, cancel),
                    ("POST", SHOPPING, basic, cancel),
                    ("POST", SHOPPING, basic, cancel),
                    ("GET", f"/manage/v1/orders/connect-{order_id}", made.manage_headers(operator), None),
                    (
                        "GET",
                        f"/manage/v1/orders/connect-{order_id}",
                        {"Authorization": f"Bearer {operator.key}.x"},
                        None,
                    ),
                    ("GET", f"/nowhere?secret={shop.secret}", basic, None),
                ]
            ]
            assert statuses == [200, 422, 404, 401, 401, 403, 401, 200, 409, 200, 401, 404]
        with a_connection(server.port) as odd:  # what no HTTP library would send makes the server itself complain
            odd.sendall(b"\x16\x03\x01\x00 no HTTP at all\r\n\r\n")
            assert odd.recv(64).startswith(b"HTTP/1.1 400")
        assert server.stop() == 0
    signatures = [one.rpartition(".")[2] for one in (token, stale)]
    hidden = [token, forged, stale, *signatures, cancel["reason"]]
    for caller in (shop, no_cancel, operator):
        hidden += [caller.secret, caller.basic.removeprefix("Basic ")]
    assert [one for one in hidden if one in server.log] == []
    assert server.log, "the odd request is worth a line"
    if log_format == "json":
        assert all({"event", "level", "timestamp"} <= set(line) for line in server.log_lines)
    else:
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line) for line in server.log.splitlines())


# settings that are seen over the wire


async def test_the_public_address_is_in_every_location_and_link_wherever_it_listens(made: World):
    partner, shop = await made.connect_client(), await made.shopping_client()
    product, method = await made.product(), await made.payment_method()
    public = "https://orders.example.com/partners"
    with a_server(made, public_url=public + "/") as server:
        assert server.base_url == public
        async with server.client() as http:
            created = await http.post(
                "/orders",
                headers={"Authorization": shop.basic},
                json={
                    "products": [{"product": f"{public}/products/{product}", "quantity": 1}],
                    "payment_method": method,
                    "consumer": {
                        "first_name": "Jo",
                        "last_name": "Visitor",
                        "email": "jo@example.com",
                        "country": "NL",
                    },
                },
            )
            assert created.status_code == 201
            order = created.json()
            assert created.headers["location"] == order["_links"]["self"]["href"] == f"{public}/orders/{order['uid']}"
            links = links_in({name: value for name, value in order.items() if name != "consumer"})
            ours = [link for link in links if "shopping-api-docs" not in link]
            assert len(ours) > 5
            assert all(link.startswith(public + "/") for link in ours)
            asked = {"order": order["_links"]["self"]["href"], "reason": "The buyer asked"}
            cancelled = await http.post(SHOPPING, headers={"Authorization": shop.basic}, json=asked)
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
            there = asked | {"order": f"{server.here}/orders/{order['uid']}"}
            assert (await http.post(SHOPPING, headers={"Authorization": shop.basic}, json=there)).status_code == 400

            service_order = await http.post(
                "/api/connect/orders/create", headers=made.connect_headers(partner), json=SERVICE_ORDER
            )
            assert service_order.status_code == 201
            location = f"{public}/api/connect/orders/{service_order.json()['id']}"
            assert service_order.headers["location"] == location
            document = (await http.get("/docs/shopping/openapi.json")).json()
            assert document["servers"] == [{"url": "https://orders.example.com/partners"}]


async def test_a_policy_in_the_settings_file_decides_and_is_kept_for_ever(made: World):
    partner = await made.connect_client()
    orders = {
        "no appointment": await made.service_order(partner),
        "in 47 hours": await made.service_order(partner, appointment_in=timedelta(hours=47)),
        "in 49 hours": await made.service_order(partner, appointment_in=timedelta(hours=49)),
        "an hour ago": await made.service_order(partner, appointment_in=timedelta(hours=-1)),
        "accepted": await made.service_order(partner, moves=(Transition.ACCEPT,)),
    }
    file = made.folder / "settings.toml"
    file.write_text(POLICIES)
    before = {row["version"] for row in await made.rows("policies")}
    with a_server(made, "--settings", str(file)) as server:
        kept = [row for row in await made.rows("policies") if row["version"] not in before]
        async with server.client(headers=made.connect_headers(partner)) as http:
            replies = {name: await http.post(CONNECT, json={"orderId": one}) for name, one in orders.items()}
    refused = {
        name: [one["code"] for one in reply.json()["errors"]] for name, reply in replies.items() if reply.content
    }
    assert refused == {"in 47 hours": ["appointment_within_notice"], "accepted": ["order_not_cancellable"]}
    assert {name for name, reply in replies.items() if reply.status_code == 200} == set(orders) - set(refused)
    assert "within 48 hours" in replies["in 47 hours"].text

    (policy,) = kept
    assert policy["contract"] == "connect"
    content = policy["content"] if isinstance(policy["content"], dict) else json.loads(policy["content"])
    states, notice = (rule["comparison"] for rule in content["rules"])
    assert states["states"] == ["submitted"]
    assert (notice["notice_h"], notice["past_active"]) == (48, "ignored")
    decided = await made.rows("cancellations") + await made.rows("refusals")
    assert {row["policy_version"] for row in decided} == {policy["version"]}
    assert len(decided) == len(orders)


async def test_while_a_key_set_is_away_tokens_get_503_and_shops_go_on_and_when_it_is_back_so_are_they(made: World):
    partner, shop = await made.connect_client(), await made.shopping_client()
    order_id, ticket_order = await made.service_order(partner), await made.ticket_order(shop)
    port = free_port()
    with a_server(made, connect_key_set=f"http://127.0.0.1:{port}/certs", key_set_refresh_s=0.2) as server:
        async with server.client() as http:

            async def cancel() -> httpx.Response:
                return await http.post(CONNECT, headers=made.connect_headers(partner), json={"orderId": order_id})

            away = await cancel()
            assert (away.status_code, away.headers["retry-after"]) == (503, "5")
            assert (await http.get("/readyz")).status_code == 200
            nonsense = await http.post(CONNECT, headers={"Authorization": "Bearer x", "X-API-VERSION": "7"}, json={})
            assert nonsense.status_code == 401
            asked = {"order": made.uri(ticket_order), "reason": "The buyer asked"}
            assert (await http.post(SHOPPING, headers={"Authorization": shop.basic}, json=asked)).status_code == 200
            assert await made.rows("cancellations", order_id) == []
            with a_key_set(port):
                assert await soon(cancel) == 200
    assert len(await made.rows("cancellations", order_id)) == 1


# how it stops


async def test_told_to_stop_it_still_answers_what_it_has_taken(made: World, server: Served):
    partner = await made.connect_client()
    order_id = await made.service_order(partner)
    body = json.dumps({"orderId": order_id}).encode()
    sent = request("POST", CONNECT, made.connect_headers(partner), body)
    with a_connection(server.port) as under_way:
        under_way.sendall(sent[:-5])
        async with server.client() as http:  # answered after it has seen the other connection
            assert (await http.get("/healthz")).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        await until_refused(server.port)
        assert await made.rows("cancellations") == []
        under_way.sendall(sent[-5:])
        # in a thread: the loop has the background tasks of a service on the same file, whose lock it must not sleep on
        status, _, answered, _ = await asyncio.to_thread(next_answer, under_way)
        assert (status, answered) == (200, b"")
        assert under_way.recv(1) == b""
    assert server.process.wait(120) == 0
    assert len(await made.rows("cancellations", order_id)) == 1


async def test_of_many_cancels_while_it_stops_each_is_answered_or_was_refused_a_connection(made: World, server: Served):
    partner = await made.connect_client()
    orders = [await made.service_order(partner) for _ in range(80)]
    statuses: list[int] = []
    async with server.client(headers=made.connect_headers(partner), limits=httpx.Limits(max_connections=8)) as http:

        async def cancel(order_id: int) -> bool:
            try:
                statuses.append((await http.post(CONNECT, json={"orderId": order_id})).status_code)
            except httpx.TransportError:
                return False
            if len(statuses) == 20:
                server.process.send_signal(signal.SIGTERM)
            return statuses[-1] == 200

        answered = await asyncio.gather(*map(cancel, orders))
    assert server.process.wait(120) == 0
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 20
    done = {row["order_id"] for row in await made.rows("cancellations")}
    assert {order_id for order_id, is_done in zip(orders, answered, strict=True) if is_done} <= done
    assert server.process.returncode == 0
    assert [line for line in server.log_lines if line["level"] in {"error", "critical"}] == []


def codes_of(reply: httpx.Response) -> list[str]:
    return [one["code"] for one in reply.json()["errors"]]


def links_in(value: Any) -> list[str]:
    """Every address in an answer; templated ones, too."""
    match value:
        case str() if value.startswith(("http://", "https://")):
            return [value]
        case dict():
            return [link for inner in value.values() for link in links_in(inner)]
        case list():
            return [link for inner in value for link in links_in(inner)]
    return []


@contextmanager
def a_key_set(port: int) -> Iterator[None]:
    """An issuer's key set at a URL."""
    content = json.dumps({"keys": [signing_key().as_dict(private=False)]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as issuer:
        thread = Thread(target=issuer.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            issuer.shutdown()
            thread.join()


async def soon(ask: Callable[[], Awaitable[httpx.Response]]) -> int:
    """The status of the first answer that is no 503 any more."""
    for _ in range(150):
        if (status := (await ask()).status_code) != 503:
            break
        await asyncio.sleep(0.1)
    return status


async def until_refused(port: int) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError:
                return
            await asyncio.sleep(0.02)


async def write(made: World, statement: str) -> None:
    async with made.database.store.transaction() as tx:
        await tx.run(text(statement))


async def test_beside_a_kubernetes_service_called_countermand_it_serves_and_says_what_it_passed_over(made: World):
    """It says where it listens, too, and which variable is misspelled."""
    of_the_service = {
        "port": "tcp://10.0.0.7:8080",
        "service_host": "10.0.0.7",
        "service_port": "8080",
        "service_port_http": "8080",
        "port_8080_tcp": "tcp://10.0.0.7:8080",
        "port_8080_tcp_proto": "tcp",
    }
    with a_server(made, log_format="json", log_requests=False, pulbic_url="x", **of_the_service) as server:
        assert server.said == [f"Countermand is ready at {server.here}; the address of its clients is {PUBLIC_URL}"]
        async with server.client() as http:
            assert (await http.get("/healthz")).status_code == 200
        # In a thread, because a transaction of this process's own service may be open, and has to go on.
        assert await asyncio.to_thread(server.stop) == 0
    (said,) = [line for line in server.log_lines if "Kubernetes" in line["event"]]
    assert said["level"] == "info"
    assert said["names"] == sorted(f"COUNTERMAND_{name.upper()}" for name in of_the_service)
    told = [line["event"] for line in server.log_lines if line["level"] == "warning"]
    assert told == ["COUNTERMAND_PULBIC_URL is no setting and was not read; did you mean COUNTERMAND_PUBLIC_URL?"]

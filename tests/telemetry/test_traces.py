"""Traces, as a collector gets them: real OTLP over HTTP, decoded from what was sent."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from countermand.bootstrap.clock import utc_now
from support.serving import a_server, free_port
from support.world import World

CONNECT = "/api/connect/orders/cancel"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HOPS = ["authenticate", "command", "wait for the batch", "answer"]


@dataclass
class Collector:
    """What a collector was sent."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def children_of(self, parent: Span) -> list[str]:
        under = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return [span.name for span in sorted(under, key=lambda span: span.start_time_unix_nano)]


@contextmanager
def a_collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                collector.resources.append(attributes(of_resource.resource))
                collector.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with a_collector() as running:
        yield running


async def test_a_traced_cancel_shows_every_hop_and_is_linked_with_its_batch(sqlite_world: World, collector: Collector):
    world = sqlite_world
    world.clock.now = utc_now()
    partner = await world.connect_client()
    order = await world.service_order(partner)
    headers = world.connect_headers(partner, traceparent=f"00-{TRACE}-{PARENT}-01")
    with a_server(world, traces_url=collector.url, traces_share=0, log_format="json") as server:
        async with server.client() as http:
            assert (await http.post(CONNECT, headers=headers, json={"orderId": order})).status_code == 200
            untraced = await http.post(CONNECT, headers=world.connect_headers(partner), json={"orderId": order})
            assert untraced.status_code == 422
            path = f"/api/connect/orders/{order}"
            assert (await http.get(path, headers=headers)).status_code == 200
        assert server.stop() == 0, "and what was not sent yet is sent"
        lines = [line for line in server.log_lines if line["event"] == "request"]

    (request,) = collector.named(f"POST {CONNECT}")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert collector.children_of(request) == HOPS
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": CONNECT,
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
    }
    (statement,) = collector.named("cancel")
    assert attributes(statement) == {"db.system.name": "sqlite", "db.operation.name": "cancel"}
    (batch,) = collector.named("batch")
    (wait,) = collector.named("wait for the batch")
    assert batch.trace_id != request.trace_id
    assert not batch.parent_span_id
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(wait.trace_id, wait.span_id)]
    assert [(link.trace_id, link.span_id) for link in wait.links] == [(batch.trace_id, batch.span_id)]
    assert collector.children_of(batch) == ["cancel"]
    assert wait.end_time_unix_nano <= collector.named("cancel")[0].start_time_unix_nano
    (read,) = collector.named("GET /api/connect/orders/{id}")
    assert collector.children_of(read) == ["authenticate"]
    assert {one["service.name"] for one in collector.resources} == {"countermand"}
    assert [line["request_id"] == TRACE for line in lines] == [True, False, True], "a log line leads to its trace"
    secrets = [headers["Authorization"].removeprefix("Bearer "), partner.subject]
    assert [one for one in secrets if one in str(collector.spans)] == []


async def test_requests_in_one_batch_are_each_linked_with_it(sqlite_world: World, collector: Collector):
    world = sqlite_world
    world.clock.now = utc_now()
    partner = await world.connect_client()
    orders = [await world.service_order(partner) for _ in range(12)]
    with a_server(world, traces_url=collector.url) as server:
        async with server.client(headers=world.connect_headers(partner)) as http:
            replies = await asyncio.gather(*(http.post(CONNECT, json={"orderId": order}) for order in orders))
        assert {reply.status_code for reply in replies} == {200}
        assert server.stop() == 0

    waits = {span.span_id for span in collector.named("wait for the batch")}
    linked = [link.span_id for batch in collector.named("batch") for link in batch.links]
    assert len(waits) == len(orders)
    assert sorted(linked) == sorted(waits)
    for batch in collector.named("batch"):
        assert attributes(batch)["countermand.commands"] == len(batch.links)
    assert len({span.trace_id for span in collector.named(f"POST {CONNECT}")}) == len(orders)


async def test_a_collector_that_is_away_disturbs_no_cancel(sqlite_world: World):
    world = sqlite_world
    world.clock.now = utc_now()
    partner = await world.connect_client()
    order = await world.service_order(partner)
    with a_server(world, traces_url=f"http://127.0.0.1:{free_port()}/v1/traces") as server:
        async with server.client(headers=world.connect_headers(partner)) as http:
            assert (await http.post(CONNECT, json={"orderId": order})).status_code == 200
        assert server.stop() == 0
    assert len(await world.rows("cancellations", order)) == 1


def test_without_traces_nothing_of_them_is_imported(tmp_path: Path):
    asked = """
import asyncio, sys
from countermand.bootstrap.service import build
from countermand.bootstrap.database import open_database
from countermand.settings import read_settings
from countermand.storage.schema import migrate
from pathlib import Path
import inspect

async def main():
    settings = read_settings(database_path=Path(sys.argv[1]))
    done = migrate(settings.database_path)
    if inspect.isawaitable(done):
        await done
    database = await open_database(settings)
    build(settings, database, "http://here.test")
    await database.close()
    print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "google"))])

asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path / "x.sqlite3")], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}

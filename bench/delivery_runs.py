"""The runs of `deliveries.py`: how fast events are delivered, how soon, and what their delivery costs cancellations."""

import asyncio
import dataclasses
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from countermand.actions.delivering.sending import Sending
from countermand.bootstrap.database import open_database
from countermand.bootstrap.endpoints import endpoints_of
from countermand.bootstrap.webhooks import webhooks_of
from countermand.delivery.secret_box import new_key
from countermand.delivery.signing import SignedRequest, why_unfit
from countermand.domain.delivering.endpoint import Endpoint, Subscription
from countermand.environment import PREFIX
from countermand.settings import Settings, read_settings
from databases import OrdersDatabase, PostgresOrders, SqliteOrders
from driving import Asking, drive, in_python
from processes import cpu_s
from sample import MIXED, Credentials
from servers import BATCHED, Kind, running

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

_HERE: Final = Path(__file__).parent
CONNECTIONS: Final = 64
RATE: Final = 200  # cancellations a second, where the time from the commit to the first byte is measured
AT_ONCE: Final = 64  # sends at a time, in the bare loop as in the relay
WARM_UP_S: Final = 2
_LOOK_AGAIN_S: Final = 0.1
_PATIENCE_S: Final = 300
_PUBLIC: Final = "http://bench.example"
_OF_DELIVERY: Final = ("delivery_attempts", "delivery_lanes", "deliveries", "endpoints")
_WAITS: Final = (
    "SELECT (SELECT count(*) FROM outbox WHERE delivered_at IS NULL"
    " AND recorded_at >= (SELECT dispatch_from FROM delivery_head)),"
    " (SELECT coalesce(sum(waiting), 0) FROM delivery_lanes)"
)


class DeliveryError(Exception):
    """Raised if events were lost, came twice, or had a wrong signature."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """The results of one run that delivered what had piled up."""

    database: str
    round: int
    events: int
    a_second: float  # from the first arrival to the last
    bare_a_second: float  # the same client, alone in a loop
    server_cpu_us: float | None  # for each delivery
    database_cpu_us: float | None
    bare_cpu_us: float


@dataclass(frozen=True, kw_only=True)
class Soon:
    """The times from when a cancellation was decided, right before its commit, to the first byte at the receiver."""

    database: str
    round: int
    events: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class GivingWay:
    """Cancellations a second without endpoints, and with two; and how the backlog was caught up after the load.

    The CPU is that of server, database, load and receiver for each cancellation: other work on the machine changes it
    less than the cancellations a second.
    """

    database: str
    round: int
    alone_a_second: float
    with_two_a_second: float
    alone_cpu_us: float | None
    with_two_cpu_us: float | None
    delivered_meanwhile_a_second: float
    backlog: int  # deliveries, when the load ended
    caught_up_s: float


@dataclass(frozen=True, kw_only=True)
class _Cancelled:
    a_second: float = 0.0
    cpu_us: float | None = None


class Receiver:
    """Talks to the process of the receiver."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=self.url, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def count(self) -> int:
        """Return how many events came."""
        return int(self._http.get("/count").text)

    def seen(self) -> dict[str, Any]:
        """Return what came, and let the receiver begin anew."""
        found: dict[str, Any] = json.loads(self._http.get("/seen").content)
        return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Start a receiver, and stop it."""
    with subprocess.Popen([sys.executable, _HERE / "receiver.py"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with closing(Receiver(int(process.stdout.readline()), process.pid)) as receiver:
                yield receiver
        finally:
            process.terminate()


@dataclass(kw_only=True)
class Measuring:
    """Makes the runs on one database."""

    database: OrdersDatabase
    generator: str
    credentials: Credentials
    receiver: Receiver
    seconds: int
    events: int  # about so many are delivered in a run for the throughput
    key: str = dataclasses.field(default_factory=new_key)

    def throughput(self, number: int) -> Throughput:
        """Let events pile up, then deliver them, then let the same client send as many by itself."""
        (secret,) = self._endpoints("/rate")
        self._cancel(self._kind(deliveries=False), stop_after=self.events)
        expected, _ = self.database.row(_WAITS)
        self.database.settle()
        with running(self._kind(), self.credentials, self.database) as server:
            before = cpu_s([server.pid]), cpu_s(self.database.pids())
            self._until_seen(expected)
            self._until_caught_up()
            after = cpu_s([server.pid]), cpu_s(self.database.pids())
        seen = self.receiver.seen()
        self._check(seen, expected, [secret])
        came = [at for _, _, at in seen["events"]]
        bare_s, bare_cpu_s = self._bare(seen["whole"], expected)
        return Throughput(
            database=self.database.dialect,
            round=number,
            events=expected,
            a_second=(expected - 1) / (max(came) - min(came)),
            bare_a_second=expected / bare_s,
            server_cpu_us=_each_us(before[0], after[0], expected),
            database_cpu_us=_each_us(before[1], after[1], expected) if self.database.pids() else None,
            bare_cpu_us=bare_cpu_s / expected * 1e6,
        )

    def soon(self, number: int) -> Soon:
        """Cancel at a constant rate, and compare when events were recorded and when they came."""
        (secret,) = self._endpoints("/soon")
        turns = self.database.sample.turns[MIXED]
        first = self.database.take(turns, 2 * RATE * self.seconds)
        asking = Asking(generator="python", credentials=self.credentials, connections=CONNECTIONS)
        with running(self._kind(), self.credentials, self.database) as server:
            command = in_python(asking, turns, server.port, first=first, seconds=self.seconds)
            done = subprocess.run([*command, "--rate", str(RATE)], check=True, stdout=subprocess.PIPE)
            self._until_caught_up()
        self.database.used(turns, json.loads(done.stdout)["used"])
        seen = self.receiver.seen()
        recorded = dict(
            _rows(
                self.database,
                "SELECT a.event_id, d.recorded_at FROM delivery_attempts AS a JOIN deliveries AS d ON"
                " d.endpoint = a.endpoint AND d.order_id = a.order_id AND d.order_version = a.order_version"
                " AND d.kind = a.kind",
            )
        )
        self._check(seen, len(recorded), [secret])
        took = sorted((at - int(recorded[event]) / 1e6) * 1000 for event, _, at in seen["events"])
        return Soon(
            database=self.database.dialect,
            round=number,
            events=len(took),
            p50_ms=statistics.median(took),
            p99_ms=took[len(took) * 99 // 100],
        )

    def giving_way(self, number: int) -> GivingWay:
        """Cancel without endpoints and with two, in turns; afterwards wait until everything is delivered."""
        alone = with_two = _Cancelled()
        found: dict[str, Any] = {}
        for has_two in (False, True) if number % 2 else (True, False):
            if not has_two:
                self._no_endpoints()
                alone = self._cancel(self._kind(), seconds=self.seconds)
                continue
            secrets = self._endpoints("/one", "/two")

            def after(server_pid: int) -> None:  # noqa: ARG001 - nothing more is asked of the server
                found["meanwhile"] = self.receiver.count()
                undispatched, waiting = self.database.row(_WAITS)
                found["backlog"] = 2 * undispatched + waiting
                began_s = time.perf_counter()
                self._until_caught_up()
                found["caught_up_s"] = time.perf_counter() - began_s

            with_two = self._cancel(self._kind(), seconds=self.seconds, after=after)
            (expected,) = self.database.row("SELECT count(*) FROM deliveries")
            self._check(self.receiver.seen(), expected, secrets)
        return GivingWay(
            database=self.database.dialect,
            round=number,
            alone_a_second=alone.a_second,
            with_two_a_second=with_two.a_second,
            alone_cpu_us=alone.cpu_us,
            with_two_cpu_us=with_two.cpu_us,
            delivered_meanwhile_a_second=found["meanwhile"] / (WARM_UP_S + self.seconds),
            backlog=found["backlog"],
            caught_up_s=found["caught_up_s"],
        )

    def _kind(self, *, deliveries: bool = True) -> Kind:
        own = {"webhook_secret_key": self.key, "webhook_allow_loopback": "true", "deliveries": str(deliveries)}
        return dataclasses.replace(BATCHED, settings={PREFIX + name.upper(): value for name, value in own.items()})

    def _cancel(
        self, kind: Kind, *, seconds: int = _PATIENCE_S, stop_after: int = 0, after: Any = None
    ) -> "_Cancelled":
        """Cancel over HTTP. `after` is called before the server stops."""
        turns = self.database.sample.turns[MIXED]
        first = self.database.used_until(turns)
        asking = Asking(generator=self.generator, credentials=self.credentials, connections=CONNECTIONS)
        self.database.settle()
        with running(kind, self.credentials, self.database) as server:
            if not stop_after:
                first = drive(asking, turns, server.port, first=first, seconds=WARM_UP_S).used
            pids = [server.pid, self.receiver.pid, *self.database.pids()]
            before, load_before = cpu_s(pids), resource.getrusage(resource.RUSAGE_CHILDREN)
            load = drive(asking, turns, server.port, first=first, seconds=seconds, stop_after=stop_after)
            used, load_after = cpu_s(pids), resource.getrusage(resource.RUSAGE_CHILDREN)
            load_s = load_after.ru_utime + load_after.ru_stime - load_before.ru_utime - load_before.ru_stime
            if after is not None:
                after(server.pid)
        self.database.used(turns, load.used)
        cpu_us = None if used is None or before is None else (used - before + load_s) / load.cancelled * 1e6
        return _Cancelled(a_second=load.cancels_a_second, cpu_us=cpu_us)

    def _no_endpoints(self) -> None:
        for table in _OF_DELIVERY:
            _change(self.database, f"DELETE FROM {table}")

    def _endpoints(self, *paths: str) -> Sequence[str]:
        """Begin with these endpoints alone, and return their secrets."""
        self._no_endpoints()
        self.receiver.seen()
        return asyncio.run(self._added(paths))

    async def _added(self, paths: Sequence[str]) -> Sequence[str]:
        settings = self._settings()
        database = await open_database(settings)
        try:
            async with endpoints_of(settings, database, _PUBLIC) as endpoints:
                return [(await endpoints.add(self.receiver.url + path, Subscription(), None)).secret for path in paths]
        finally:
            await database.close()

    def _settings(self) -> Settings:
        given: Mapping[str, str] = {**self.database.settings(), **self._kind().settings}
        named: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
        return read_settings(None, **named)

    def _until_seen(self, expected: int) -> None:
        ends_at = time.monotonic() + _PATIENCE_S
        while (count := self.receiver.count()) < expected:
            if time.monotonic() > ends_at:
                raise DeliveryError(f"{count} of {expected} events came")
            time.sleep(_LOOK_AGAIN_S)

    def _until_caught_up(self) -> None:
        ends_at = time.monotonic() + _PATIENCE_S
        while any(waits := self.database.row(_WAITS)):
            if time.monotonic() > ends_at:
                raise DeliveryError(f"{waits[0]} events and {waits[1]} deliveries wait")
            time.sleep(_LOOK_AGAIN_S)

    def _check(self, seen: Mapping[str, Any], expected: int, secrets: Sequence[str]) -> None:
        """Check that every delivery came once, and is logged once, and the signatures of some."""
        came = {(event, path) for event, path, _ in seen["events"]}
        delivered, logged = self.database.row(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'delivered'),"
            " (SELECT count(*) FROM delivery_attempts WHERE outcome = 'delivered')"
        )
        if not len(seen["events"]) == len(came) == delivered == logged == expected > 0:
            raise DeliveryError(
                f"{expected} deliveries were due; {len(seen['events'])} came, {len(came)} of them different; "
                f"{delivered} are marked, and {logged} logged as delivered"
            )
        for head, body in seen["whole"]:
            request = SignedRequest.of(_headers_of(head), body.encode("latin-1"))
            if unfit := why_unfit(request, endpoint_secrets=secrets, now_s=None):
                raise DeliveryError(unfit)

    def _bare(self, whole: Sequence[tuple[str, str]], count: int) -> tuple[float, float]:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            took = runner.run(self._sent([body.encode("latin-1") for _, body in whole], count))
        self.receiver.seen()
        return took

    async def _sent(self, bodies: Sequence[bytes], count: int) -> tuple[float, float]:
        """Send as many signed events as `count` with the product's client, and nothing else. Return wall and CPU."""
        settings = self._settings()
        database = await open_database(settings)
        async with endpoints_of(settings, database, _PUBLIC) as endpoints:
            (endpoint,) = await endpoints.all(None)
        await database.close()
        webhooks = webhooks_of(settings)
        numbers = iter(range(count))

        async def send_on() -> None:
            for number in numbers:
                result = await webhooks.send(_sending(endpoint, number, bodies[number % len(bodies)]))
                if result.error is not None:
                    raise DeliveryError(f"the bare loop: {result.detail}")

        await webhooks.send(_sending(endpoint, 0, bodies[0]))  # reads the certificate authorities
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(send_on())
        took = time.perf_counter() - began_s, time.process_time() - cpu_began_s
        await webhooks.sender.close()
        return took


def _sending(endpoint: Endpoint, number: int, body: bytes) -> Sending:
    return Sending(
        endpoint=endpoint,
        event_id=f"evt_connect-{number}_2_order_cancelled_0011aabb",
        order_version=2,
        attempt=1,
        previous=f"evt_connect-{number}_1_order_placed_0011aabb",
        body=body,
        content_type="application/json",
        headers=(),
        now=datetime.now(UTC),
    )


def _headers_of(head: str) -> Mapping[str, str]:
    lines = [line.partition(":") for line in head.split("\r\n")[1:]]
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _rows(database: OrdersDatabase, query: str) -> list[tuple[str, str]]:
    if isinstance(database, PostgresOrders):
        return [tuple(line.split("|")) for line in database.server.sql(query, database.name).splitlines()]  # type: ignore[misc]
    assert isinstance(database, SqliteOrders)
    with closing(sqlite3.connect(database.path)) as connection:
        return list(connection.execute(query))


def _change(database: OrdersDatabase, statement: str) -> None:
    if isinstance(database, PostgresOrders):
        database.server.sql(statement, database.name)
    else:
        assert isinstance(database, SqliteOrders)
        database.change(statement)


def _each_us(before: float | None, after: float | None, events: int) -> float | None:
    return None if before is None or after is None else (after - before) / events * 1e6

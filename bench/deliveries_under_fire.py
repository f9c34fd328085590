"""Delivers many events to four endpoints while nodes, database and receiver are killed, and shows that nothing is lost.

The endpoints are good, slow, failing half of the time, and dead until most events are there. Orders are written and
cancelled meanwhile. At the end, what arrived is compared with the feed of events and with the log of attempts: every
event at every endpoint, first arrivals in the order of each order's events, each naming the one before, signatures
right, and no repeat that no attempt explains. `--dead-cost` measures instead how long the good endpoint takes with and
without a dead one beside it. No test asserts a time.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from sqlalchemy import text

from countermand.actions.errors import CountermandError, UnforeseenDatabaseError
from countermand.bootstrap.database import Database, address_of, open_database
from countermand.delivery.secret_box import new_key
from countermand.domain.delivering.schedule import USUAL_SCHEDULE
from countermand.settings import read_settings
from countermand.storage.schema import migrate
from fire_checks import FedEvent, Findings, Tried, checked
from fire_orders import EVENTS_OF_A_CANCELLATION, EVENTS_OF_A_COPY, FIRST, Template, a_template, add_operator
from fire_processes import Node, ReceiverProcess
from fire_receiver import ALIVE, SECRETS, Arrival, Journal
from own_postgres import OwnPostgres
from processes import cpu_s

ENDPOINTS: Final = ("good", "slow", "failing", "dead")
PAUSES_S: Final = (0.5, *[1.0] * 39)  # so many that half of the time is no reason to give up
_COPIED_AT_ONCE: Final = 100
_AHEAD: Final = 5_000  # events that are written and not yet at the good endpoint
_CANCELLING: Final = 12
_AWAY_S: Final = 1.0  # how long a process that was killed stays away
_REVIVED_AT: Final = 0.7  # of the events at the good endpoint
_STALLED_S: Final = 180.0
_LOOK_EVERY_S: Final = 0.2
_DATABASE_ERRORS: Final = (CountermandError, UnforeseenDatabaseError)

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens: how many events, on which database, how many kills, and the pauses between attempts."""

    database: str
    events: int
    kills: int
    pauses_s: Sequence[float] = PAUSES_S
    slow_ms: int = 50

    @property
    def orders(self) -> int:
        """The number of orders: each has five events."""
        return max(1, self.events // (EVENTS_OF_A_COPY + EVENTS_OF_A_CANCELLATION))


class Fire:
    """A database with its nodes and the receiver. Use it as a context manager."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self.plan, self.folder, self.say = plan, folder, say
        self.on_sqlite = plan.database == "sqlite"
        self.server = None if self.on_sqlite else OwnPostgres({"max_connections": 200})
        self.journal = Journal(folder)
        self.arrivals: dict[str, list[Arrival]] = {name: [] for name in ENDPOINTS}
        self.accepted: dict[str, set[str]] = {name: set() for name in ENDPOINTS}
        self.ids: dict[str, str] = {}  # of the endpoints
        self.killed: dict[str, int] = defaultdict(int)
        self.written = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Make the database, and open it in this process, too."""
        settings: dict[str, Any] = {"database_path": str(self.folder / "fire.sqlite3")}
        if self.server is not None:
            await asyncio.to_thread(self.server.start)
            self._stack.callback(self.server.close)
            self.server.create_database("fire")
            settings = {"database_url": self.server.url("fire")}
        of_nodes = {f"COUNTERMAND_{name.upper()}": text for name, text in settings.items()}
        of_nodes["COUNTERMAND_WEBHOOK_SECRET_KEY"] = new_key()
        read = read_settings(None, **settings, database_busy_limit_s=60)
        await asyncio.to_thread(migrate, address_of(read))
        self.database: Database = await open_database(read)
        self._stack.push_async_callback(self.database.close)
        self._headers = {"Authorization": await add_operator(self.database)}
        self.template: Template = await a_template(self.database)
        numbers = range(1 if self.on_sqlite else 2)
        self.nodes = [Node(number, self.plan.pauses_s, of_nodes, self.folder) for number in numbers]
        self.receiver = ReceiverProcess(self.folder, self.plan.slow_ms)
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(headers=self._headers))
        for process in (self.receiver, *self.nodes):
            self._stack.callback(process.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self._stack.aclose()

    async def start_nodes(self) -> None:
        """Start the nodes, and wait until they are ready."""
        for node in self.nodes:
            node.start()
            await asyncio.to_thread(node.wait_until_ready)

    async def add_endpoints(self, names: Sequence[str]) -> None:
        """Add endpoints over HTTP, and start the receiver with their secrets."""
        secrets = {}
        for name in names:
            url = f"{self.nodes[0].url}/manage/v1/endpoints"
            async with self.http.post(url, json={"url": self.receiver.url_of(name)}) as answer:
                made = await answer.json()
                assert answer.status == 201, made  # noqa: PLR2004 - Created
            self.ids[name], secrets[name] = made["id"], made["secret"]
        (self.folder / SECRETS).write_text(json.dumps(secrets))
        self.receiver.start()

    async def page(self, after: str | None) -> dict[str, Any]:
        """Read a page of the feed."""
        parameters = {"limit": "1000"} | ({} if after is None else {"after": after})
        async with self.http.get(f"{self.nodes[-1].url}/manage/v1/events", params=parameters) as answer:
            answer.raise_for_status()
            page: dict[str, Any] = await answer.json()
            return page

    async def write_orders(self, cancel: bool = True) -> None:  # noqa: FBT001, FBT002 - of this script
        """Write all orders, never far ahead of the good endpoint, and cancel each over HTTP."""
        orders: asyncio.Queue[int] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            cancelling = [tasks.create_task(self._cancelling(orders)) for _ in range(_CANCELLING * cancel)]
            for first in range(0, self.plan.orders, _COPIED_AT_ONCE):
                number = min(_COPIED_AT_ONCE, self.plan.orders - first)
                await self._copied(FIRST + first, number)
                for order in range(FIRST + first, FIRST + first + number):
                    orders.put_nowait(order)
                while cancel and self.written - len(self.accepted["good"]) > _AHEAD:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY_S)
            if cancel:
                await orders.join()
            for task in cancelling:
                task.cancel()

    async def _copied(self, first: int, number: int) -> None:
        """Copy the order; a commit whose answer was lost is looked for."""
        while True:
            try:
                if not await self.rows(f"SELECT id FROM orders WHERE id = {first}"):
                    await self.template.copy(self.database, first, number)
                self.written += number * EVENTS_OF_A_COPY
            except _DATABASE_ERRORS:
                await asyncio.sleep(_AWAY_S)
            else:
                return

    async def _cancelling(self, orders: "asyncio.Queue[int]") -> None:
        nodes = itertools.cycle(self.nodes)
        while True:
            order = await orders.get()
            while True:
                url = f"{next(nodes).url}/manage/v1/orders/connect-{order}/cancel"
                with suppress(aiohttp.ClientError, OSError):
                    async with self.http.post(url, json={"reason": "under fire"}) as answer:
                        if answer.status in {200, 409}:  # 409: the answer of an attempt before was lost
                            break
                await asyncio.sleep(_LOOK_EVERY_S)
            self.written += EVENTS_OF_A_CANCELLATION
            orders.task_done()

    async def rows(self, query: str) -> Sequence[Any]:
        """Read rows."""
        async with self.database.store.snapshot() as reading:
            return await reading.rows(text(query))

    def look(self) -> int:
        """Read the new arrivals, and return their number."""
        number = 0
        for arrival in self.journal.new():
            number += 1
            self.arrivals[arrival.path].append(arrival)
            if arrival.accepted:
                self.accepted[arrival.path].add(arrival.event_id)
        return number

    async def kill_one(self, what: str) -> None:
        """Kill a node, the database or the receiver, and start it again after a while."""
        self.killed[what] += 1
        self.say(f"kill -9 of {what}")
        if what == "database":
            assert self.server is not None
            await asyncio.to_thread(self.server.kill)
            await asyncio.sleep(_AWAY_S)
            await asyncio.to_thread(self.server.start)
            return
        killed = self.receiver if what == "receiver" else self.nodes[self.killed[what] % len(self.nodes)]
        await asyncio.to_thread(killed.kill)
        await asyncio.sleep(_AWAY_S)
        killed.start()
        if isinstance(killed, Node):
            await asyncio.to_thread(killed.wait_until_ready)

    async def is_done(self) -> bool:
        """Return whether every event was handed out, and nothing waits."""
        with suppress(*_DATABASE_ERRORS):
            waits = await self.rows("SELECT count(*) AS n FROM outbox WHERE delivered_at IS NULL")
            lanes = await self.rows("SELECT count(*) AS n FROM delivery_lanes")
            return bool(waits[0]["n"] == lanes[0]["n"] == 0)
        return False


async def under_fire(plan: Plan, folder: Path, say: Say) -> dict[str, Findings]:
    """Carry the plan out, and return what was found at each endpoint."""
    async with Fire(plan, folder, say) as fire:
        await fire.start_nodes()
        begin = (await _until_answered(lambda: fire.page(None)))["next"]
        await fire.add_endpoints(ENDPOINTS)
        began = time.monotonic()
        writing = asyncio.create_task(fire.write_orders())
        await _watched(fire, writing, began)
        await writing
        fire.look()
        say(f"everything was delivered after {time.monotonic() - began:.0f} s; killed: {dict(fire.killed)}")
        assert not any("Traceback" in node.log for node in fire.nodes), "a node logged an error that is a bug"
        return await _found(fire, begin)


async def _watched(fire: Fire, writing: "asyncio.Task[None]", began: float) -> None:
    """Kill at even distances, revive the dead endpoint, and return once all is delivered. Raises `TimeoutError`."""
    plan = fire.plan
    targets = itertools.cycle(("node", "receiver") if fire.on_sqlite else ("node", "database", "receiver"))
    total = plan.orders * (EVENTS_OF_A_COPY + EVENTS_OF_A_CANCELLATION)
    kills, said, moved = 0, began, time.monotonic()
    killing: asyncio.Task[None] | None = None
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now = time.monotonic()
        moved = now if fire.look() else moved
        progress = sum(len(ids) for ids in fire.accepted.values()) / total / len(ENDPOINTS)
        if len(fire.accepted["good"]) >= total * _REVIVED_AT and not (fire.folder / ALIVE).exists():
            fire.say("the dead endpoint lives")
            (fire.folder / ALIVE).touch()
        if killing is not None and killing.done():
            await killing  # raises what went wrong
            killing = None
        if killing is None and kills < plan.kills and progress >= (kills + 1) / (plan.kills + 2):
            kills += 1
            killing = asyncio.create_task(fire.kill_one(next(targets)))
        if now - said > 5:  # noqa: PLR2004 - seconds
            said = now
            counts = ", ".join(f"{name} {len(fire.accepted[name]):,}" for name in ENDPOINTS)
            fire.say(f"{now - began:4.0f} s: written {fire.written:,}; accepted: {counts}")
        if writing.done() and killing is None and kills == plan.kills and await fire.is_done():
            return
        if now - moved > _STALLED_S:
            raise TimeoutError(f"nothing arrived for {_STALLED_S:.0f} s")


async def _until_answered(ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    while True:
        with suppress(aiohttp.ClientError, OSError):
            return await ask()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _found(fire: Fire, begin: str) -> dict[str, Findings]:
    """Read the feed and the log of attempts, and compare each endpoint's arrivals with them."""
    fed, cursor = [], begin
    while True:
        page = await _until_answered(lambda after=cursor: fire.page(after))  # type: ignore[misc]
        if not page["events"]:
            break
        cursor = page["next"]
        for one in page["events"]:
            subject = one["order"] or one["data"]["endpoint"]
            fed.append(FedEvent(id=one["id"], subject=subject, version=one["version"]))
    (outbox,) = await fire.rows("SELECT count(*) AS n FROM outbox")
    assert outbox["n"] == len(fed) + EVENTS_OF_A_COPY, (outbox["n"], len(fed))  # the order that was copied is not in it
    found = {}
    for name in ENDPOINTS:
        logged = await fire.rows(
            "SELECT event_id, count(*) AS tried, count(CASE WHEN error <> 'status' THEN 1 END) AS silent,"
            " count(CASE WHEN error = 'cut_off' THEN 1 END) AS cut_off FROM delivery_attempts"
            f" JOIN endpoints ON endpoints.number = endpoint WHERE id = '{fire.ids[name]}' GROUP BY event_id"
        )
        tried = {row["event_id"]: Tried(all=row["tried"], without_answer=row["silent"]) for row in logged}
        cut_off = sum(row["cut_off"] for row in logged)
        found[name] = checked(fire.arrivals[name], fed, tried, cut_off, fire.ids[name])
    return found


@dataclass(frozen=True, kw_only=True)
class Drained:
    """How long the good endpoint took for all events, and the processor time of nodes and PostgreSQL meanwhile."""

    wall_s: float
    cpu_s: float


async def drained(plan: Plan, folder: Path, say: Say, *, with_dead: bool) -> Drained:
    """Write all events before the nodes start, and return what it took until the good endpoint had them."""
    async with Fire(plan, folder, say) as fire:
        await fire.start_nodes()
        await fire.add_endpoints(("good", "dead") if with_dead else ("good",))
        for node in fire.nodes:
            await asyncio.to_thread(node.kill)
        await fire.write_orders(cancel=False)
        await fire.start_nodes()
        pids = [node.pid for node in fire.nodes]
        if fire.server is not None and fire.server.pid is not None:
            pids.append(fire.server.pid)
        began, cpu_began = time.monotonic(), cpu_s(pids) or 0.0
        while len(fire.accepted["good"]) < fire.written:
            await asyncio.sleep(0.02)
            fire.look()
        return Drained(wall_s=time.monotonic() - began, cpu_s=(cpu_s(pids) or 0.0) - cpu_began)


def dead_cost(plan: Plan, rounds: int, say: Say) -> None:
    """Measure pairs of runs by the usual schedule, with and without the dead endpoint, in turns. Print the ratios."""
    plan = replace(plan, pauses_s=[pause.total_seconds() for pause in USUAL_SCHEDULE.pauses])
    walls, cpus = [], []
    for number in range(rounds):
        took: dict[bool, Drained] = {}
        for with_dead in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                took[with_dead] = asyncio.run(drained(plan, Path(folder), say, with_dead=with_dead))
        alone, beside = took[False], took[True]
        walls.append(beside.wall_s / alone.wall_s)
        cpus.append(beside.cpu_s / alone.cpu_s)
        say(
            f"round {number + 1}: alone {alone.wall_s:.2f} s (CPU {alone.cpu_s:.2f} s), beside a dead one "
            f"{beside.wall_s:.2f} s (CPU {beside.cpu_s:.2f} s): {walls[-1]:.3f} (CPU {cpus[-1]:.3f})"
        )
    say(
        "the good endpoint beside a dead one over the good endpoint alone: "
        f"time, median {statistics.median(walls):.3f}; CPU, median {statistics.median(cpus):.3f}"
    )


def main() -> int:
    """Run what the command line says. Returns 1 if there is any fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=9)
    parser.add_argument("--dead-cost", type=int, metavar="ROUNDS", help="measure the cost of a dead endpoint instead")
    given = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f}] {line}", flush=True)

    plan = Plan(database=given.database, events=given.events, kills=given.kills)
    if given.dead_cost:
        dead_cost(plan, given.dead_cost, say)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(under_fire(plan, Path(folder), say))
    for name, one in found.items():
        say(f"{name}: {one}")
    faults = {name: one.faults() for name, one in found.items() if one.faults()}
    say(f"faults: {faults}" if faults else "no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())

"""`countermand serve --workers`: several processes behind one address, and what becomes of them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from countermand.bootstrap.clock import utc_now
from support.postgres import a_database
from support.processes import countermand, forked
from support.serving import Served, a_connection, a_server, environment_of, next_answer, request
from support.world import World, a_world

CONNECT = "/api/connect/orders/cancel"
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
WORKERS = 2

OutboxRecord = TypeVar("OutboxRecord")


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, "postgres") as world:
        world.clock.now = utc_now()
        yield world


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def server(made: World, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("TMPDIR", str(temporary))  # for those whose parent is killed, and cleans nothing up
    with a_server(made, "--workers", str(WORKERS), database_url=url_of(made), log_format="json") as running:
        yield running


async def test_all_answer_with_commands_of_their_own_and_one_scrape_tells_the_sum_over_all(made: World, server: Served):
    partner = await made.connect_client()
    orders = [await made.service_order(partner) for _ in range(40)]
    headers = made.connect_headers(partner)
    assert len(workers_of(server)) == WORKERS

    async def cancel(order: int) -> int:
        async with server.client(headers=headers) as http:  # a connection each, which any worker may take
            return (await http.post(CONNECT, json={"orderId": order})).status_code

    statuses = [await cancel(order) for order in orders] + [await cancel(order) for order in orders[:10]]
    assert await until(lambda: sample(server, "countermand_connect_requests_total"), lambda number: number == 50)
    assert (statuses.count(200), statuses.count(422)) == (40, 10)
    done = await until(lambda: cancellations(server), lambda counted: sum(counted.values()) == 50)
    assert done == {("cancelled", ""): 40, ("refused", "order_not_cancellable"): 10}
    assert await sample(server, "countermand_workers") == WORKERS
    prefixes = {str(row["order_id"]): row["command_id"][:16] for row in await made.rows("cancellations")}
    assert len(prefixes) == 40
    assert await sample(server, "process_cpu_seconds_total") > 0
    of_all = await sample(server, "process_virtual_memory_bytes")
    assert of_all > max(virtual_memory_bytes(pid) for pid in workers_of(server)), "the sum of all, not of one"
    assert len(await made.rows("cancellations")) == 40
    lines = [line for line in server.log_lines if line["event"] == "request"]
    assert len(lines) == 50
    assert {line["worker"] for line in lines} == {1, 2}
    by_worker = {
        (line["worker"], prefixes[line["order"].removeprefix("connect-")]) for line in lines if line["status"] == 200
    }
    assert len(by_worker) == len(set(prefixes.values())) == len({worker for worker, _ in by_worker})


async def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays_counted(made: World, server: Served):
    partner = await made.connect_client()
    orders = [await made.service_order(partner) for _ in range(20)]

    async def cancel(order: int) -> int:
        async with server.client(headers=made.connect_headers(partner)) as http:
            return (await http.post(CONNECT, json={"orderId": order})).status_code

    assert {await cancel(order) for order in orders[:10]} == {200}
    await until(lambda: cancellations(server), lambda counted: sum(counted.values()) == 10)
    before = workers_of(server)
    os.kill(before[0], signal.SIGKILL)
    after = await until(lambda: found(server), lambda pids: len(pids) == WORKERS and before[0] not in pids)
    assert before[1] in after, "the other one goes on"
    assert {await cancel(order) for order in orders[10:]} == {200}
    assert await until(lambda: sample(server, "countermand_workers"), lambda number: number == WORKERS) == WORKERS
    counted = await until(lambda: cancellations(server), lambda counted: sum(counted.values()) == 20)
    assert counted == {("cancelled", ""): 20}
    (ended,) = [line for line in server.log_lines if line["event"] == "a worker ended"]
    assert (ended["exit_code"], ended["level"]) == (-signal.SIGKILL, "error")
    assert server.stop() == 0


@pytest.mark.slow
async def test_one_that_dies_at_once_again_and_again_is_given_longer_and_longer_pauses(server: Served):
    stays = workers_of(server)[1]

    # On a busy machine a worker can live longer than "at once" before it is killed: the row of pauses begins again.
    def grew_three_times(told: list[float]) -> bool:
        return len(told) >= 3 and 0 < told[-3] < told[-2] < told[-1]

    for times in range(1, 12):
        (fresh,) = await until(lambda: others(server, stays), lambda pids: len(pids) == 1)
        os.kill(fresh, signal.SIGKILL)
        told = await until(lambda: pauses(server), lambda told, times=times: len(told) == times)
        if grew_three_times(told):
            break

    assert grew_three_times(await pauses(server))
    async with server.client() as http:
        assert (await http.get("/readyz")).status_code == 200
    assert server.stop() == 0, "and a pause holds up no stop"


@pytest.mark.parametrize("told", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_told_to_stop_all_answer_what_they_have_taken_and_end_and_leave_nothing(
    told: signal.Signals, made: World, server: Served, temporary: Path
):
    assert any(name.startswith("countermand-") for name in names_in(temporary))
    partner = await made.connect_client()
    order_id = await made.service_order(partner)
    sent = request("POST", CONNECT, made.connect_headers(partner), json.dumps({"orderId": order_id}).encode())
    workers = workers_of(server)
    with a_connection(server.port) as under_way:
        under_way.sendall(sent[:-5])
        async with server.client() as http:
            assert (await http.get("/healthz")).status_code == 200
        server.process.send_signal(told)
        if told is signal.SIGINT:  # Ctrl-C reaches every process of the terminal
            for worker in workers:
                os.kill(worker, told)
        await until_refused(server.port)
        under_way.sendall(sent[-5:])
        status, _, body, _ = next_answer(under_way)
        assert (status, body) == (200, b"")
    assert server.process.wait(120) == 0
    assert [pid for pid in workers if is_alive(pid)] == []
    assert names_in(temporary) == []
    assert len(await made.rows("cancellations", order_id)) == 1
    assert [line for line in server.log_lines if line["level"] in {"error", "critical"}] == []


@pytest.mark.slow
async def test_when_the_parent_is_killed_the_workers_stop_too(server: Served):
    workers = workers_of(server)
    server.kill()
    await until(lambda: living(workers), lambda alive: alive == [])
    await until_refused(server.port)


def test_where_none_can_start_it_says_why_once_and_ends():
    with a_database(migrated=False) as url:
        ran = countermand("serve", "--workers", "2", "--port", "0", environment={"COUNTERMAND_DATABASE_URL": url})
        said, complained = ran.communicate(timeout=120)

    assert (ran.returncode, said) == (2, "")
    sentences = [line for line in complained.splitlines() if line.startswith("countermand: ")]
    assert len(sentences) == 1
    assert "countermand migrate" in sentences[0]
    assert "Traceback" not in complained
    assert "a worker ended" not in complained


async def test_a_port_that_is_taken_is_said_before_any_worker_starts(made: World):
    with a_server(made, database_url=url_of(made)) as server:
        second = forked(
            *("serve", "--workers", "2", "--port", str(server.port)),
            environment=environment_of(made, database_url=url_of(made)),
        )
        said, complained = second.communicate(timeout=120)

        assert (second.returncode, said) == (2, "")
        assert f"cannot listen on 127.0.0.1:{server.port}" in complained
        async with server.client() as http:
            assert (await http.get("/readyz")).status_code == 200


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def url_of(made: World) -> str:
    assert made.settings.database_url is not None
    return made.settings.database_url.get_secret_value()


def workers_of(server: Served) -> list[int]:
    """The parent's children that serve, oldest first; another one cleans up after them."""
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return sorted(int(pid) for pid in children if is_alive(int(pid)) and b"spawn_main" in command_line(int(pid)))


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def found(server: Served) -> list[int]:
    return workers_of(server)


async def others(server: Served, stays: int) -> list[int]:
    return [pid for pid in workers_of(server) if pid != stays]


async def living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


async def pauses(server: Served) -> list[float]:
    return [line["again_in_s"] for line in server.log_lines if line["event"] == "a worker ended"]


def virtual_memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


async def scraped(server: Served) -> list[Any]:
    async with server.client() as http:
        page = await http.get("/metrics", headers=OPEN_METRICS)
    assert page.status_code == 200
    return [one for family in text_string_to_metric_families(page.text) for one in family.samples]


async def sample(server: Served, name: str) -> float:
    (one,) = [one for one in await scraped(server) if one.name == name]
    return float(one.value)


async def cancellations(server: Served) -> dict[tuple[str, str], float]:
    return {
        (one.labels["outcome"], one.labels["code"]): one.value
        for one in await scraped(server)
        if one.name == "countermand_cancellations_total" and one.value
    }


async def until(ask: Callable[[], Awaitable[OutboxRecord]], holds: Callable[[OutboxRecord], bool]) -> OutboxRecord:
    """The first answer that holds."""
    async with asyncio.timeout(120):
        while True:
            if holds(told := await ask()):
                return told
            await asyncio.sleep(0.05)


async def until_refused(port: int) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                a_connection(port).close()
            except OSError:
                return
            await asyncio.sleep(0.02)

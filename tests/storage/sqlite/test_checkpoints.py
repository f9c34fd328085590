"""Checkpoints run in a thread: nobody waits for them, the log stays short, and one that is cut off loses nothing."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import UnavailableError
from countermand.storage.sqlite import checkpoints as module
from countermand.storage.sqlite.checkpoints import Checkpoints
from support.checkpointing import BEGINS, ENDS
from support.races import another_process_writes, column, count
from support.world import World, a_world

Log = list[tuple[str, int, int]]  # by checkpoint: its thread, the pages of the log, and those not written back

_CUTS = 2
_ATTEMPTS = 20


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass after each ten rows, and a log of 50 pages is long."""
    monkeypatch.setattr(module, "_ROWS_BETWEEN_PASSES", 10)
    monkeypatch.setattr(module, "_LONG_LOG_PAGES", 50)
    monkeypatch.setattr(module, "_LITTLE_PAGES", 5)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Log:
    """What the checkpoints do from now on."""
    seen: Log = []
    real = Checkpoints._checkpoint_here

    def noted(self: Checkpoints, mode: str) -> tuple[int, int]:
        pages, left = real(self, mode)
        seen.append((threading.current_thread().name, pages, left))
        return pages, left

    monkeypatch.setattr(Checkpoints, "_checkpoint_here", noted)
    return seen


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("write", ["place", "cancel"])
async def test_each_kind_of_writer_has_its_log_written_back_in_a_thread(sqlite_world: World, seen: Log, write: str):
    me = await sqlite_world.connect_client()
    orders = [await sqlite_world.service_order(me) for _ in range(10)]
    await ended(sqlite_world)
    seen.clear()
    for order_id in orders:
        await (sqlite_world.service_order(me) if write == "place" else sqlite_world.cancel(me, order_id))
    await ended(sqlite_world)
    assert seen
    assert {thread for thread, _, _ in seen} == {"checkpoints_0"}
    assert all(left == 0 for _, _, left in seen)


@pytest.mark.usefixtures("often")
async def test_a_log_that_is_written_all_the_time_begins_anew(sqlite_world: World, seen: Log):
    me = await sqlite_world.connect_client()

    async def writes() -> None:
        for _ in range(50):
            await sqlite_world.cancel(me, await sqlite_world.service_order(me))

    await asyncio.gather(*(writes() for _ in range(4)))
    await ended(sqlite_world)
    lengths = [pages for _, pages, _ in seen]
    anew = sum(later < earlier for earlier, later in pairwise(lengths))
    assert anew >= 3
    assert max(lengths) < 50 * 10
    assert len(await sqlite_world.rows("cancellations")) == 200


@pytest.mark.usefixtures("often")
async def test_a_reader_keeps_the_log_only_as_long_as_it_reads(sqlite_world: World, seen: Log):
    me = await sqlite_world.connect_client()
    async with sqlite_world.database.store.snapshot() as reading:
        before = await reading.schema()
        for _ in range(40):
            await sqlite_world.service_order(me)
        assert await reading.schema() == before
    await ended(sqlite_world)
    long = max(pages for _, pages, _ in seen)
    assert long > 50
    for _ in range(20):
        await sqlite_world.service_order(me)
    await ended(sqlite_world)
    assert seen[-1][1] < long


@pytest.mark.usefixtures("often")
async def test_cancellations_and_reads_go_on_during_a_checkpoint(sqlite_world: World, monkeypatch: pytest.MonkeyPatch):
    me = await sqlite_world.connect_client()
    orders = [await sqlite_world.service_order(me) for _ in range(3)]
    with held_up(monkeypatch) as (has_begun, _):
        for order_id in orders[:2]:
            sqlite_world.database.store._checkpoints.committed(10)
            assert isinstance(await sqlite_world.cancel(me, order_id), Cancelled)
            await asyncio.to_thread(has_begun.wait, 60)
        async with sqlite_world.database.store.snapshot() as reading:
            assert len(await reading.orders(orders)) == 3
        await sqlite_world.service_order(me)
    assert isinstance(await sqlite_world.cancel(me, orders[2]), Cancelled)


async def test_a_checkpoint_that_fails_fails_no_request_and_the_next_one_succeeds(
    sqlite_world: World, seen: Log, monkeypatch: pytest.MonkeyPatch
):
    me = await sqlite_world.connect_client()
    monkeypatch.setattr(module, "_ROWS_BETWEEN_PASSES", 1)

    def broken(_path: Path) -> None:
        raise UnavailableError("the disk is away")

    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(module, "connect", broken)
        order_id = await sqlite_world.service_order(me)
        await ended(sqlite_world)
    assert {line["reason"] for line in lines if "checkpoint" in line["event"]} == {"the disk is away"}
    assert seen == []
    assert isinstance(await sqlite_world.cancel(me, order_id), Cancelled)
    await ended(sqlite_world)
    assert seen


@pytest.mark.usefixtures("often")
async def test_a_checkpoint_does_not_wait_for_another_process_that_writes(sqlite_world: World, seen: Log):
    me = await sqlite_world.connect_client()
    for _ in range(20):
        await sqlite_world.service_order(me)
    await ended(sqlite_world)
    seen.clear()
    with another_process_writes(sqlite_world.settings.database_path):
        sqlite_world.database.store._checkpoints.committed(10)
        await ended(sqlite_world)
    assert len(seen) >= 1


@pytest.mark.usefixtures("often")
async def test_the_log_can_be_emptied_while_checkpoints_run(sqlite_world: World):
    me = await sqlite_world.connect_client()
    for _ in range(20):
        await sqlite_world.service_order(me)
    assert log_bytes(sqlite_world)
    sqlite_world.database.store._checkpoints.committed(10)
    await sqlite_world.database.store.empty_log()
    await ended(sqlite_world)
    assert log_bytes(sqlite_world) == 0
    assert len(await sqlite_world.rows("orders")) == 20


@pytest.mark.usefixtures("often")
async def test_a_service_that_stops_in_the_middle_of_a_checkpoint_leaves_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with held_up(monkeypatch) as (has_begun, goes_on):
        async with a_world(tmp_path) as world:
            me = await world.connect_client()
            for _ in range(5):
                await world.service_order(me)
            await asyncio.to_thread(has_begun.wait, 60)
            asyncio.get_running_loop().call_later(0.1, goes_on.set)
    assert log_bytes(world) is None
    assert count(world.settings.database_path, "SELECT count(*) FROM orders") == 5


@pytest.mark.long
async def test_a_checkpoint_that_is_killed_loses_nothing(tmp_path: Path):
    async with a_world(tmp_path) as world:
        await world.connect_client()
    path, acknowledged, cuts = world.settings.database_path, set[int](), 0
    for attempt in range(_ATTEMPTS):
        committed, was_cut = killed_in_a_checkpoint(path, number=1 + attempt % 3)
        acknowledged |= committed
        cuts += was_cut
        assert acknowledged <= set(column(path, "SELECT order_id FROM cancellations"))
        assert acknowledged <= set(column(path, "SELECT id FROM orders WHERE state = 'cancelled'"))
        assert column(path, "PRAGMA integrity_check") == ["ok"]
        if cuts == _CUTS:
            break
    assert cuts == _CUTS
    halves = "SELECT count(*) FROM orders LEFT JOIN cancellations ON order_id = id"
    assert count(path, f"{halves} WHERE (orders.state = 'cancelled') != (order_id IS NOT NULL)") == 0


def killed_in_a_checkpoint(path: Path, *, number: int) -> tuple[set[int], bool]:
    """Start a process that writes, and kill it when its checkpoint with this number begins.

    Return the orders that it said it had cancelled, and whether the checkpoint was cut off.
    """
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "support.checkpointing", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=here) as process:
        assert process.stdout is not None
        begun, said = 0, list[str]()
        for line in process.stdout:
            said.append(line.strip())
            begun += said[-1] == BEGINS
            if begun == number:
                process.kill()
                break
        said += [line.strip() for line in process.stdout]
    acknowledged = {int(one) for line in said if line not in {BEGINS, ENDS} for one in line.split()}
    return acknowledged, said.count(ENDS) < said.count(BEGINS)


async def ended(world: World) -> None:
    """Wait until no checkpoint runs."""
    running = world.database.store._checkpoints._running
    if running is not None:
        await asyncio.wait([running])


def log_bytes(world: World) -> int | None:
    """The size of the log's file; None if there is none."""
    log = Path(f"{world.settings.database_path}-wal")
    return log.stat().st_size if log.exists() else None


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Checkpoints set the first event, and wait for the second one or the end of the block."""
    has_begun, goes_on = threading.Event(), threading.Event()
    real: Callable[[Checkpoints, str], tuple[int, int]] = Checkpoints._checkpoint_here

    def held(self: Checkpoints, mode: str) -> tuple[int, int]:
        has_begun.set()
        goes_on.wait(60)
        return real(self, mode)

    monkeypatch.setattr(Checkpoints, "_checkpoint_here", held)
    try:
        yield has_begun, goes_on
    finally:
        goes_on.set()

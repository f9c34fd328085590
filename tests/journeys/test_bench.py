"""The benchmark itself: it says what it promises, and a database that does not hold what was answered is found out."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from check import CheckError, Counts, check, counts
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import open_database
from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.settings import read_settings
from databases import OrdersDatabase, PostgresOrders, SqliteOrders
from own_postgres import OwnPostgres
from report import AIMS
from sample import MIXED, Sample, make_sample
from support.contracts import CONNECT, SHOPPING
from support.elsewhere import elsewhere

BENCH = Path(__file__).parents[2] / "bench"
DONE = 30
LATE_S = 20

OF_A_RUN = {"cancels_a_second", "p50_ms", "p99_ms", "server_cpu_us", "rss_mb", "answered_200", "found_cancelled"}


# what it says


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quick_run_measures_and_checks_everybody_and_writes_the_figures(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text((BENCH.parent / "docs" / "performance.md").read_text())
    quickest = ["--quick", "--seconds", "1", "--warm-up", "0", "--flatness-orders", "20000"]

    ran = subprocess.run(
        [sys.executable, BENCH / "run.py", *quickest, "--results", tmp_path, "--page", page],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    told = json.loads((tmp_path / "latest.json").read_text())
    assert told["postgresql"].keys() == AIMS["postgresql"].keys() - {"lone_p50_over_unbatched", "e2e_over_pgbench_at_8"}
    assert told["sqlite"].keys() == AIMS["sqlite"].keys() - {"lone_p50_over_unbatched"}
    figures = [figure for database in ("postgresql", "sqlite") for figure in told[database].values()]
    assert all(0 < figure["min"] <= figure["median"] <= figure["max"] for figure in figures)
    ran_kinds = {(run["database"], run["orders"], run["kind"]) for run in told["runs"]}
    assert ran_kinds == {
        ("postgresql", "mixed", "no-op"),
        ("postgresql", "mixed", "batched"),
        ("postgresql", "mixed", "pgbench"),
        ("postgresql", "mixed", "unbatched"),
        ("postgresql", "mixed", "two workers"),
        ("postgresql", "bare", "batched"),
        ("postgresql", "bare", "pgbench"),
        ("sqlite", "mixed", "no-op"),
        ("sqlite", "mixed", "batched"),
        ("sqlite", "mixed", "unbatched"),
    }
    assert all(run.keys() >= OF_A_RUN for run in told["runs"])
    for run in told["runs"]:
        assert run["answered_200"] > 0
        if run["kind"] == "no-op":
            assert run["found_cancelled"] == 0
        else:
            assert run["answered_200"] <= run["found_cancelled"] <= run["answered_200"] + 2 * run["connections"]
    assert f"| `e2e_over_pgbench` | {AIMS['postgresql']['e2e_over_pgbench'].means} | ≥ 2 | " in page.read_text()
    assert not [path for path in tmp_path.iterdir() if path not in (page, tmp_path / "latest.json")]


# what it checks


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample"), orders=300, seed=1)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def filled(
    sample: Sample, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OrdersDatabase, Callable[[str], object]]]:
    """A database of the benchmark's, and how to meddle with it."""
    if request.param == "sqlite":
        database = SqliteOrders(sample, tmp_path_factory.mktemp("sqlite"))
        yield database, database.change
        return
    with OwnPostgres() as server:
        orders = PostgresOrders(sample, server)
        yield orders, lambda statement: server.sql(statement, orders.name)


@pytest.fixture
def cancelled(filled: tuple[OrdersDatabase, Callable[[str], object]]) -> Iterator[tuple[OrdersDatabase, Counts]]:
    """The first orders in turn, cancelled by the product; with what was there before."""
    database, _ = filled
    database.restore()
    before = counts(database)
    commands = [_command(line) for line in database.sample.turns[MIXED].requests.read_text().splitlines()[:DONE]]
    assert elsewhere(_cancel, database, commands) == DONE
    return database, before


def test_what_the_product_did_is_found_whole(cancelled):
    database, before = cancelled

    assert found(database, before) == DONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"answered": DONE + 1},
        {"answered": DONE - 3, "under_way": 2},
        {"until": DONE - 1},
    ],
    ids=["an answer without a cancellation", "a cancellation without an answer", "an order that nobody asked for"],
)
def test_answers_that_do_not_fit_are_found_out(cancelled, wrong):
    database, before = cancelled

    with pytest.raises(CheckError):
        found(database, before, **wrong)


@pytest.mark.parametrize(
    "meddle",
    [
        "UPDATE orders SET state = 'pending' WHERE id = (SELECT min(order_id) FROM cancellations)",
        "UPDATE orders SET state = 'cancelled' WHERE id = (SELECT max(id) FROM orders WHERE state <> 'cancelled')",
        "DELETE FROM cancellations WHERE order_id = (SELECT min(order_id) FROM cancellations)",
        "UPDATE cancellations SET order_id = 1 - order_id WHERE order_id = (SELECT min(order_id) FROM cancellations)",
        "DELETE FROM outbox WHERE kind = 'order.cancelled' AND order_id = (SELECT max(order_id) FROM cancellations)",
        "DELETE FROM outbox WHERE kind = 'appointment.cancelled'",
        "UPDATE appointments SET state = 'booked', cancelled_at = NULL WHERE cancelled_at IS NOT NULL",
        "UPDATE tickets SET valid = TRUE WHERE number = 1 AND NOT valid",
        "UPDATE tickets SET valid = FALSE WHERE order_id = (SELECT max(order_id) FROM tickets WHERE valid)",
        "UPDATE products SET availability = availability - 1 WHERE uid = (SELECT min(uid) FROM products)",
        (
            "UPDATE products SET availability = availability"
            " + CASE WHEN uid = (SELECT min(uid) FROM products) THEN 1 ELSE -1 END"
            " WHERE uid IN (SELECT min(uid) FROM products UNION SELECT max(uid) FROM products)"
        ),
    ],
)
def test_a_database_that_was_meddled_with_is_found_out(filled, cancelled, meddle):
    database, before = cancelled
    _, change = filled

    change(meddle)

    with pytest.raises(CheckError):
        found(database, before)


def found(database: OrdersDatabase, before: Counts, **other: int) -> int:
    """What the check finds, after `DONE` answers to the first `DONE` turns."""
    said = {"answered": DONE, "under_way": 0, "first": 0, "until": DONE}
    return check(database, database.sample.turns[MIXED], before, **said | other)


async def _cancel(database: OrdersDatabase, commands: list[CancelOrder]) -> int:
    environment = {name.removeprefix("COUNTERMAND_").lower(): value for name, value in database.settings().items()}
    opened = await open_database(read_settings(**environment))
    try:
        return len(await opened.cancellations.cancel(commands, utc_now()))
    finally:
        await opened.close()


def _command(line: str) -> CancelOrder:
    by_uid, client, name = line[0] == "s", int(line[1:4]) + 1, line[5:].strip()
    return CancelOrder(
        command_id=CommandId(f"{line[5:].strip():0>32}"),
        order_id=order_id_of(name) if by_uid else OrderId(int(name)),
        actor=Actor(ClientId(client), SHOPPING.channel if by_uid else CONNECT.channel),
        reason="The visitor cannot come" if by_uid else None,
    )


# what it leaves behind


@pytest.mark.slow
def test_a_server_goes_with_whoever_started_it_even_when_that_one_is_killed():
    program = (
        "import time; from own_postgres import OwnPostgres; server = OwnPostgres(); server.start();"
        "print(server.folder, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=BENCH)
    assert starter.stdout is not None
    folder = Path(starter.stdout.readline().strip())
    postmaster = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    assert runs(postmaster)

    starter.kill()
    starter.communicate()

    ends_at = time.monotonic() + LATE_S
    while (runs(postmaster) or folder.exists()) and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert not runs(postmaster)
    assert not folder.exists()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

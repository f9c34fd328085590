"""Measure the cancellation path: durable cancels a second over HTTP, on SQLite, beside what they could be at best.

Three servers take turns, round by round, each on a fresh copy of the same orders: the product; the same with a
transaction for each cancellation; and the same with no store at all. After each run the database is held against what
was answered. Results go to bench/results/, and are never asserted in a test.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from check import CheckError, check
from driving import LoadError, drive, generators
from report import Measured, surroundings, tables, write_results
from sample import Sample, make_sample
from servers import KINDS, Kind, ServerError, running

_HERE = Path(__file__).parent


def main() -> int:
    """Measure, write the results, and say them."""
    given = _arguments()
    given.work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=given.work_dir) as name:
        work = Path(name)
        (work / ".gitignore").write_text("*\n")  # should it be left behind after all
        try:
            runs, about = _measure(given, work)
        except (CheckError, LoadError, ServerError) as error:
            print(f"\nbench: {error}", file=sys.stderr)
            return 1
    page, data = write_results(given.results, about, runs)
    print(f"\n{tables(runs)}\nWritten to {_near(page)} and {_near(data)}")
    return 0


def _measure(given: argparse.Namespace, work: Path) -> tuple[list[Measured], dict[str, Any]]:
    at = surroundings(work)
    print(f"Making {given.orders:,} orders ...", flush=True)
    began = time.monotonic()
    sample = make_sample(work, orders=given.orders, seed=given.seed)
    print(f"  {sample.database.stat().st_size / 1e6:,.0f} MB in {time.monotonic() - began:.0f} s", flush=True)
    if at["file_system"] == "tmpfs":
        print("  Careful: the work folder is in memory, where a commit costs nothing. See --work-dir.", flush=True)
    runs = []
    for connections in given.connections:
        for number in range(1, given.rounds + 1):
            for kind in _turn(number):
                run = _run(given, sample, work, kind, connections, number)
                runs.append(run)
                cpu = "" if run.server_cpu_us is None else f", {run.server_cpu_us:6.1f} µs of CPU each"
                print(
                    f"  {connections:3} connections, round {number}/{given.rounds}, {kind.name:9} "
                    f"{run.cancels_a_second:8,.0f}/s, p50 {run.p50_ms:6.2f} ms, p99 {run.p99_ms:6.1f} ms{cpu}",
                    flush=True,
                )
    about = {
        "surroundings": at,
        "generator": given.load,
        "orders": given.orders,
        "seed": given.seed,
        "rounds": given.rounds,
        "seconds": given.seconds,
        "warm_up": given.warm_up,
    }
    return runs, about


def _turn(number: int) -> list[Kind]:
    """Another server begins each round, so that none is always the one after another's mess."""
    start = number % len(KINDS)
    return [*KINDS[start:], *KINDS[:start]]


def _run(given: argparse.Namespace, sample: Sample, work: Path, kind: Kind, connections: int, number: int) -> Measured:
    database = work / "run.sqlite3"
    sample.copy(database)
    try:
        with running(kind, sample, database) as server:
            warm_up = drive(given.load, sample, server.port, connections=connections, seconds=given.warm_up, first=0)
            cpu_before = server.cpu_s()
            load = drive(
                given.load, sample, server.port, connections=connections, seconds=given.seconds, first=warm_up.used
            )
            cpu_after = server.cpu_s()
        answered = warm_up.cancelled + load.cancelled if kind.cancels else 0
        # Each of the two loads cuts its requests off at its end: one a connection at most.
        under_way = 2 * connections if kind.cancels else 0
        found = check(database, sample, answered=answered, used=load.used, under_way=under_way)
    except (CheckError, LoadError, ServerError) as error:
        raise type(error)(f"{kind.name}, {connections} connections, round {number}: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
    cpu_s = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    return Measured(
        kind=kind.name,
        connections=connections,
        round=number,
        cancels_a_second=load.cancelled / load.duration_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        server_cpu_us=None if cpu_s is None else cpu_s / load.cancelled * 1e6,
        answered_200=warm_up.cancelled + load.cancelled,
        found_cancelled=found,
    )


def _arguments() -> argparse.Namespace:
    able = generators()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--orders", type=_count, default=200_000, help="orders in the database; each is cancelled once")
    parser.add_argument("--connections", type=_counts, default="64", help="such as 1,8,64: each is measured by itself")
    parser.add_argument("--rounds", type=_count, default=5, help="how often every server has its turn")
    parser.add_argument("--seconds", type=_count, default=3, help="how long a run is measured, in whole seconds")
    parser.add_argument("--warm-up", type=_count, default=1, help="how long before that it runs unmeasured")
    parser.add_argument("--load", choices=able, default=able[0], help="the load generator; wrk where there is one")
    parser.add_argument("--seed", type=int, default=1, help="for owners and the sequence of ids")
    parser.add_argument("--work-dir", type=Path, default=_HERE, help="where to keep the databases meanwhile")
    parser.add_argument("--results", type=Path, default=_HERE / "results", help="where to write the results")
    return parser.parse_args()


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not {given!r}")
    return int(given)


def _counts(given: str) -> list[int]:
    return [_count(part.strip()) for part in given.split(",")]


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())

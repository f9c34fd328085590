"""Measures the cancellation path: durable cancels a second over HTTP, beside the best possible rate.

On its own PostgreSQL and on SQLite, the product takes turns, round by round, with the same server without a store, with
itself writing a transaction for each cancellation, and with pgbench, which makes the same changes one by one. After
each run the database is compared with the answers. Results go to bench/results/latest.json and into
docs/performance.md; no test asserts them.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import flatness
import soak
from check import CheckError
from databases import DURABILITY, POSTGRES_SETTINGS, OrdersDatabase, PostgresOrders, SqliteOrders
from driving import LoadError, generators
from machine import surroundings
from own_postgres import OwnPostgres, PostgresError
from pgbench import PgbenchError
from report import MEASURED, SOAKED, in_a_line, page, soak_page, tables, write_into, write_results
from rounds import Measured, Measuring, all_rounds, plan
from sample import Credentials, make_credentials, make_sample
from servers import ServerError

_HERE: Final = Path(__file__).parent
_PAGE: Final = _HERE.parent / "docs" / "performance.md"
_DATABASES: Final = ("postgresql", "sqlite")
_ERRORS: Final = (CheckError, LoadError, PgbenchError, PostgresError, ServerError)
# The defaults of a quick look, which is no measurement.
_QUICK: Final[dict[str, Any]] = {
    "orders": 200_000,
    "connections": [64],
    "sqlite_connections": [64],
    "rounds": 1,
    "seconds": 2,
    "flatness_orders": 0,
    "results": None,
    "page": None,
}
_BYTES_AN_ORDER: Final = 1_500  # in PostgreSQL, with indexes and log; measured, and rounded up generously


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and print them."""
    given = _arguments(arguments)
    try:
        with _work_folder(given) as work:
            if given.soak:
                _soak(given, work)
            else:
                _measure(given, work)
    except _ERRORS as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(given: argparse.Namespace, work: Path) -> None:
    about = _about(given, work)
    credentials = make_credentials(work)
    measuring = Measuring(generator=given.load, credentials=credentials, seconds=given.seconds, warm_up=given.warm_up)
    runs: list[Measured] = []
    flat: list[flatness.Flat] = []
    with _databases(given, work, about) as databases:
        cells = [
            cell
            for database in databases
            for cell in plan(
                database, given.connections if database.dialect == "postgresql" else given.sqlite_connections
            )
        ]
        print(f"Measuring: {given.rounds} rounds", flush=True)
        for measured in all_rounds(measuring, cells, given.rounds):
            print(in_a_line(measured), flush=True)
            runs.append(measured)
        for database in databases:
            if given.flatness_orders and isinstance(database, PostgresOrders):
                flat += _flatness(given, work, credentials, database.server)
    print(f"\n{tables(runs)}")
    if given.results is not None:
        path, named = write_results(given.results, about, runs, flat)
        print(f"Written to {_near(path)}")
        if given.page is not None:
            write_into(given.page, MEASURED, page(about, runs, named))
            print(f"Written into {_near(given.page)}")


def _flatness(
    given: argparse.Namespace, work: Path, credentials: Credentials, server: OwnPostgres
) -> list[flatness.Flat]:
    print(f"Making {given.flatness_orders:,} orders, to see whether size matters ...", flush=True)
    at_most = given.rounds * flatness.TURNS_EACH
    large = make_sample(work / "large", orders=given.flatness_orders, seed=given.seed, at_most=at_most)
    small = make_sample(work / "small", orders=min(flatness.SMALL, given.flatness_orders), seed=given.seed)
    databases: list[OrdersDatabase] = [
        PostgresOrders(small, server, "small"),
        PostgresOrders(large, server, "large", spare=False),
    ]

    def tell(one: flatness.Flat) -> None:
        print(f"  repetition {one.repetition}, {one.orders:10,} orders: {one.seconds:.3f} s", flush=True)

    return flatness.measure(given.load, credentials, databases, given.rounds, tell)


def _soak(given: argparse.Namespace, work: Path) -> None:
    orders = max(given.orders, given.rate * (given.soak * soak.MINUTE_S + 2))
    about = {
        "date": date.today().isoformat(),  # noqa: DTZ011 - the reader's own day
        "rate": given.rate,
        "connections": soak.CONNECTIONS,
        "orders": orders,
    }
    credentials = make_credentials(work)
    print(f"Making {orders:,} orders ...", flush=True)

    def tell(minute: soak.Minute) -> None:
        print(
            f"  minute {minute.minute}: {minute.cancels_a_second:,.0f}/s, p50 {minute.p50_ms:.2f} ms, "
            f"p99 {minute.p99_ms:.1f} ms, {minute.rss_mb or 0:.1f} MB",
            flush=True,
        )

    with OwnPostgres(POSTGRES_SETTINGS, within=work) as server:
        database = PostgresOrders(make_sample(work, orders=orders, seed=given.seed), server, spare=False)
        went = soak.soak(credentials, database, minutes=given.soak, rate=given.rate, tell=tell)
    if given.page is not None:
        write_into(given.page, SOAKED, soak_page(about, went))
        print(f"Written into {_near(given.page)}")


@contextmanager
def _work_folder(given: argparse.Namespace) -> Iterator[Path]:
    given.work_dir.mkdir(parents=True, exist_ok=True)
    largest = max(given.orders * len(given.databases), given.flatness_orders + given.orders)
    needed, free = largest * 2 * _BYTES_AN_ORDER, shutil.disk_usage(given.work_dir).free
    if free < needed:
        raise PostgresError(
            f"{given.work_dir} has {free / 1e9:.0f} GB free, and some {needed / 1e9:.0f} GB are needed: choose another "
            "with --work-dir, or fewer with --orders and --flatness-orders (0 leaves that out)"
        )
    with tempfile.TemporaryDirectory(prefix="countermand-bench-", dir=given.work_dir) as name:
        work = Path(name)
        work.chmod(0o711)  # PostgreSQL runs as another user, who must reach its own folder below this
        yield work


@contextmanager
def _databases(given: argparse.Namespace, work: Path, about: dict[str, Any]) -> Iterator[list[OrdersDatabase]]:
    if about["surroundings"]["file_system"] == "tmpfs":
        print("Careful: the work folder is in memory, where a commit costs nothing. See --work-dir.", flush=True)
    print(f"Making {given.orders:,} orders ...", flush=True)
    sample = make_sample(work, orders=given.orders, seed=given.seed)
    databases: list[OrdersDatabase] = []
    if "sqlite" in given.databases:
        databases.append(SqliteOrders(sample, work / "sqlite"))
    if "postgresql" not in given.databases:
        yield databases
        return
    with OwnPostgres(POSTGRES_SETTINGS, within=work) as server:
        settings = ", ".join(f"{name} {value}" for name, value in POSTGRES_SETTINGS.items())
        version = server.sql("SHOW server_version")
        off = [setting for setting in DURABILITY if server.sql(f"SHOW {setting}") != "on"]
        assert not off, f"{off} off: that measures nothing"
        about["postgresql"] = f"PostgreSQL {version} with its default durability, and {settings}"
        databases.insert(0, PostgresOrders(sample, server))
        yield databases


def _about(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),  # noqa: DTZ011 - the reader's own day
        "surroundings": surroundings(work),
        "postgresql": None,
        "generator": given.load,
        "orders": given.orders,
        "seed": given.seed,
        "rounds": given.rounds,
        "seconds": given.seconds,
        "warm_up": given.warm_up,
    }


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    able = generators()
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="only a look: one round, few orders, nothing written unless asked for")
    add("--soak", type=_count, nargs="?", const=10, metavar="MINUTES", help="a constant rate for so long, and no more")
    add("--rate", type=_count, default=soak.RATE, help="requests a second of the soak")
    add("--databases", type=_names, default=",".join(_DATABASES), help="which to measure")
    add("--orders", type=_count, default=1_000_000, help="orders in a database; each is cancelled once")
    add("--connections", type=_counts, default="64,8,1,256", help="each is measured by itself")
    add("--sqlite-connections", type=_counts, default="64,1", help="the same, on SQLite")
    add("--rounds", type=_count, default=5, help="how often everybody has a turn")
    add("--seconds", type=_count, default=3, help="how long a run is measured, in whole seconds")
    add("--warm-up", type=_whole, default=1, help="how long before that it runs unmeasured; 0: not at all")
    add("--flatness-orders", type=_whole, default=10_000_000, help="the large database; 0 leaves it out")
    add("--load", choices=able, default=able[0], help="the load generator; wrk where there is one")
    add("--seed", type=int, default=1, help="for the sequence of ids")
    add(
        "--work-dir", type=Path, default=_roomy(), help="where to keep the databases meanwhile: on the disk in question"
    )
    add("--results", type=Path, default=_HERE / "results", help="where to write the results")
    add("--page", type=Path, default=_PAGE, help="the page to write the tables into")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    return parser.parse_args(arguments)


def _roomy() -> Path:
    """Return a temporary folder on a disk if there is one: on some systems the usual folder is in memory."""
    kept = Path("/var/tmp")
    return kept if kept.is_dir() else Path(tempfile.gettempdir())


def _whole(given: str) -> int:
    if not given.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {given!r}")
    return int(given)


def _count(given: str) -> int:
    if _whole(given) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not {given!r}")
    return int(given)


def _counts(given: str) -> list[int]:
    return [_count(part.strip()) for part in given.split(",")]


def _names(given: str) -> list[str]:
    names = [part.strip() for part in given.split(",")]
    if unknown := set(names) - set(_DATABASES):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(_DATABASES)}, not {', '.join(unknown)}")
    return names


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())

"""Measures the delivery of events: how many a second, how soon after the commit, and what it costs cancellations.

It runs one worker of the product on its own PostgreSQL and on SQLite, with a trivial receiver in a process of its own.
Everything shares the machine. What is compared takes turns within a round. After each run the receiver and the database
are asked whether every event came exactly once. Results go to bench/results/deliveries.json and into
docs/performance.md; no test asserts them.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, Final

from databases import POSTGRES_SETTINGS, OrdersDatabase, PostgresOrders, SqliteOrders
from delivery_runs import RATE, WARM_UP_S, DeliveryError, GivingWay, Measuring, Soon, Throughput, receiving
from driving import LoadError, generators
from machine import in_words, surroundings
from own_postgres import OwnPostgres, PostgresError
from report import write_into
from sample import make_credentials, make_sample
from servers import ServerError

_HERE: Final = Path(__file__).parent
_ERRORS: Final = (DeliveryError, LoadError, PostgresError, ServerError)
_SECTION: Final = "deliveries"
_QUICK: Final[dict[str, Any]] = {"rounds": 1, "seconds": 3, "events": 4_000, "results": None, "page": None}
_TITLES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
_CANCELS_A_SECOND: Final = 8_000  # more than a round cancels, so that no order is cancelled twice
_RUNS: Final = ("throughput", "soon", "giving_way")
Run = Throughput | Soon | GivingWay


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and print them."""
    given = _arguments(arguments)
    given.work_dir.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    try:
        with tempfile.TemporaryDirectory(prefix="countermand-bench-", dir=given.work_dir) as name, receiving() as one:
            work = Path(name)
            work.chmod(0o711)  # PostgreSQL runs as another user, who must reach its own folder below this
            about = {
                "date": date.today().isoformat(),  # noqa: DTZ011 - the reader's own day
                "surroundings": surroundings(work),
                **{name: getattr(given, name) for name in ("rounds", "seconds", "events")},
            }
            credentials = make_credentials(work)
            with _databases(given, work) as databases:
                measuring = [
                    Measuring(
                        database=database,
                        generator=given.load,
                        credentials=credentials,
                        receiver=one,
                        seconds=given.seconds,
                        events=given.events,
                    )
                    for database in databases
                ]
                for run in _all_rounds(given, measuring):
                    print(f"  {type(run).__name__}: {_rounded(run)}", flush=True)
                    runs.append(run)
    except _ERRORS as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    _write(given, about, runs)
    return 0


def _all_rounds(given: argparse.Namespace, measuring: Sequence[Measuring]) -> Iterator[Run]:
    for number in range(1, given.rounds + 1):
        for one in measuring:
            for name in given.only:
                yield getattr(one, name)(number)


@contextmanager
def _databases(given: argparse.Namespace, work: Path) -> Iterator[Sequence[OrdersDatabase]]:
    a_round = given.events + 2 * RATE * given.seconds + 2 * _CANCELS_A_SECOND * (given.seconds + WARM_UP_S)
    orders = a_round * given.rounds
    print(f"Making {orders:,} orders ...", flush=True)
    sample = make_sample(work, orders=orders, seed=1)
    databases: list[OrdersDatabase] = []
    if "sqlite" in given.databases:
        databases.append(SqliteOrders(sample, work / "sqlite"))
    if "postgresql" not in given.databases:
        yield databases
        return
    with OwnPostgres(POSTGRES_SETTINGS, within=work) as server:
        yield [PostgresOrders(sample, server), *databases]


def _write(given: argparse.Namespace, about: Mapping[str, Any], runs: Sequence[Run]) -> None:
    table = _table(runs)
    print(f"\n{table}")
    if given.results is not None:
        given.results.mkdir(parents=True, exist_ok=True)
        everything = {"about": about, "runs": [{"kind": type(run).__name__, **_rounded(run)} for run in runs]}
        (given.results / "deliveries.json").write_text(json.dumps(everything, indent=1) + "\n")
    if given.page is not None:
        how = (
            f"{about['date']}: {about['rounds']} rounds; medians, with the lowest and the highest round in brackets. "
            f"{in_words(about['surroundings'])}"
        )
        write_into(given.page, _SECTION, f"{how}\n\n{table}")


def _table(runs: Sequence[Run]) -> str:
    """Return the figures beside the aims."""
    titles = list(dict.fromkeys(run.database for run in runs))
    lines = [f"| figure | aim | {' | '.join(_TITLES[title] for title in titles)} |", "| --- " * (len(titles) + 2) + "|"]
    for means, aim, kind, form, figure in _FIGURES:
        cells = [
            _spread([figure(run) for run in runs if isinstance(run, kind) and run.database == title], form)
            for title in titles
        ]
        if any(cells):
            lines.append(f"| {means} | {aim} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


# What a figure means, its aim on PostgreSQL, the runs that it is taken from, its format, and how it is taken.
_FIGURES: Final[Sequence[tuple[str, str, type[Run], str, Any]]] = (
    ("signed deliveries a second, from a backlog", "≥ 1,500", Throughput, ",.0f", lambda run: run.a_second),
    ("the same client alone in a loop, a second", "", Throughput, ",.0f", lambda run: run.bare_a_second),
    ("deliveries over the bare loop", "≥ 0.25", Throughput, ".2f", lambda run: run.a_second / run.bare_a_second),
    ("server CPU a delivery, µs", "", Throughput, ",.0f", lambda run: run.server_cpu_us),
    ("… of it the client, as in the bare loop", "", Throughput, ",.0f", lambda run: run.bare_cpu_us),
    ("database CPU a delivery, µs", "", Throughput, ",.0f", lambda run: run.database_cpu_us),
    (f"decision to first byte at {RATE} cancellations a second, p50, ms", "< 25", Soon, ".1f", lambda run: run.p50_ms),
    ("… p99, ms", "", Soon, ".1f", lambda run: run.p99_ms),
    ("cancellations a second without endpoints", "", GivingWay, ",.0f", lambda run: run.alone_a_second),
    (
        "cancellations with two endpoints over those without",
        "≥ 0.8",
        GivingWay,
        ".2f",
        lambda run: run.with_two_a_second / run.alone_a_second,
    ),
    (
        "… by CPU: of a cancellation without endpoints over that with two",
        "≥ 0.8",
        GivingWay,
        ".2f",
        lambda run: None if run.alone_cpu_us is None else run.alone_cpu_us / run.with_two_cpu_us,
    ),
    ("deliveries under that load, a second", "", GivingWay, ",.0f", lambda run: run.delivered_meanwhile_a_second),
    ("backlog when the load ended, deliveries", "", GivingWay, ",.0f", lambda run: run.backlog),
    ("… caught up after, s", "", GivingWay, ".1f", lambda run: run.caught_up_s),
)


def _spread(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    middle = format(statistics.median(known), form)
    return middle if len(known) == 1 else f"{middle} [{min(known):{form}} to {max(known):{form}}]"


def _rounded(run: Run) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(run).items()}


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    able = generators()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="only a look: one round, few events, nothing written unless asked for")
    add("--databases", nargs="*", choices=list(_TITLES), default=list(_TITLES), help="which to measure")
    add("--only", nargs="*", choices=_RUNS, default=list(_RUNS), help="which runs to make")
    add("--rounds", type=int, default=5, help="how often everything has a turn")
    add("--seconds", type=int, default=5, help="how long cancellations go on in a run")
    add("--events", type=int, default=10_000, help="orders cancelled before a run for the throughput")
    add("--load", choices=able, default=able[0], help="the load generator; wrk where there is one")
    add("--work-dir", type=Path, default=Path("/var/tmp"), help="where to keep the databases: on the disk in question")
    add("--results", type=Path, default=_HERE / "results", help="where to write the results")
    add("--page", type=Path, default=_HERE.parent / "docs" / "performance.md", help="the page for the table")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

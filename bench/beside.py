"""Measures calls of the product beside the same calls of another checkout: in turns, on one database, in one run."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from databases import POSTGRES_SETTINGS, OrdersDatabase, PostgresOrders, SqliteOrders
from own_postgres import OwnPostgres
from processes import cpu_s
from sample import Credentials, Sample, make_credentials, make_sample
from servers import BATCHED, Kind, Server, running
from wire import RoundTrips, counted

NOW: Final = "now"
BEFORE: Final = "before"
_HERE: Final = Path(__file__).parent
_WARM_UP: Final = 60
_COUNTED: Final = 40
_QUIET: Final = 10  # round trips in a second
_PATIENCE_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request: its path begins with a slash, and `authorization` is the value of the header."""

    method: str
    path: str
    authorization: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_line(self) -> str:
        """Return the line of a file that `calls_load.py` reads."""
        body = "" if self.body is None else json.dumps(self.body)
        headers = {"Authorization": self.authorization, **self.headers}
        return json.dumps({"method": self.method, "path": self.path, "headers": headers, "body": body}) + "\n"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured: requests that take turns, made for the address of a server, and the status of each answer."""

    name: str
    requests: Callable[[str], Sequence[Ask]]
    status: int = 200
    connections: int = 32


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run found. `round_trips` is None on SQLite; the CPU is None where there is no /proc."""

    a_second: float
    p50_ms: float
    p99_ms: float
    server_cpu_us: float | None
    round_trips: float | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run takes place: a database with a sample of orders in it, and the credentials of its clients."""

    database: OrdersDatabase
    sample: Sample
    credentials: Credentials
    folder: Path


def options(about: str, orders: int) -> argparse.ArgumentParser:
    """Return the options that all benchmarks of this kind have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--against", type=Path, help="the folder of another checkout, which takes turns with this one")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=("sqlite", "postgresql"))
    parser.add_argument("--only", nargs="+", help="only what has one of these texts in its name")
    parser.add_argument("--rounds", type=int, default=3, help="how often each has its turn")
    parser.add_argument("--seconds", type=float, default=3, help="how long a turn takes")
    parser.add_argument("--orders", type=int, default=orders, help="how many orders the database has at the start")
    parser.add_argument("--write", action="store_true", help="write the results into bench/results")
    return parser


@contextmanager
def places(given: argparse.Namespace) -> Iterator[dict[str, Place]]:
    """Make the databases that were asked for, by name."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        credentials = make_credentials(folder)
        sample = make_sample(folder / "sample", orders=given.orders, seed=1, at_most=1)
        made: dict[str, Place] = {}
        for name in given.databases:
            database: OrdersDatabase
            if name == "sqlite":
                database = SqliteOrders(sample, folder / "sqlite")
            else:
                server = stack.enter_context(OwnPostgres(POSTGRES_SETTINGS))
                database = PostgresOrders(sample, server, spare=False)
            made[name] = Place(database=database, sample=sample, credentials=credentials, folder=folder)
        yield made


def measured(
    place: Place, measures: Sequence[Measure], given: argparse.Namespace
) -> dict[str, dict[str, list[Result]]]:
    """Measure in turns, and return the results by the names of the measure and of the side."""
    found: dict[str, dict[str, list[Result]]] = {}
    sides = {NOW: BATCHED}
    if given.against is not None:
        source = str(given.against / "src")
        sides[BEFORE] = replace(BATCHED, name=BEFORE, settings={"PYTHONPATH": source})
    chosen = [one for one in measures if not given.only or any(part in one.name for part in given.only)]
    for measure in chosen:
        trips = {side: _round_trips(place, kind, measure) for side, kind in sides.items()}
        for number in range(given.rounds):
            turns = list(sides.items())
            for side, kind in turns if number % 2 == 0 else reversed(turns):
                place.database.settle()
                with running(kind, place.credentials, place.database) as server:
                    result = _run(place, server, measure, given.seconds, trips[side])
                found.setdefault(measure.name, {}).setdefault(side, []).append(result)
                print(f"{measure.name}, {side}: {result}", file=sys.stderr, flush=True)
    return found


def table(found: Mapping[str, Mapping[str, Sequence[Result]]]) -> str:
    """Return the medians as a table, with the ratios to the other checkout."""
    heads = "| call | a second | p50, ms | p99, ms | server CPU, µs | round trips | over before | CPU of before |\n"
    lines = [heads, "|---" * 8 + "|\n"]
    for name, sides in found.items():
        now = sides[NOW]
        rate, cpu = _median(now, "a_second"), _median(now, "server_cpu_us")
        over, less = "", ""
        if BEFORE in sides:
            before = sides[BEFORE]
            over = _ratio([one.a_second / other.a_second for one, other in zip(now, before, strict=True)])
            less = f"{cpu / _median(before, 'server_cpu_us'):.2f}"
        trips = "" if now[0].round_trips is None else f"{now[0].round_trips:.1f}"
        if BEFORE in sides and trips:
            trips += f" (was {sides[BEFORE][0].round_trips:.1f})"
        shown = f"{_median(now, 'p50_ms'):.1f} | {_median(now, 'p99_ms'):.1f} | {cpu:.0f} | {trips} | {over} | {less}"
        lines.append(f"| {name} | {rate:,.0f} | {shown} |\n")
    return "".join(lines)


def _median(results: Sequence[Result], name: str) -> float:
    return statistics.median(getattr(one, name) or 0.0 for one in results)


def _ratio(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"


def _run(place: Place, server: Server, measure: Measure, seconds: float, round_trips: float | None) -> Result:
    loaded(place, server, measure, seconds=_PATIENCE_S, stop_after=_WARM_UP)
    began = cpu_s([server.pid])
    seen = loaded(place, server, measure, seconds=seconds)
    used = None if began is None else (cpu_s([server.pid]) or 0.0) - began
    return Result(
        a_second=round(seen["answers"] / seen["duration_s"], 1),
        p50_ms=round(seen["p50_ms"], 2),
        p99_ms=round(seen["p99_ms"], 2),
        server_cpu_us=None if used is None else round(used / seen["answers"] * 1e6, 1),
        round_trips=round_trips,
    )


def loaded(place: Place, server: Server, measure: Measure, *, seconds: float, stop_after: int = 0) -> dict[str, Any]:
    """Send the requests, and return what was seen. Fails on any other answer than the expected one."""
    file = place.folder / "requests.jsonl"
    file.write_text("".join(one.as_line() for one in measure.requests(f"http://127.0.0.1:{server.port}")))
    connections = 1 if stop_after == _COUNTED else measure.connections
    command = [sys.executable, str(_HERE / "calls_load.py"), "--port", str(server.port), "--requests", str(file)]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--stop-after", str(stop_after)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + _PATIENCE_S)
    seen: dict[str, Any] = json.loads(done.stdout)
    assert set(seen["statuses"]) == {str(measure.status)}, (measure.name, seen)
    assert not seen["broken"], (measure.name, seen)
    return seen


def _round_trips(place: Place, kind: Kind, measure: Measure) -> float | None:
    """Return how many round trips to PostgreSQL one call takes, one after the other, when statements are prepared.

    What the server does meanwhile by itself counts, too: a few hundredths for each call.
    """
    if not isinstance(place.database, PostgresOrders):
        return None
    postgres = place.database.server
    with counted(postgres.port) as counting:
        address = postgres.url(place.database.name).replace(f":{postgres.port}/", f":{counting.port}/")
        through = replace(kind, settings={**kind.settings, "COUNTERMAND_DATABASE_URL": address})
        with running(through, place.credentials, place.database) as server:
            loaded(place, server, measure, seconds=_PATIENCE_S, stop_after=_COUNTED)
            _until_quiet(counting)
            before = counting.count
            loaded(place, server, measure, seconds=_PATIENCE_S, stop_after=_COUNTED)
            return round((counting.count - before) / _COUNTED, 2)


def _until_quiet(counting: RoundTrips) -> None:
    """Wait until the server's background tasks have done what they do after a start."""
    for _ in range(_PATIENCE_S):
        before = counting.count
        time.sleep(1)
        if counting.count - before < _QUIET:
            return


def write(name: str, found: Mapping[str, Mapping[str, Mapping[str, Sequence[Result]]]]) -> None:
    """Write the medians into `bench/results/<name>.json`: database, call, side, figure."""
    shown = {
        database: {
            call: {
                side: {key: round(_median(results, key), 2) for key in Result.__dataclass_fields__}
                for side, results in sides.items()
            }
            for call, sides in calls.items()
        }
        for database, calls in found.items()
    }
    (_HERE / "results" / f"{name}.json").write_text(json.dumps(shown, indent=2) + "\n")

"""Writes the measurements: a JSON file with all of them, and tables with the medians and their spread."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from flatness import CANCELS, Flat
from machine import in_words
from rounds import PGBENCH, Measured
from sample import BARE_ALONE, MIXED
from servers import BATCHED, KINDS, NO_OP, UNBATCHED
from soak import Minute

Figures = dict[str, dict[str, dict[str, float]]]  # database, figure, its median, min and max
Value = TypeVar("Value")

AT: Final = 64  # the number of connections at which the named figures are taken
_FEW: Final = 8
LATEST: Final = "latest.json"
MEASURED: Final = "measured"  # the section of the page that this module writes
SOAKED: Final = "soaked"
_MARKS: Final = ("<!-- {0}: begin; written by bench/run.py -->\n", "<!-- {0}: end -->\n")
_TITLES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The least or greatest value that a figure should have on two cores; None means that it is only reported."""

    means: str
    at_least: float | None = None
    at_most: float | None = None
    form: str = ".2f"

    def in_words(self) -> str:
        """Return the aim in words, such as `≥ 2`."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


AIMS: Final[Mapping[str, Mapping[str, Aim]]] = {
    "postgresql": {
        "e2e_over_pgbench": Aim(means="over HTTP, against pgbench doing the same one by one", at_least=2),
        "e2e_over_noop": Aim(means="against the same server without a store", at_least=0.5),
        "batched_over_unbatched": Aim(means="against a transaction for each, 32 at once", at_least=3),
        "cancels_per_s": Aim(means="cancellations a second", form=",.0f"),
        "server_cpu_us_per_cancel": Aim(means="server CPU a cancellation, µs", at_most=35, form=".1f"),
        "p50_ms": Aim(means="p50, ms"),
        "p99_ms": Aim(means="p99, ms", at_most=8),
        "rss_mb": Aim(means="memory of the server, MB", form=".0f"),
        "flatness": Aim(means=f"time of {CANCELS:,} cancels at 10,000 orders over that at 10,000,000", at_least=0.6),
        "lone_p50_over_unbatched": Aim(means="p50 of a lone connection, against a transaction for each", at_most=1.05),
        "e2e_over_pgbench_at_8": Aim(means="8 connections, against 8 clients of pgbench", at_least=1),
        "bare_over_pgbench": Aim(
            means="orders with nothing to release, against a hand-written statement", at_least=1.3
        ),
    },
    "sqlite": {
        "e2e_over_noop": Aim(means="against the same server without a store"),
        "batched_over_unbatched": Aim(means="against a transaction for each", at_least=2),
        "cancels_per_s": Aim(means="cancellations a second", form=",.0f"),
        "server_cpu_us_per_cancel": Aim(means="server CPU a cancellation, µs", form=".1f"),
        "p50_ms": Aim(means="p50, ms"),
        "p99_ms": Aim(means="p99, ms"),
        "rss_mb": Aim(means="memory of the server, MB", form=".0f"),
        "lone_p50_over_unbatched": Aim(means="p50 of a lone connection, against a transaction for each"),
    },
}


def figures(runs: Sequence[Measured], flat: Sequence[Flat]) -> Figures:
    """Return each database's named figures: median, lowest and highest round. Ratios are taken within a round."""
    return {database: _of_database(database, runs, flat) for database in _once(run.database for run in runs)}


def _of_database(database: str, runs: Sequence[Measured], flat: Sequence[Flat]) -> dict[str, dict[str, float]]:
    def of(kind: str, connections: int, orders: str = MIXED) -> dict[int, Measured]:
        return {
            run.round: run
            for run in runs
            if (run.database, run.kind, run.connections, run.orders) == (database, kind, connections, orders)
        }

    def ratios(above: dict[int, Measured], below: dict[int, Measured], what: Callable[[Measured], Any]) -> list[float]:
        return [what(above[number]) / what(below[number]) for number in sorted(above.keys() & below.keys())]

    def speed(run: Measured) -> float:
        return run.cancels_a_second

    batched, unbatched = BATCHED.name, UNBATCHED.name
    product = of(batched, AT)
    found = {
        "e2e_over_pgbench": ratios(product, of(PGBENCH, AT), speed),
        "e2e_over_noop": ratios(product, of(NO_OP.name, AT), speed),
        "batched_over_unbatched": ratios(product, of(unbatched, AT), speed),
        "cancels_per_s": [run.cancels_a_second for run in product.values()],
        "server_cpu_us_per_cancel": [run.server_cpu_us for run in product.values() if run.server_cpu_us is not None],
        "p50_ms": [run.p50_ms for run in product.values() if run.p50_ms is not None],
        "p99_ms": [run.p99_ms for run in product.values() if run.p99_ms is not None],
        "rss_mb": [run.rss_mb for run in product.values() if run.rss_mb is not None],
        "flatness": _flatness([one for one in flat if one.database == database]),
        "lone_p50_over_unbatched": ratios(of(batched, 1), of(unbatched, 1), lambda run: run.p50_ms),
        "e2e_over_pgbench_at_8": ratios(of(batched, _FEW), of(PGBENCH, _FEW), speed),
        "bare_over_pgbench": ratios(of(batched, AT, BARE_ALONE), of(PGBENCH, AT, BARE_ALONE), speed),
    }
    return {name: _spread(values) for name, values in found.items() if values}


def _flatness(flat: Sequence[Flat]) -> list[float]:
    sizes = sorted({one.orders for one in flat})
    took_s = {(one.repetition, one.orders): one.seconds for one in flat}
    repetitions = _once(one.repetition for one in flat)
    return [took_s[number, sizes[0]] / took_s[number, sizes[-1]] for number in repetitions] if len(sizes) > 1 else []


def write_results(
    folder: Path, about: Mapping[str, Any], runs: Sequence[Measured], flat: Sequence[Flat]
) -> tuple[Path, Figures]:
    """Write the JSON file; return its path, and the named figures."""
    folder.mkdir(parents=True, exist_ok=True)
    path, named = folder / LATEST, figures(runs, flat)
    everything = {
        **named,
        "about": about,
        "runs": [_rounded(run) for run in runs],
        "flat": [_rounded(one) for one in flat],
    }
    path.write_text(json.dumps(everything, indent=1) + "\n")
    return path, named


def write_into(page: Path, section: str, text: str) -> None:
    """Put a text between the two marks of a section of a page."""
    begin, end = (mark.format(section) for mark in _MARKS)
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    assert found, f"{page} has no {begin.strip()}"
    assert found_end, f"{page} has no {end.strip()}"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def page(about: Mapping[str, Any], runs: Sequence[Measured], named: Figures) -> str:
    """Return a measurement's section of the page: the method, the figures beside the aims, and all runs' medians."""
    found = sum(run.found_cancelled for run in runs)
    postgres = f" {about['postgresql']}." if about["postgresql"] else ""
    how = (
        f"{about['date']}: {about['orders']:,} orders, cancelled in shuffled order (seed {about['seed']}), each once; "
        f"load by {about['generator']}; {about['rounds']} interleaved rounds of {about['seconds']} s, each run after "
        f"{about['warm_up']} s of warm-up. Medians, with the lowest and the highest round in brackets; ratios are "
        f"taken within a round.\n\n{in_words(about['surroundings'])}{postgres}"
    )
    checked = (
        f"These runs cancelled {found:,} orders. After each, the database had at least one for every answer of 200, "
        "each with its cancellation row and its fact, nothing of it left unreleased, and none that nobody asked for."
    )
    kinds = [f"- **{kind.name}**: {kind.about}" for kind in KINDS]
    kinds.append(f"- **{PGBENCH}**: the same writes and releases, one prepared statement an order (bench/pgbench.py)")
    parts = [
        how,
        *(f"### {_TITLES[database]}\n\n{_aims_table(database, of)}" for database, of in named.items()),
        f"### Every run\n\n{tables(runs)}",
        "\n".join(kinds),
        checked,
    ]
    return "\n\n".join(parts) + "\n"


def soak_page(about: Mapping[str, Any], went: Sequence[Minute]) -> str:
    """Return a soak's section of the page."""
    heads = ("minute", "cancels/s", "p50 ms", "p99 ms", "memory MB", "server CPU µs a cancel")
    lines = [
        (
            str(minute.minute),
            f"{minute.cancels_a_second:,.0f}",
            f"{minute.p50_ms:.2f}",
            f"{minute.p99_ms:.1f}",
            _told(minute.rss_mb, ".1f"),
            _told(minute.server_cpu_us, ".1f"),
        )
        for minute in went
    ]
    return (
        f"{about['date']}: {about['rate']:,} requests a second for {len(went)} minutes over {about['connections']} "
        f"connections, PostgreSQL, {about['orders']:,} orders. Times count from when a request was due.\n\n"
        f"{_table(heads, lines)}\n"
    )


def tables(runs: Sequence[Measured]) -> str:
    """Return the medians of all servers, by database, orders and connections."""
    heads = ("database", "orders", "connections", "server", "cancels/s", "p50 ms", "p99 ms")
    costs = ("server CPU µs", "database CPU µs", "memory MB")
    lines = []
    for key in _once((run.database, run.orders, run.connections, run.kind) for run in runs):
        own = [run for run in runs if (run.database, run.orders, run.connections, run.kind) == key]
        database, orders, connections, kind = key
        clients = f", clients: {own[0].clients}" if own[0].clients else ""
        middle = f"{_spread_of(own, 'mean_ms', '.2f')} mean" if own[0].clients else _spread_of(own, "p50_ms", ".2f")
        lines.append(
            (
                _TITLES[database],
                orders,
                str(connections),
                f"{kind}{clients}",
                _spread_of(own, "cancels_a_second", ",.0f"),
                middle,
                _spread_of(own, "p99_ms", ".1f"),
                _spread_of(own, "server_cpu_us", ".1f"),
                _spread_of(own, "database_cpu_us", ".1f"),
                _spread_of(own, "rss_mb", ".0f"),
            )
        )
    return _table((*heads, *costs), lines)


def in_a_line(run: Measured) -> str:
    """Return the line that is printed after a run."""
    times = (
        f"mean {run.mean_ms:7.2f} ms" if run.p50_ms is None else f"p50 {run.p50_ms:7.2f} ms, p99 {run.p99_ms:6.1f} ms"
    )
    cpu = "" if run.server_cpu_us is None else f", {run.server_cpu_us:6.1f} µs of CPU each"
    return (
        f"  round {run.round}, {run.database:10} {run.orders:5} {run.connections:3} connections, {run.kind:11} "
        f"{run.cancels_a_second:8,.0f}/s, {times}{cpu}"
    )


def _aims_table(database: str, of: Mapping[str, Mapping[str, float]]) -> str:
    lines = []
    for name, aim in AIMS[database].items():
        if name in of:
            low, high = (format(of[name][which], aim.form) for which in ("min", "max"))
            lines.append((f"`{name}`", aim.means, aim.in_words(), f"{of[name]['median']:{aim.form}} [{low} to {high}]"))
    return _table(("figure", f"what it is, at {AT} connections and one worker", "aim", "measured"), lines)


def _spread(values: Sequence[float]) -> dict[str, float]:
    named = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 4) for name, value in named.items()}


def _spread_of(runs: Sequence[Measured], name: str, form: str) -> str:
    values = [value for run in runs if (value := getattr(run, name)) is not None]
    if not values:
        return ""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}} to {max(values):{form}}]"


def _told(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _rounded(run: Measured | Flat) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(run).items()}


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines))


def _once(values: Iterable[Value]) -> list[Value]:
    return list(dict.fromkeys(values))

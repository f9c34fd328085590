"""How do the measurements read? A JSON file with everything, and a Markdown page with the medians and their spread."""

import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from servers import BATCHED, KINDS, NO_OP, UNBATCHED

_RATIOS: Final = ((BATCHED, UNBATCHED), (BATCHED, NO_OP))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one server."""

    kind: str
    connections: int
    round: int
    cancels_a_second: float
    p50_ms: float
    p99_ms: float
    server_cpu_us: float | None  # a cancel, user and system
    answered_200: int  # warm-up included
    found_cancelled: int  # in the database afterwards


def surroundings(work: Path) -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in ("countermand", "uvicorn", "uvloop", "httptools", "litestar")},
        "file_system": _file_system(work),
        "fdatasync_us": round(_fdatasync_us(work)),
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def write_results(
    folder: Path, about: dict[str, Any], runs: Sequence[Measured], *, title: str = "Cancellations a second"
) -> tuple[Path, Path]:
    """Write both files, named by date; a second measurement of a day gets a number. Gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    today = date.today().isoformat()  # noqa: DTZ011 - the reader's own day
    name, count = today, 1
    while (folder / f"{name}.md").exists():
        count += 1
        name = f"{today}-{count}"
    page, data = folder / f"{name}.md", folder / f"{name}.json"
    page.write_text(f"# {title}, {today}\n\n{_page(about, runs)}")
    data.write_text(json.dumps({**about, "runs": [_short(run) for run in runs]}, indent=1) + "\n")
    return page, data


def tables(runs: Sequence[Measured]) -> str:
    """The Markdown tables alone: medians, with the lowest and the highest round in brackets."""
    cells = ["connections", "server", "cancels/s", "p50 ms", "p99 ms", "server CPU µs a cancel"]
    lines = [_line(cells), _line(["---"] * len(cells))]
    for connections in _once(run.connections for run in runs):
        for kind in KINDS:
            own = [run for run in runs if run.connections == connections and run.kind == kind.name]
            cpu = [run.server_cpu_us for run in own if run.server_cpu_us is not None]
            lines.append(
                _line(
                    [
                        str(connections),
                        kind.name,
                        _spread([run.cancels_a_second for run in own], ",.0f"),
                        _spread([run.p50_ms for run in own], ".2f"),
                        _spread([run.p99_ms for run in own], ".1f"),
                        _spread(cpu, ".1f"),
                    ]
                )
            )
    cells = ["connections", *(f"{above.name} / {below.name}" for above, below in _RATIOS)]
    lines += ["", _line(cells), _line(["---"] * len(cells))]
    for connections in _once(run.connections for run in runs):
        ratios = [_spread(_ratios(runs, connections, above.name, below.name), ".2f") for above, below in _RATIOS]
        lines.append(_line([str(connections), *ratios]))
    return "\n".join(lines) + "\n"


def _page(about: dict[str, Any], runs: Sequence[Measured]) -> str:
    at = about["surroundings"]
    found = sum(run.found_cancelled for run in runs)
    return (
        f"{about['orders']:,} orders, cancelled in shuffled order (seed {about['seed']}), each once; load by "
        f"{about['generator']} on the same machine; {about['rounds']} interleaved rounds of {about['seconds']} s "
        f"after {about['warm_up']} s of warm-up. Medians, with the lowest and the highest round in brackets; "
        "ratios are taken round by round.\n\n"
        + tables(runs)
        + "\n"
        + "\n".join(f"- **{kind.name}**: {kind.about}" for kind in KINDS)
        + f"\n\nAfterwards the databases held {found:,} cancelled orders, as many cancellation rows and as many facts: "
        "at least one for each answer of 200, and no order that was not asked for.\n\n"
        f"{at['processor']}, {at['cores']} cores, shared by server and load; {at['system']}; {at['file_system']}, "
        f"fdatasync of a page {at['fdatasync_us']} µs (median; a disk that answers in less than about 200 µs has a "
        f"cache that the numbers owe something to); load average before the run {at['load_average_before']}. "
        f"Python {at['python']}, SQLite {at['sqlite']}, "
        + ", ".join(f"{name} {number}" for name, number in at["packages"].items())
        + ".\n"
    )


def _ratios(runs: Sequence[Measured], connections: int, above: str, below: str) -> list[float]:
    by_round = {(run.round, run.kind): run.cancels_a_second for run in runs if run.connections == connections}
    rounds = _once(number for number, _ in by_round)
    return [by_round[number, above] / by_round[number, below] for number in rounds]


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return "not measured"
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}} to {max(values):{form}}]"


def _short(run: Measured) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(run).items()}


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _once(values: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(values))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _file_system(folder: Path) -> str:
    """The kind of file system that the folder is on; a memory disk knows no fsync, and flatters."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return sys.platform
    above = [*folder.resolve().parents, folder.resolve()]
    fitting = [(len(point), kind) for _, point, kind, *_ in mounts if Path(point) in above]
    return max(fitting)[1] if fitting else "unknown"


def _fdatasync_us(folder: Path, times: int = 100) -> float:
    sync = getattr(os, "fdatasync", os.fsync)
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            sync(file.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)

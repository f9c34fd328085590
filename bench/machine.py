"""Describes the machine and the versions of a measurement. The numbers depend on them as well as on the code."""

import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("countermand", "uvicorn", "uvloop", "httptools", "litestar", "asyncpg")


def surroundings(work: Path) -> dict[str, Any]:
    """Return the machine, the disk of the work folder, and the versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in _PACKAGES},
        "file_system": _file_system(work),
        "fdatasync_us": round(_fdatasync_us(work)),
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def in_words(at: dict[str, Any]) -> str:
    """Return the same as a paragraph."""
    packages = ", ".join(f"{name} {number}" for name, number in at["packages"].items())
    return (
        f"{at['processor']}, {at['cores']} cores, shared by server, database and load; {at['system']}; "
        f"{at['file_system']}, fdatasync of a page {at['fdatasync_us']} µs (median; a disk that answers in less than "
        "about 200 µs has a cache that the numbers owe something to); load average before the run "
        f"{at['load_average_before']}. Python {at['python']}, SQLite {at['sqlite']}, {packages}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _file_system(folder: Path) -> str:
    """Return the kind of the folder's file system; on a memory disk fsync costs nothing, which flatters the results."""
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

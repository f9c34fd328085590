"""Reads the costs of processes from /proc: processor time and memory. On systems other than Linux they are None."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def cpu_s(pids: Iterable[int]) -> float | None:
    """Return the processor time in seconds, user and system, of these processes and of all their descendants."""
    # The name in brackets may itself contain spaces and brackets; after it, the 12th to 15th fields are utime, stime,
    # and the same of children that have ended.
    stats = [text.rpartition(")")[2].split() for text in _of_each(pids, "stat")]
    ticks = sum(int(ticks) for fields in stats for ticks in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK") if stats else None


def rss_mb(pids: Iterable[int]) -> float | None:
    """Return the resident memory of these processes and their children, in MB; shared memory counts for each."""
    pages = [int(text.split()[1]) for text in _of_each(pids, "statm")]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6 if pages else None


def _of_each(pids: Iterable[int], name: str) -> Iterator[str]:
    """Yield the /proc text of each process and its children; a process that ends meanwhile is left out."""
    for pid in pids:
        with suppress(OSError):
            children = [path.read_text() for path in (_PROC / str(pid) / "task").glob("*/children")]
            yield (_PROC / str(pid) / name).read_text()
            for line in children:
                yield from _of_each(map(int, line.split()), name)

"""What do processes cost? Read from /proc, and so on Linux alone; elsewhere None."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def cpu_s(pids: Iterable[int]) -> float | None:
    """Seconds of processor time in user and system mode, of these processes and all that they ever started."""
    # The name in brackets may have spaces and brackets itself; after it, the 12th to 15th are utime, stime, and the
    # same of children that have ended.
    stats = [text.rpartition(")")[2].split() for text in _of_each(pids, "stat")]
    ticks = sum(int(ticks) for fields in stats for ticks in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK") if stats else None


def rss_mb(pids: Iterable[int]) -> float | None:
    """Memory that these processes and their children have resident, in MB; what they share counts for each."""
    pages = [int(text.split()[1]) for text in _of_each(pids, "statm")]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6 if pages else None


def _of_each(pids: Iterable[int], name: str) -> Iterator[str]:
    """What /proc says of each, and of its children; of one that goes meanwhile, nothing."""
    for pid in pids:
        with suppress(OSError):
            children = [path.read_text() for path in (_PROC / str(pid) / "task").glob("*/children")]
            yield (_PROC / str(pid) / name).read_text()
            for line in children:
                yield from _of_each(map(int, line.split()), name)

"""Checkpoints the write-ahead log in a thread, so that the event loop never waits for a checkpoint.

By itself, SQLite runs a checkpoint within a COMMIT, and a batch of cancellations commits on the event loop: there, all
requests waited for up to 140 ms (measured). So `file.py` turns that off, and every writer of the process reports here
how many rows it has committed. A row is about one page of the log (4.7 pages and 4.6 rows a cancellation).

A passive checkpoint writes back what was committed before it, beside readers and writers. But SQLite begins the log
anew only if nothing in it is left to write back, which never happens while others write. So if the log is long, the
last pass runs under the write lock, after passes that leave little for it: then the next writer begins at the front.
"""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

import structlog

from countermand.actions.errors import CountermandError, UnforeseenDatabaseError
from countermand.storage.sqlite.errors import translated
from countermand.storage.sqlite.file import connect
from countermand.storage.sqlite.write_lock import WriteLock

log = structlog.get_logger()

# Seldom enough that pages which many cancellations touch are written back once for several of them, and often enough
# that a pass is short (20 to 45 ms).
_ROWS_BETWEEN_PASSES: Final = 4_000
_LONG_LOG_PAGES: Final = 32_000  # 128 MB. At 16,000 pages, p99 was 59 ms instead of 36 (measured)
_LITTLE_PAGES: Final = 1_000
_PASSES_BEFORE_THE_LOCK: Final = 3


class Checkpoints:
    """Runs the checkpoints of this process. `write_lock` is the process's only lock around everything that writes."""

    def __init__(self, path: Path, write_lock: WriteLock) -> None:
        self._path = path
        self._write_lock = write_lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")  # it starts with the first checkpoint
        self._connection: sqlite3.Connection | None = None  # only the thread uses it
        self._rows = 0  # committed since the last pass began
        self._running: asyncio.Task[None] | None = None

    def committed(self, rows: int) -> None:
        """Count the rows that a transaction has changed. After enough of them, a pass begins."""
        self._rows += rows
        if self._rows >= _ROWS_BETWEEN_PASSES and self._running is None:
            self._rows = 0
            self._running = asyncio.create_task(self._pass(), name="checkpoint")
            self._running.add_done_callback(lambda _: setattr(self, "_running", None))

    async def empty_log(self) -> None:
        """See `SqlStore.empty_log`. SQLite waits for nobody here: it leaves the rest of a log that is in use."""
        async with self._write_lock.for_transaction():
            await self._checkpoint("TRUNCATE")

    async def close(self) -> None:
        """Finish a checkpoint that runs, and close the connection."""
        if self._running is not None:
            await asyncio.wait([self._running])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _pass(self) -> None:
        try:
            pages, left = await self._checkpoint("PASSIVE")
            if pages <= _LONG_LOG_PAGES:
                return
            for _ in range(_PASSES_BEFORE_THE_LOCK - 1):
                if left > _LITTLE_PAGES:
                    _, left = await self._checkpoint("PASSIVE")
            async with self._write_lock.for_transaction():
                await self._checkpoint("PASSIVE")
        except (CountermandError, UnforeseenDatabaseError) as error:
            log.warning("a checkpoint failed; the log grows until one succeeds", reason=str(error))

    async def _checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"]) -> tuple[int, int]:
        """Return how many pages the log has, and how many of them are not written back."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._checkpoint_here, mode)

    def _checkpoint_here(self, mode: str) -> tuple[int, int]:
        with translated():
            if self._connection is None:
                self._connection = connect(self._path)
            _, pages, done = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return pages, pages - done  # -1 and 0 while another process runs a checkpoint

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

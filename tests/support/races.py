"""Prepares races: another process that holds the write lock, and a view of the database from outside."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def another_process_writes(path: Path) -> Iterator[None]:
    """A real second process has the write lock for as long as the block runs, and then lets go without a change."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def look(path: Path, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """Rows as another process sees them: committed ones alone."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, parameters)]


def count(path: Path, query: str, *parameters: Any) -> int:
    """The one number a query gives."""
    return next(iter(look(path, query, *parameters)[0].values()))


def column(path: Path, query: str, *parameters: Any) -> Sequence[Any]:
    """The first column of a query's rows."""
    return [next(iter(row.values())) for row in look(path, query, *parameters)]

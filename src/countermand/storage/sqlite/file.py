"""Sets the options of every SQLite connection, and checks that the database is still the file that was opened."""

from os.path import samestat
from pathlib import Path
from typing import Any, Final, Protocol

from countermand.actions.errors import UnavailableError

# Builds of SQLite have different defaults for these options, so each connection sets them all.
PRAGMAS: Final = (
    "locking_mode = NORMAL",
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",  # on macOS a flush otherwise ends in the disk's own memory; elsewhere the option has no effect
    "foreign_keys = ON",
    "mmap_size = 0",  # a disk error is then an error of the statement and does not end the process
    # SQLite would otherwise write a statement's undo data to a file: as many pages again as to the write-ahead log.
    "temp_store = MEMORY",
    # A checkpoint comes after 64 MB instead of 4: pages that many cancellations touch are written back once for all of
    # them (a third more cancellations a second, measured). A checkpoint blocks the event loop for some 70 ms; with a
    # thread for it that became 55 ms and nothing else got better (measured), so there is no thread.
    "wal_autocheckpoint = 16000",
    "cache_size = -65536",  # 64 MiB keep the pages of recent orders in memory
)
# SQLite does not complain if it cannot set an option: some file systems, for example, allow no write-ahead log.
RELIED_ON: Final = {"locking_mode": "normal", "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


class _Connection(Protocol):
    def execute(self, statement: str, /) -> Any:
        """Run a statement and return a cursor."""


def set_up(connection: _Connection) -> None:
    """Set the options. Raises `UnavailableError` if SQLite kept another value of an option that is relied on."""
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    for name, wanted in RELIED_ON.items():
        (found,) = connection.execute(f"PRAGMA {name}").fetchone()
        if found != wanted:
            raise UnavailableError(f"SQLite keeps {name} = {found} on this file, and {wanted} is needed")


class OpenFile:
    """Checks for a replaced file: SQLite would keep a removed file open and write rows that nobody reads again."""

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, path.stat()

    def check(self) -> None:
        """Raise `UnavailableError` unless the file is still there. The check takes microseconds per transaction."""
        try:
            same = samestat(self._path.stat(), self._opened)
        except OSError:
            same = False
        if not same:
            raise UnavailableError(f"the database is no longer at {self._path}")

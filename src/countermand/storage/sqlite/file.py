"""Is the database still the file that was opened, and what is every connection to it set to?"""

from contextlib import suppress
from os import stat_result
from os.path import samestat
from pathlib import Path
from typing import Any, Final, Protocol

from countermand.actions.errors import UnavailableError

# What a build of SQLite may have other defaults for: each is set on each connection.
PRAGMAS: Final = (
    "locking_mode = NORMAL",
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",  # on macOS a flush ends in the disk's own memory otherwise; nothing elsewhere
    "foreign_keys = ON",
    "mmap_size = 0",  # an error of the disk is an error then, and not the end of the process
    # What a statement may have to undo, SQLite would otherwise write to a file: as many pages again as to the WAL.
    "temp_store = MEMORY",
    # 64 MB between checkpoints instead of 4: pages that many cancellations touch are written back once for all of them
    # (a third more cancellations a second, measured). A checkpoint holds the loop for some 70 ms; a thread of its own
    # for it made that 55 and nothing else better (measured), so there is none.
    "wal_autocheckpoint = 16000",
    "cache_size = -65536",  # 64 MiB: the pages of recent orders stay at hand
)
# SQLite does not complain where it cannot do what it is told: on some file systems there is no WAL.
RELIED_ON: Final = {"locking_mode": "normal", "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


_BESIDE: Final = ("-wal", "-shm")


class _Connection(Protocol):
    def execute(self, statement: str, /) -> Any:
        """Run a statement; gives a cursor."""


def set_up(connection: _Connection) -> None:
    """Set what we rely on. Raises `UnavailableError` where SQLite keeps something else."""
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    for name, wanted in RELIED_ON.items():
        (found,) = connection.execute(f"PRAGMA {name}").fetchone()
        if found != wanted:
            raise UnavailableError(f"SQLite keeps {name} = {found} on this file, and {wanted} is needed")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # the first read opens the files beside it


class OpenFile:
    """A file that was taken away or replaced stays open, and would take what nobody ever reads again.

    So would the two files beside it: SQLite keeps in `-wal` what was committed lately, and in `-shm` where that is.
    Another process would make new ones, and read and write without what is in ours.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, path.stat()
        self._beside: dict[Path, stat_result] = {}

    def connected(self) -> None:
        """Take note of the files beside it. While any connection of ours is open, SQLite deletes none of them."""
        for ending in _BESIDE:
            path = self._path.with_name(self._path.name + ending)
            with suppress(OSError):
                self._beside.setdefault(path, path.stat())

    def check(self) -> None:
        """Raise `UnavailableError` unless it is still there. A few microseconds: asked for every transaction."""
        _check_same(self._path, self._opened)

    def check_all(self) -> None:
        """Raise `UnavailableError` unless the files beside it are still there, too: three times as long."""
        self.check()
        for path, opened in self._beside.items():
            _check_same(path, opened)


def _check_same(path: Path, opened: stat_result) -> None:
    try:
        same = samestat(path.stat(), opened)
    except OSError:
        same = False
    if not same:
        raise UnavailableError(f"{path} was taken away or replaced while it was in use; put it back, or restart")

"""Opens SQLite connections and sets their options; checks that the database file can be opened and stays the same."""

import os
import sqlite3
from contextlib import suppress
from os import stat_result
from os.path import samestat
from pathlib import Path
from typing import Any, Final, Protocol

from countermand.actions.errors import UnavailableError
from countermand.storage.sqlite.errors import translated

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
    "wal_autocheckpoint = 0",  # `checkpoints.py` runs the checkpoints, in a thread
    "cache_size = -65536",  # 64 MiB keep the pages of recent orders in memory
)
# SQLite does not complain if it cannot set an option: some file systems, for example, allow no write-ahead log.
RELIED_ON: Final = {"locking_mode": "normal", "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


_BESIDE: Final = ("-wal", "-shm")


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
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # the first read opens the files beside it


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with all options set. It begins no transaction by itself."""
    with translated():
        # mode=rw: only a migration creates a missing file.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0)
        connection.row_factory = sqlite3.Row
        set_up(connection)
    return connection


def why_unusable(path: Path) -> str | None:
    """Return why this process may not read and write the file, with owner, mode and user; None if it may.

    SQLite itself only says "unable to open database file". It keeps files of its own beside the database, so the
    process must be able to write to the folder, too.
    """
    nearest = Path(path.absolute().anchor)
    for folder in reversed(path.absolute().parents):
        if folder.exists():
            nearest = folder
            if not folder.is_dir():
                return f"{folder} is no folder"
            if not _may(folder, os.X_OK):
                return _forbidden(folder, "enter")
    if path.is_dir():
        return "it is a folder; name a file in it"
    if not _may(nearest, os.W_OK):
        return _forbidden(nearest, "make files in")
    for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        if file.exists() and not _may(file, os.R_OK | os.W_OK):
            return _forbidden(file, "read and write")
    return None


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _forbidden(what: Path, act: str) -> str:
    if act != "enter" and hasattr(os, "statvfs") and os.statvfs(what).f_flag & os.ST_RDONLY:
        return f"{what} is on a file system that takes no writes"
    about = what.stat()
    mode = about.st_mode & 0o7777
    return f"{what} belongs to {_user(about.st_uid)}, mode {mode:04o}, and {_us()} may not {act} it"


def _us() -> str:
    return f"this process runs as {_user(os.geteuid())}, which" if hasattr(os, "geteuid") else "this process"


def _user(number: int) -> str:
    try:
        import pwd  # noqa: PLC0415 - there is none on Windows

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"the user {number}"


class OpenFile:
    """Checks that the database file, and the files beside it, are still the files that were opened.

    A process that has a removed or replaced file open would write rows that no other process ever reads. The same is
    true of the two files beside it: SQLite keeps recent commits in `-wal`, and an index of them in `-shm`. Another
    process would create new files, and would miss what is in the old ones.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, path.stat()
        self._beside: dict[Path, stat_result] = {}

    def connected(self) -> None:
        """Remember the files beside it. SQLite deletes none of them while this process has a connection open."""
        for ending in _BESIDE:
            path = self._path.with_name(self._path.name + ending)
            with suppress(OSError):
                self._beside.setdefault(path, path.stat())

    def check(self) -> None:
        """Raise `UnavailableError` unless the file is still the same. The check takes a few microseconds."""
        _check_same(self._path, self._opened)

    def check_all(self) -> None:
        """Raise `UnavailableError` unless the files beside it are the same, too: three times as long as `check`."""
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

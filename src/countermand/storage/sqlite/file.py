"""Is the database still the file that was opened, may it be opened, and what is every connection to it set to?"""

import os
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


def why_unusable(path: Path) -> str | None:
    """What forbids this process to read and write the file, with owner, mode and user; None where nothing does.

    SQLite itself says "unable to open database file". It keeps files of its own beside the database, so it must be able
    to write to the folder, too.
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
    """A file that was taken away or replaced stays open, and would take what nobody ever reads again."""

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, path.stat()

    def check(self) -> None:
        """Raise `UnavailableError` unless it is still there. A few microseconds: asked for every transaction."""
        try:
            same = samestat(self._path.stat(), self._opened)
        except OSError:
            same = False
        if not same:
            raise UnavailableError(f"the database is no longer at {self._path}")

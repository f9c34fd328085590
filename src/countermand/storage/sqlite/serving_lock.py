"""Holds the lock of the one process that serves an SQLite file. A second process that serves it would be refused.

Two servers on one file would be safe, but slow: each would wait for the other's transactions, and answer 503 after it
has waited for too long.
Commands beside a server (`migrate`, `client add`, `catalogue import`) take no lock.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

_SUFFIX: Final = "-serving"
# A file system that answers so has no locks; SQLite itself needs them, too, and says what it misses.
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_WITHOUT: Final = "the database has no lock against a second server; start no other server for it"


class ServedElsewhereError(Exception):
    """Raised if another process serves the file. The message names the process."""


@contextmanager
def only_server_of(database: Path) -> Iterator[None]:
    """Hold the lock until the block ends or the process dies, whatever ends it. Raises `ServedElsewhereError`.

    The lock is on a file of its own beside the database, because SQLite has locks on the database's own bytes, and a
    process would lose those whenever it closed the file. The file stays: if it were removed, a process that waits with
    the old file open would hold the lock of nothing. On a network file system the lock counts for all machines, as far
    as the file system passes locks on; where it has no locks, a warning is logged and the server starts without.
    """
    if os.name != "posix" or not database.parent.is_dir():  # what opens the database says that the folder is missing
        yield
        return
    path = database.with_name(database.name + _SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _FORBIDDEN:  # what opens the database says, with owner and mode, what is forbidden
            log.warning(_WITHOUT, path=str(database), reason=error.strerror)
        yield
        return
    try:
        _take(descriptor, database)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, database: Path) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace").strip() or "another process"
        raise ServedElsewhereError(
            f"{database} is served by {holder} already, and an SQLite file has one server; stop "
            "that one first, or name another file"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        log.warning(_WITHOUT, path=str(database), reason=error.strerror)
        return
    with suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

"""What does SQLite's "no" mean for us? The one place that knows its result codes."""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from countermand.actions.errors import (
    CountermandError,
    TakenError,
    UnavailableError,
    UnfitDataError,
    UnforeseenDatabaseError,
)
from countermand.storage.unique_keys import taken, unique_key

log = structlog.get_logger()

# What each result code is to us: an extended code by itself, otherwise by its primary one. None is a bug of ours:
# `UnforeseenDatabaseError`. docs/errors.md is drawn from this table.
MEANINGS: Final[Mapping[int, type[CountermandError] | None]] = {
    sqlite3.SQLITE_ERROR: None,
    sqlite3.SQLITE_INTERNAL: None,
    sqlite3.SQLITE_PERM: UnavailableError,
    sqlite3.SQLITE_ABORT: None,
    sqlite3.SQLITE_BUSY: UnavailableError,
    sqlite3.SQLITE_LOCKED: UnavailableError,
    sqlite3.SQLITE_NOMEM: UnavailableError,
    sqlite3.SQLITE_READONLY: UnavailableError,
    sqlite3.SQLITE_INTERRUPT: UnavailableError,
    sqlite3.SQLITE_IOERR: UnavailableError,
    sqlite3.SQLITE_CORRUPT: UnavailableError,
    sqlite3.SQLITE_NOTFOUND: None,
    sqlite3.SQLITE_FULL: UnavailableError,
    sqlite3.SQLITE_CANTOPEN: UnavailableError,
    sqlite3.SQLITE_PROTOCOL: UnavailableError,
    sqlite3.SQLITE_EMPTY: None,
    sqlite3.SQLITE_SCHEMA: UnavailableError,
    sqlite3.SQLITE_TOOBIG: UnfitDataError,
    sqlite3.SQLITE_CONSTRAINT: UnfitDataError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: TakenError,
    sqlite3.SQLITE_CONSTRAINT_ROWID: TakenError,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: TakenError,
    sqlite3.SQLITE_MISMATCH: UnfitDataError,
    sqlite3.SQLITE_MISUSE: None,
    sqlite3.SQLITE_NOLFS: UnavailableError,
    sqlite3.SQLITE_AUTH: None,
    sqlite3.SQLITE_FORMAT: None,
    sqlite3.SQLITE_RANGE: None,
    sqlite3.SQLITE_NOTADB: UnavailableError,
    sqlite3.SQLITE_NOTICE: None,
    sqlite3.SQLITE_WARNING: None,
}
# What a COMMIT can fail with before the last page of the transaction stands in the log, with which it would count: a
# write that found no room, or was not taken (a quota, a file system that has become read-only). Of other failures, such
# as that of the flush after it, nobody knows what a crash would leave.
UNDONE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})
_PRIMARY: Final = 0xFF
_UNIQUE_COLUMN: Final = re.compile(r"(\w+)\.(\w+)")

# Whatever the driver raises, also for a value that it cannot hand over.
DRIVER_ERRORS: Final = (sqlite3.Error, DBAPIError, OverflowError, UnicodeEncodeError)


def our_error(error: BaseException) -> CountermandError | UnforeseenDatabaseError | None:
    """The error in our terms; None for what no driver raised, which rises as it is."""
    cause = getattr(error, "orig", None) or error  # as SQLAlchemy wraps it
    if isinstance(cause, OverflowError | UnicodeEncodeError):  # Python's, of a value that SQLite cannot be given
        return _refused(cause, UnfitDataError)
    if not isinstance(cause, sqlite3.Error):
        return UnforeseenDatabaseError(str(cause)) if isinstance(error, DBAPIError) else None
    code = _code_of(cause)
    meaning = MEANINGS.get(code, MEANINGS.get(code & _PRIMARY))
    if meaning is None:
        return UnforeseenDatabaseError(str(cause))
    if issubclass(meaning, UnfitDataError):
        return _refused(cause, meaning)
    log.warning("database error", error=str(cause), code=_name_of(cause))
    return UnavailableError("the database cannot be used right now")


def is_undone(error: BaseException) -> bool:
    """Whether a COMMIT that failed with this has certainly left nothing, where its transaction has ended with it."""
    return _code_of(getattr(error, "orig", None) or error) in UNDONE


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as ours."""
    try:
        yield
    except DRIVER_ERRORS as error:
        ours = our_error(error)
        if ours is None:
            raise
        raise ours from error


def _refused(cause: BaseException, meaning: type[UnfitDataError]) -> UnfitDataError:
    said = f"{_name_of(cause)}: {cause}"
    if meaning is TakenError:  # often foreseen, so whoever did not foresee it logs it
        found = _UNIQUE_COLUMN.findall(str(cause))
        key = unique_key(found[0][0], (column for _, column in found)) if found else ""
        return taken(said, key)
    log.error("the database refused a value", error=str(cause), code=_name_of(cause))
    return UnfitDataError(said)


def _code_of(cause: BaseException) -> int:
    return getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR  # none where the driver itself says no


def _name_of(cause: BaseException) -> str:
    return getattr(cause, "sqlite_errorname", None) or type(cause).__name__


def _is_busy(error: BaseException) -> bool:
    """Whether another process has the lock; also as SQLAlchemy wraps it."""
    code = _code_of(getattr(error, "orig", None) or error)
    return code & _PRIMARY in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


async def retry_while_busy(begin: Callable[[], Awaitable[object]], *, limit_s: float) -> None:
    """Begin a write. While another process has the lock, ask again, awaited, for `limit_s` seconds at most.

    Never with SQLite's own busy timeout, which would hold the event loop, and with it whoever must let go of the lock.
    """
    try:
        await begin()  # nearly always; what follows costs more than a BEGIN
    except (sqlite3.Error, DBAPIError) as error:
        if not _is_busy(error):
            raise
    else:
        return
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_delay(limit_s),
        wait=wait_random_exponential(multiplier=0.005, max=0.1),
        reraise=True,
    ):
        with attempt:
            await begin()

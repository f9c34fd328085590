"""Translates SQLite's errors into this project's. No other module knows its result codes."""

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

# The meaning of each result code: of the extended code if it is listed, otherwise of its primary code. None means a bug
# in this project: `UnforeseenDatabaseError`. docs/errors.md is made from this table.
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
# The errors of a COMMIT that come before the transaction's last page is in the write-ahead log, so that the transaction
# does not count: a write found no room, or was not taken (a quota, a file system that became read-only). After other
# failures, such as that of the flush, it is unknown what a crash would leave.
UNDONE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})
_PRIMARY: Final = 0xFF
_UNIQUE_COLUMN: Final = re.compile(r"(\w+)\.(\w+)")

# All errors that the driver raises, including those for a value that it cannot pass on.
DRIVER_ERRORS: Final = (sqlite3.Error, DBAPIError, OverflowError, UnicodeEncodeError)


def our_error(error: BaseException) -> CountermandError | UnforeseenDatabaseError | None:
    """Return this project's error; None for an error that no driver raised."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
    if isinstance(cause, OverflowError | UnicodeEncodeError):  # Python cannot pass this value to SQLite
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
    """Return whether a COMMIT that failed with this error, and whose transaction has ended, certainly left nothing."""
    return _code_of(getattr(error, "orig", None) or error) in UNDONE


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as this project's errors."""
    try:
        yield
    except DRIVER_ERRORS as error:
        ours = our_error(error)
        if ours is None:
            raise
        raise ours from error


def _refused(cause: BaseException, meaning: type[UnfitDataError]) -> UnfitDataError:
    said = f"{_name_of(cause)}: {cause}"
    if meaning is TakenError:  # callers often expect it, so a caller that does not expect it logs it
        found = _UNIQUE_COLUMN.findall(str(cause))
        key = unique_key(found[0][0], (column for _, column in found)) if found else ""
        return taken(said, key)
    log.error("the database refused a value", error=str(cause), code=_name_of(cause))
    return UnfitDataError(said)


def _code_of(cause: BaseException) -> int:
    return getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR  # the driver's own errors have no code


def _name_of(cause: BaseException) -> str:
    return getattr(cause, "sqlite_errorname", None) or type(cause).__name__


def _is_busy(error: BaseException) -> bool:
    """Return whether another process has the lock. SQLAlchemy may have wrapped the error."""
    code = _code_of(getattr(error, "orig", None) or error)
    return code & _PRIMARY in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


async def retry_while_busy(begin: Callable[[], Awaitable[object]], *, limit_s: float) -> None:
    """Begin a write. While another process has the lock, try again for at most `limit_s` seconds, without blocking.

    SQLite's own busy timeout would block the event loop, and so also the task that must release the lock.
    """
    try:
        await begin()  # it nearly always succeeds; the retry machinery costs more than a BEGIN
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

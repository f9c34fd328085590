"""What does SQLite's "no" mean for us? The one place that knows its error codes."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from countermand.actions.errors import CountermandError, UnavailableError, UnfitDataError

log = structlog.get_logger()

# Primary result codes: the file cannot be written or read now, which says nothing about the request.
_THE_WORLD: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)


def our_error(error: BaseException) -> CountermandError | None:
    """The error in our terms; None for what is a bug of ours and must rise as it is."""
    error = getattr(error, "orig", None) or error  # as SQLAlchemy wraps it
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | OverflowError):
        return UnfitDataError(str(error))
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _THE_WORLD:
            log.warning("database error", error=str(error))
            return UnavailableError("the database cannot be used right now")
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as ours."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        ours = our_error(error)
        if ours is None:
            raise
        raise ours from error


def _is_busy(error: BaseException) -> bool:
    """Whether another process has the lock; also as SQLAlchemy wraps it."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


async def patiently(begin: Callable[[], Awaitable[object]], *, limit_s: float) -> None:
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

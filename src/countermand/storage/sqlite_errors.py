"""What does SQLite's "no" mean for us? The one place that knows its error codes."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

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


async def patiently(begin: Callable[[], Awaitable[None]], *, limit_s: float) -> None:
    """Begin a write, while another process has the lock: ask again, awaited, for `limit_s` seconds at most.

    Never with SQLite's own busy timeout, which would hold the event loop, and with it whoever must let go of the lock.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_delay(limit_s),
        wait=wait_random_exponential(multiplier=0.005, max=0.1),
        reraise=True,
    ):
        with attempt:
            await begin()

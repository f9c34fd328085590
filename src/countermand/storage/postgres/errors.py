"""What does PostgreSQL's "no" mean for us? The one place that knows its SQLSTATEs.

An error that the server reports for a statement has undone the statement: certainly not done. What ends a connection
says nothing about the commit that was under way: whoever was committing does not know.
"""

import asyncpg
import structlog

from countermand.actions.errors import (
    CountermandError,
    HeldError,
    KeyTakenError,
    TransientConflictError,
    UnavailableError,
    UnfitDataError,
)

log = structlog.get_logger()

_KEYS: str = "pk_idempotency_keys"
_UNAVAILABLE = "the database cannot be used right now"
# Classes of SQLSTATE: the database cannot work now, which says nothing about the request.
_THE_WORLD = ("08", "25", "28", "3D", "53", "54", "55", "57", "58", "F0", "XX")
_CONNECTION_GONE = ("08", "57P")
_LOCK_NOT_AVAILABLE = "55P03"
_MISSING_RIGHT = "42501"
_COMPLETION_UNKNOWN = "40003"

# What asyncpg raises by itself: an internal one, where among the hosts is none that takes writes.
_THE_DRIVERS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# Whatever asyncpg raises, the server's word on a statement included.
DRIVER_ERRORS = (asyncpg.PostgresError, *_THE_DRIVERS)


def our_error(error: BaseException) -> CountermandError | None:
    """The error in our terms, for what is certainly not done; None for a bug of ours, which must rise as it is."""
    cause = driver_error(error)
    state = getattr(cause, "sqlstate", None) or ""
    if state.startswith(("22", "23")) or isinstance(cause, asyncpg.DataError | OverflowError):
        taken = getattr(cause, "constraint_name", None) == _KEYS
        return KeyTakenError("the idempotency key is in use") if taken else UnfitDataError(type(cause).__name__)
    if state == _LOCK_NOT_AVAILABLE:
        return HeldError("another transaction holds the order")
    if state.startswith("40"):
        return TransientConflictError(str(cause))
    if state.startswith(_THE_WORLD) or state == _MISSING_RIGHT or isinstance(cause, _THE_DRIVERS):
        log.warning("database error", error=f"{type(cause).__name__}: {cause}", sqlstate=state or None)
        return UnavailableError(_UNAVAILABLE)
    return None


def is_unanswered(error: BaseException) -> bool:
    """Whether a statement was sent and its outcome never came: a commit may have happened."""
    cause = driver_error(error)
    if isinstance(cause, asyncpg.DataError | OverflowError):  # refused by the driver: never sent
        return False
    state = getattr(cause, "sqlstate", None) or ""
    if state:
        return state.startswith(_CONNECTION_GONE) or state == _COMPLETION_UNKNOWN
    return isinstance(cause, _THE_DRIVERS)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy wraps once or twice."""
    original = getattr(error, "orig", None) or error
    cause = original.__cause__
    return cause if isinstance(cause, DRIVER_ERRORS) and not isinstance(original, DRIVER_ERRORS) else original

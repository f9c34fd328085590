"""Translates PostgreSQL's errors into this project's. No other module knows SQLSTATEs.

An error that the server reports for a statement has undone that statement: it is certainly not done. An error that ends
the connection says nothing about a running commit: its outcome is unknown.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from countermand.actions.errors import (
    CountermandError,
    HeldError,
    TakenError,
    TransientConflictError,
    UnavailableError,
    UnfitDataError,
    UnforeseenDatabaseError,
)
from countermand.storage.unique_keys import taken

log = structlog.get_logger()

_UNAVAILABLE = "the database cannot be used right now"
_HELD = "another transaction holds the order or what it needs; nothing was done; send the request again"
_CONNECTION_GONE = ("08", "57P")
_COMPLETION_UNKNOWN = "40003"

# The meaning of each SQLSTATE or of the class that it begins with; the longest match counts. None means a bug in this
# project or in an operator's addition (a trigger, a foreign table): `UnforeseenDatabaseError`. A state that is not
# listed is not the server's own: an operator's trigger raised it to refuse a row. docs/errors.md is made from this.
MEANINGS: Final[Mapping[str, type[CountermandError] | None]] = {
    "03": None,  # SQL statement not yet complete
    "08": UnavailableError,  # connection exception
    "09": None,  # triggered action exception
    "0A": None,  # feature not supported
    "0B": None,  # invalid transaction initiation
    "0F": None,  # locator exception
    "0L": None,  # invalid grantor
    "0P": None,  # invalid role specification
    "0Z": None,  # diagnostics exception
    "10": None,  # XQuery error
    "20": None,  # case not found
    "21": None,  # cardinality violation
    "22": UnfitDataError,  # data exception: too long, out of range, not in the encoding
    "23": UnfitDataError,  # integrity constraint violation: not null, foreign key, check, exclusion
    "23505": TakenError,  # unique violation
    "24": None,  # invalid cursor state
    "25": None,  # invalid transaction state
    "25006": UnavailableError,  # read-only: a standby, or the operator's setting
    "25P03": UnavailableError,  # idle-in-transaction timeout
    "25P04": UnavailableError,  # transaction timeout
    "26": None,  # invalid SQL statement name
    "27": None,  # triggered data change violation
    "28": UnavailableError,  # invalid authorization
    "2B": None,  # dependent privilege descriptors
    "2D": None,  # invalid transaction termination
    "2F": None,  # SQL routine exception
    "34": None,  # invalid cursor name
    "38": None,  # external routine exception
    "39": None,  # external routine invocation exception
    "3B": None,  # savepoint exception
    "3D": UnavailableError,  # invalid catalog name: no such database
    "3F": None,  # invalid schema name
    "40": TransientConflictError,  # transaction rollback: a deadlock, a serialization failure
    "42": None,  # syntax error or access rule violation
    "42501": UnavailableError,  # insufficient privilege
    "44": UnfitDataError,  # with check option violation
    "53": UnavailableError,  # insufficient resources: disk, memory, connections
    "54": UnfitDataError,  # program limit exceeded: a value that is too large stays too large
    "55": UnavailableError,  # object not in prerequisite state
    "55P03": HeldError,  # lock not available
    "57": UnavailableError,  # operator intervention: a shutdown, a statement's limit
    "58": UnavailableError,  # system error: input and output
    "72": UnavailableError,  # snapshot failure
    "F0": UnavailableError,  # configuration file error
    "HV": None,  # foreign data wrapper error
    "P0": UnfitDataError,  # PL/pgSQL error: an operator's trigger refused a row
    "XX": UnavailableError,  # internal error, corruption
}

# The errors that asyncpg itself raises: for example an internal error if no host takes writes.
_THE_DRIVERS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# All errors that asyncpg raises, including the server's errors for a statement.
DRIVER_ERRORS = (asyncpg.PostgresError, *_THE_DRIVERS)


def our_error(error: BaseException) -> CountermandError | UnforeseenDatabaseError | None:
    """Return this project's error for something certainly not done; None for an error that no driver raised."""
    cause = driver_error(error)
    state = getattr(cause, "sqlstate", None) or ""
    meaning = _meaning_of(cause, state)
    if meaning is None:
        return UnforeseenDatabaseError(str(cause)) if isinstance(error, (DBAPIError, *DRIVER_ERRORS)) else None
    if issubclass(meaning, UnfitDataError):
        return _refused(cause, state, meaning)
    if meaning is HeldError:
        return HeldError(_HELD)
    if meaning is TransientConflictError:
        return TransientConflictError(str(cause))
    log.warning("database error", error=f"{type(cause).__name__}: {cause}", sqlstate=state or None)
    return UnavailableError(_UNAVAILABLE)


def is_unanswered(error: BaseException) -> bool:
    """Return whether a statement was sent but its outcome did not arrive: a commit may have happened."""
    cause = driver_error(error)
    if isinstance(cause, asyncpg.DataError | OverflowError):  # the driver refused the value, so nothing was sent
        return False
    state = getattr(cause, "sqlstate", None) or ""
    if state:
        return state.startswith(_CONNECTION_GONE) or state == _COMPLETION_UNKNOWN
    return isinstance(cause, _THE_DRIVERS)


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error, which SQLAlchemy wraps once or twice."""
    original = getattr(error, "orig", None) or error
    cause = original.__cause__
    return cause if isinstance(cause, DRIVER_ERRORS) and not isinstance(original, DRIVER_ERRORS) else original


def _meaning_of(cause: BaseException, state: str) -> type[CountermandError] | None:
    if isinstance(cause, asyncpg.DataError | OverflowError):  # the driver refused the value
        return UnfitDataError
    if isinstance(cause, asyncpg.InvalidCachedStatementError):  # a migration has just run; the driver drops its cache
        return UnavailableError
    if isinstance(cause, _THE_DRIVERS):
        return UnavailableError
    if not state:
        return None
    return next((MEANINGS[state[:length]] for length in (5, 2) if state[:length] in MEANINGS), UnfitDataError)


def _refused(cause: BaseException, state: str, meaning: type[UnfitDataError]) -> UnfitDataError:
    constraint = getattr(cause, "constraint_name", None) or ""
    said = f"{type(cause).__name__} {state} {constraint}".rstrip()
    if meaning is TakenError:  # callers often expect it, so a caller that does not expect it logs it
        return taken(said, constraint)
    where = {name: getattr(cause, f"{name}_name", None) for name in ("table", "column")}
    log.error("the database refused a value", sqlstate=state or None, constraint=constraint or None, **where)
    return UnfitDataError(said, constraint=constraint)

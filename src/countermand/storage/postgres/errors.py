"""What does PostgreSQL's "no" mean for us? The one place that knows its SQLSTATEs.

An error that the server reports for a statement has undone the statement: certainly not done. What ends a connection
says nothing about the commit that was under way: whoever was committing does not know.
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
_CONNECTION_GONE = ("08", "57P")
_COMPLETION_UNKNOWN = "40003"

# What each SQLSTATE is to us, by itself or by the class that it begins with: the longest that fits counts. None is a
# bug of ours or of what an operator added (a trigger, a foreign table): `UnforeseenDatabaseError`. A state that is not
# here is none of the server's: an operator's trigger raised it, to refuse a row. This table makes docs/errors.md.
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
    "25006": UnavailableError,  # read-only: a standby, or an operator's word
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
    "54": UnfitDataError,  # program limit exceeded: what is too large once is too large again
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

# What asyncpg raises by itself: an internal one, where among the hosts is none that takes writes.
_THE_DRIVERS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# Whatever asyncpg raises, the server's word on a statement included.
DRIVER_ERRORS = (asyncpg.PostgresError, *_THE_DRIVERS)


def our_error(error: BaseException) -> CountermandError | UnforeseenDatabaseError | None:
    """The error in our terms, for what is certainly not done; None for what no driver raised, which rises as it is."""
    cause = driver_error(error)
    state = getattr(cause, "sqlstate", None) or ""
    meaning = _meaning_of(cause, state)
    if meaning is None:
        return UnforeseenDatabaseError(str(cause)) if isinstance(error, (DBAPIError, *DRIVER_ERRORS)) else None
    if issubclass(meaning, UnfitDataError):
        return _refused(cause, state, meaning)
    if meaning is HeldError:
        return HeldError("another transaction holds the order")
    if meaning is TransientConflictError:
        return TransientConflictError(str(cause))
    log.warning("database error", error=f"{type(cause).__name__}: {cause}", sqlstate=state or None)
    return UnavailableError(_UNAVAILABLE)


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


def _meaning_of(cause: BaseException, state: str) -> type[CountermandError] | None:
    if isinstance(cause, asyncpg.DataError | OverflowError):  # refused by the driver: it cannot be sent
        return UnfitDataError
    if isinstance(cause, asyncpg.InvalidCachedStatementError):  # somebody has just migrated; the driver forgets it now
        return UnavailableError
    if isinstance(cause, _THE_DRIVERS):
        return UnavailableError
    if not state:
        return None
    return next((MEANINGS[state[:length]] for length in (5, 2) if state[:length] in MEANINGS), UnfitDataError)


def _refused(cause: BaseException, state: str, meaning: type[UnfitDataError]) -> UnfitDataError:
    constraint = getattr(cause, "constraint_name", None) or ""
    said = f"{type(cause).__name__} {state} {constraint}".rstrip()
    if meaning is TakenError:  # often foreseen, so whoever did not foresee it logs it
        return taken(said, constraint)
    where = {name: getattr(cause, f"{name}_name", None) for name in ("table", "column")}
    log.error("the database refused a value", sqlstate=state or None, constraint=constraint or None, **where)
    return UnfitDataError(said, constraint=constraint)

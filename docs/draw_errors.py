"""What becomes of a database's error? Draws `docs/errors.md` from tables in the code: `python docs/draw_errors.py`."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg

from countermand.actions import errors
from countermand.actions.errors import CountermandError, UnavailableError
from countermand.contracts.connect import tokens
from countermand.contracts.connect import translate as connect
from countermand.contracts.http import answer
from countermand.contracts.manage import translate as manage
from countermand.contracts.shopping import translate as shopping
from countermand.storage.postgres import errors as postgres
from countermand.storage.sqlite import errors as sqlite

PAGE = Path(__file__).with_name("errors.md")

# The statuses and codes of each API, and those of an unexpected error.
CONTRACTS: Final = {
    "connect": (connect._STATUS, connect._UNEXPECTED),  # noqa: SLF001 - the page is of what is inside
    "shopping": (shopping._STATUS, shopping._UNEXPECTED),  # noqa: SLF001
    "manage": (manage.STATUS, manage.UNEXPECTED),
    "partner": (manage.STATUS, manage.UNEXPECTED),
    "tokens": (tokens._STATUS, tokens._UNEXPECTED),  # noqa: SLF001
}
_SQLITE_NAMES: Final = (
    *("ERROR", "INTERNAL", "PERM", "ABORT", "BUSY", "LOCKED", "NOMEM", "READONLY", "INTERRUPT", "IOERR", "CORRUPT"),
    *("NOTFOUND", "FULL", "CANTOPEN", "PROTOCOL", "EMPTY", "SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "MISUSE"),
    *("NOLFS", "AUTH", "FORMAT", "RANGE", "NOTADB", "NOTICE", "WARNING", "IOERR_WRITE"),
    *("CONSTRAINT_PRIMARYKEY", "CONSTRAINT_ROWID", "CONSTRAINT_UNIQUE"),
)

_OPENING = """# What becomes of an error

*Drawn from the tables in the code by `python docs/draw_errors.py`. A test compares the two, so this page is changed
there.*

A driver's error becomes one of ours, and that one has its answer in each contract. 503 means *certainly not done, ask
again*, and has `Retry-After`. 500 means *done or not, a repeat settles it*, or that the database refused a value or a
row: that is logged with its SQLSTATE and constraint, or SQLite's code, and a repeat is refused alike. A *bug* is
`UnforeseenDatabaseError`, to which no contract gives a status: 500, with a stack trace in the log.
"""

_FORESEEN = """`TakenError` and those below it are foreseen where a key may be in use, and settled there: an order gets
another number, an idempotency key its stored answer, a client `client_exists`, an assertion *used before*. Whoever did
not foresee it answers 500. `TransientConflictError` is run again three times, and is 503 then.
"""

_DRIVERS = """What the driver says of itself (no connection, no answer in time) is `UnavailableError`, and so is a
prepared statement that a migration has just outdated; a value that the driver cannot send is `UnfitDataError`, and so
is a SQLSTATE that is not listed: an operator's trigger raised it. A connection that ends under a COMMIT leaves
`OutcomeUnknownError`.
"""

_COMMITS = """A COMMIT that failed so has left nothing, although SQLite has ended the transaction: {undone}. After every
other failure it has left nothing either where the transaction is still open; where it is not, nobody knows what a crash
would leave: `OutcomeUnknownError`, or, for cancellations, the search for it.
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_OPENING, "## Our errors and their answers", "", *_answers(), "", _FORESEEN]
    parts += ["## PostgreSQL", "", "By SQLSTATE, or the class that it begins with: the longest that fits counts.", ""]
    parts += [*_meanings("SQLSTATE", postgres.MEANINGS, _sqlstates()), ""]
    parts += [_DRIVERS]
    parts += ["## SQLite", "", "By extended result code, otherwise by the primary one.", ""]
    names = {getattr(sqlite3, f"SQLITE_{name}"): f"SQLITE_{name}" for name in _SQLITE_NAMES}
    parts += [*_meanings("code", sqlite.MEANINGS, names), ""]
    undone = ", ".join(f"`{names[code]}`" for code in sorted(sqlite.UNDONE))
    parts += [_COMMITS.format(undone=undone).rstrip()]
    return "\n".join(parts) + "\n"


def every_error() -> Iterator[type[CountermandError]]:
    """Those of the actions, then those that a request itself can be."""
    for module in (errors, answer):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and CountermandError in kind.__mro__[1:]:
                yield kind


def answered(contract: str, kind: type[CountermandError]) -> str:
    """Status and code; a conflict has its own code, and in the shop its own status, too."""
    table, unexpected = CONTRACTS[contract]
    status, code = table.get(kind, unexpected)
    if kind is errors.CursorGoneError and contract in {"manage", "partner"}:
        return f"{status} `its own`"
    if kind is not errors.ConflictError or contract == "tokens":
        return f"{status} `{code}`"
    return "by its code" if contract == "shopping" else f"{status} `its own`"


def _answers() -> Iterable[str]:
    yield _row(["error", *CONTRACTS, "`Retry-After`"])
    yield _row(["---"] * (len(CONTRACTS) + 2))
    for kind in every_error():
        told = [answered(contract, kind) for contract in CONTRACTS]
        yield _row([f"`{kind.__name__}`", *told, "yes" if issubclass(kind, UnavailableError) else "no"])


def _meanings(
    title: str, meanings: Mapping[Any, type[CountermandError] | None], names: Mapping[Any, str]
) -> Iterable[str]:
    yield _row([title, "name", "is to us"])
    yield _row(["---"] * 3)
    for code, meaning in sorted(meanings.items()):
        yield _row([f"`{code}`", names.get(code, ""), "bug" if meaning is None else f"`{meaning.__name__}`"])


def _sqlstates() -> Mapping[str, str]:
    """Names as the driver has them; a class goes by its general error."""
    kinds = [kind for kind in vars(asyncpg.exceptions).values() if getattr(kind, "sqlstate", None)]
    named = {kind.sqlstate: kind.__name__ for kind in kinds if kind is not asyncpg.InvalidCachedStatementError}
    # In this order, so that the general error of a class, where there is one, is the last.
    return named | {state[:2]: name for state, name in sorted(named.items(), reverse=True)}


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")

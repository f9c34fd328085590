"""What SQLite's "no" becomes: our error, for every code there is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from countermand.actions.errors import (
    KeyTakenError,
    OrderTakenError,
    TakenError,
    UnavailableError,
    UnfitDataError,
    UnforeseenDatabaseError,
)
from countermand.storage.schema import migrate
from countermand.storage.sqlite.errors import MEANINGS, is_undone, our_error
from countermand.storage.sqlite.file import connect

PRIMARY = range(1, 29)  # 0 is no error, and 100 and 101 are none


def error_of(code: int) -> sqlite3.Error:
    """As the driver raises it."""
    error = sqlite3.OperationalError("it is no")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_IT"
    return error


def test_every_primary_code_is_in_the_table_on_purpose():
    assert {code for code in MEANINGS if code <= 0xFF} == set(PRIMARY)


@pytest.mark.parametrize("code", [*PRIMARY, *(code for code in MEANINGS if code > 0xFF)])
def test_each_code_is_one_thing_to_us_and_so_is_every_extended_one_of_it(code: int):
    meaning = MEANINGS[code] or UnforeseenDatabaseError
    assert type(our_error(error_of(code))) is meaning
    if code <= 0xFF:
        assert type(our_error(error_of(code | 0xFF << 8))) is meaning


@pytest.mark.parametrize(
    ("code", "undone"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_IOERR_FSYNC, False),
        (sqlite3.SQLITE_IOERR_SHMSIZE, False),
        (sqlite3.SQLITE_IOERR, False),
        (sqlite3.SQLITE_NOMEM, False),
        (sqlite3.SQLITE_CORRUPT, False),
    ],
)
def test_what_no_commit_can_have_survived_is_told_from_what_a_crash_might_bring_back(code: int, *, undone: bool):
    assert is_undone(error_of(code)) is undone


AN_ORDER = (
    "INSERT INTO orders (id, contract, client_id, version, state, created_at) VALUES (1, 'connect', 1, 1, 'held', 1)"
)
REAL: dict[str, type[Exception]] = {
    "INSERT INTO schema_notes VALUES (2, 2)": TakenError,
    AN_ORDER: OrderTakenError,
    "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES (1, 'k', 'f', 1)": KeyTakenError,
    "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES (1, 'l', NULL, 1)": UnfitDataError,
    "INSERT INTO clients (door, name, permissions, key, created_at) VALUES ('manage', 'n', '[]', 'k', 1)": TakenError,
    "INSERT INTO payment_references (reference) VALUES ('x')": UnfitDataError,
    "INSERT INTO order_details (order_id, reference, details) VALUES (999, 'r', '{}')": UnfitDataError,
    "INSERT INTO orders (id) VALUES ('no number')": UnfitDataError,
    "SELECT zeroblob(2000000000)": UnfitDataError,
    "SELECT * FROM no_such_table": UnforeseenDatabaseError,
    "SELEC": UnforeseenDatabaseError,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("errors") / "test.sqlite3"
    migrate(path)
    with closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO clients (id, door, name, permissions, key, created_at) VALUES (1, 'manage', 'n', '[]', 'k', 1)"
        )
        connection.execute(AN_ORDER)
        connection.execute(
            "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES (1, 'k', 'f', 1)"
        )
    return path


@pytest.mark.parametrize("statement", REAL)
def test_a_real_no_is_understood(file: Path, statement: str):
    with closing(connect(file)) as connection, pytest.raises(sqlite3.Error) as raised:
        connection.execute(statement)
    ours = our_error(raised.value)
    assert type(ours) is REAL[statement]
    if isinstance(ours, TakenError):
        table = statement.split()[2]
        assert ours.constraint == (f"pk_{table}" if table != "clients" else "uq_clients_key")


@pytest.mark.parametrize("value", [1 << 63, "\ud800"])
def test_a_value_that_cannot_even_be_handed_over_is_refused(file: Path, value: int | str):
    with closing(connect(file)) as connection, pytest.raises((OverflowError, UnicodeEncodeError)) as raised:
        connection.execute("SELECT ?", [value])
    assert type(our_error(raised.value)) is UnfitDataError


def test_a_bug_of_a_statement_is_unforeseen_and_a_bug_that_no_driver_raised_stays_what_it_is():
    closed = sqlite3.ProgrammingError("Cannot operate on a closed database.")
    wrapped = DBAPIError("SELECT", {}, closed)
    assert {(type(ours), str(ours)) for ours in map(our_error, (closed, wrapped))} == {
        (UnforeseenDatabaseError, "Cannot operate on a closed database.")
    }
    assert our_error(ZeroDivisionError("a bug")) is None
    assert our_error(UnforeseenDatabaseError("it was translated before")) is None


def test_what_is_locked_is_503(file: Path):
    with closing(connect(file)) as one, closing(connect(file)) as other:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as raised:
            other.execute("BEGIN IMMEDIATE")
    assert type(our_error(raised.value)) is UnavailableError

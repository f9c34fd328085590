"""How a database gets its schema, and which schemas are worked with: the same on a file and on a server."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from countermand.actions.errors import SchemaError
from countermand.bootstrap.database import open_database
from countermand.settings import Settings, read_settings
from countermand.storage.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, DatabaseAddress, migrate
from countermand.storage.tables.columns import metadata
from support.schemas import a_place, check, column, migrated_to, rows, tables, with_connection

EVERY_TABLE = {*metadata.tables, "alembic_version"}
# Since the second schema, each says which code still works with it.
NOTES = [{"number": number, "oldest_code": 2} for number in range(2, NEWEST_SCHEMA + 1)]
NO_SCHEMA = r"has no schema yet; make it with: countermand migrate"


@pytest.fixture(params=["sqlite", "postgres"])
def where(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DatabaseAddress]:
    with a_place(tmp_path, request.param) as place:
        yield place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """For what only a file can show."""
    return tmp_path / "test.sqlite3"


def test_a_database_is_made_with_every_table_and_is_then_one_to_work_with(where: DatabaseAddress):
    assert migrate(where) == (0, NEWEST_SCHEMA)
    check(where)
    assert tables(where) == EVERY_TABLE
    assert rows(where, "SELECT * FROM schema_notes ORDER BY number") == NOTES


def test_migrating_twice_changes_nothing(where: DatabaseAddress):
    migrate(where)
    rows(where, "INSERT INTO counters (name, last) VALUES ('order', 41) RETURNING last")
    assert migrate(where) == (NEWEST_SCHEMA, NEWEST_SCHEMA)
    assert tables(where) == EVERY_TABLE
    assert rows(where, "SELECT * FROM counters") == [{"name": "order", "last": 41}]
    assert rows(where, "SELECT * FROM schema_notes ORDER BY number") == NOTES


def test_several_that_migrate_at_once_all_find_it_done(where: DatabaseAddress):
    with ThreadPoolExecutor(4) as nodes:
        done = list(nodes.map(migrate, [where] * 4))
    assert {after for _, after in done} == {NEWEST_SCHEMA}
    assert {before for before, _ in done} <= {0, NEWEST_SCHEMA}
    assert 0 in {before for before, _ in done}
    check(where)
    assert column(where, "SELECT version_num FROM alembic_version") == [f"{NEWEST_SCHEMA:04}"]
    assert rows(where, "SELECT * FROM schema_notes ORDER BY number") == NOTES


@pytest.mark.parametrize("table", ["tickets", "payment_references"])
def test_a_migration_is_done_whole_or_not_at_all(where: DatabaseAddress, table: str):
    with_connection(where, lambda connection: connection.exec_driver_sql(f"CREATE TABLE {table} (x int)"))
    with pytest.raises((SchemaError, DBAPIError), match=table):
        migrate(where)
    assert tables(where) == {table}
    with pytest.raises(SchemaError, match=NO_SCHEMA):
        check(where)
    with_connection(where, lambda connection: connection.exec_driver_sql(f"DROP TABLE {table}"))
    assert migrate(where) == (0, NEWEST_SCHEMA)


def test_what_fails_in_the_last_migration_leaves_the_schema_that_was_there(where: DatabaseAddress):
    migrated_to(where, 1)
    with_connection(where, lambda connection: connection.exec_driver_sql("CREATE TABLE payment_references (x int)"))
    before = tables(where)
    with pytest.raises((SchemaError, DBAPIError), match="payment_references"):
        migrate(where)
    assert tables(where) == before
    assert column(where, "SELECT version_num FROM alembic_version") == ["0001"]
    with_connection(where, lambda connection: connection.exec_driver_sql("DROP TABLE payment_references"))
    assert migrate(where) == (1, NEWEST_SCHEMA)


def test_an_empty_database_is_sent_to_the_command_that_fills_it(where: DatabaseAddress):
    if isinstance(where, Path):
        where.touch()
    with pytest.raises(SchemaError, match=NO_SCHEMA):
        check(where)
    assert tables(where) == set()


def test_nothing_is_opened_on_a_schema_outside_the_range(where: DatabaseAddress):
    with pytest.raises(SchemaError, match="countermand migrate"):
        asyncio.run(open_database(settings_for(where)))
    assert not isinstance(where, Path) or not where.exists()


@pytest.mark.parametrize("number", [OLDEST_SCHEMA, NEWEST_SCHEMA])
def test_both_ends_of_the_range_are_worked_with(where: DatabaseAddress, number: int):
    migrate(where)
    noted(where, number, OLDEST_SCHEMA)
    check(where)


def test_an_older_schema_is_sent_to_the_command_that_brings_it_up(where: DatabaseAddress):
    migrated_to(where, OLDEST_SCHEMA - 1)
    said = f"has schema {OLDEST_SCHEMA - 1}, this version works with {OLDEST_SCHEMA} and newer; bring it up with:"
    with pytest.raises(SchemaError, match=said):
        check(where)
    with pytest.raises(SchemaError, match="countermand migrate"):
        asyncio.run(open_database(settings_for(where)))
    migrate(where)
    check(where)


@pytest.mark.parametrize("number", [NEWEST_SCHEMA + 1, 9999])
def test_a_newer_schema_that_says_it_works_with_this_version_is_worked_with_and_not_touched(
    where: DatabaseAddress, number: int
):
    migrate(where)
    noted(where, number, NEWEST_SCHEMA)
    check(where)
    with pytest.raises(SchemaError, match=f"has schema {number}, which is newer than {NEWEST_SCHEMA}, ours"):
        migrate(where)
    assert column(where, "SELECT version_num FROM alembic_version") == [f"{number:04}"]


@pytest.mark.parametrize("number", [NEWEST_SCHEMA + 1, 9999])
def test_a_newer_schema_that_needs_newer_code_is_neither_worked_with_nor_touched(where: DatabaseAddress, number: int):
    migrate(where)
    noted(where, number, NEWEST_SCHEMA + 1)
    said = f"has schema {number}, which needs a Countermand for schema {NEWEST_SCHEMA + 1} or newer, .*; start a newer"
    with pytest.raises(SchemaError, match=said):
        check(where)
    with pytest.raises(SchemaError, match="newer"):
        migrate(where)
    assert column(where, "SELECT version_num FROM alembic_version") == [f"{number:04}"]


@pytest.mark.parametrize("version", ["ae1027a6acf0", f"{OLDEST_SCHEMA - 1:04}", f"{NEWEST_SCHEMA:04}"])
def test_the_tables_of_another_program_are_told_apart_from_ours_and_left_as_they_are(
    where: DatabaseAddress, version: str
):
    """Alembic, which many use, keeps its number in a table of the same name everywhere."""

    def make(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{version}')")

    with_connection(where, make)
    for use in (check, migrate):
        with pytest.raises(SchemaError, match=rf"has the tables of another program \(its version: {version}\); give"):
            use(where)
    assert tables(where) == {"alembic_version"}
    assert column(where, "SELECT version_num FROM alembic_version") == [version]


def test_without_a_file_the_command_that_makes_one_is_named(path: Path):
    with pytest.raises(SchemaError, match=r"no database at .*test\.sqlite3; make one with: countermand migrate"):
        check(path)
    assert not path.exists()


def test_a_file_that_is_no_database_is_named_and_left_as_it_is(path: Path):
    path.write_text("shopping list: bread, milk, and a good deal more than a hundred bytes " * 3)
    before = path.read_bytes()
    for use in (check, migrate):
        with pytest.raises(SchemaError, match=r"test\.sqlite3 is not an SQLite database"):
            use(path)
    assert path.read_bytes() == before


def settings_for(where: DatabaseAddress) -> Settings:
    return read_settings(database_path=where) if isinstance(where, Path) else read_settings(database_url=where.url)


def noted(where: DatabaseAddress, number: int, oldest_code: int) -> None:
    """As a version for a newer schema would have left it."""
    rows(where, f"UPDATE alembic_version SET version_num = '{number:04}' RETURNING version_num")
    rows(where, "DELETE FROM schema_notes RETURNING number")
    rows(where, f"INSERT INTO schema_notes VALUES ({number}, {oldest_code}) RETURNING number")

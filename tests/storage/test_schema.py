import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from countermand.actions.errors import SchemaError
from countermand.bootstrap import open_database
from countermand.settings import read_settings
from countermand.storage.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, check_schema, migrate, schema_of
from countermand.storage.tables import metadata
from support.races import column, look


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "folder" / "test.sqlite3"


def test_a_database_is_made_with_every_table_and_is_then_one_to_work_with(path: Path):
    assert migrate(path) == (0, NEWEST_SCHEMA)
    check_schema(path)
    assert tables(path) == {*metadata.tables, "alembic_version"}


def test_the_migrations_make_what_the_tables_say_column_for_column(path: Path, tmp_path: Path):
    migrate(path)
    declared = tmp_path / "declared.sqlite3"
    made_from(declared)
    assert {name: shape(path, name) for name in metadata.tables} == {
        name: shape(declared, name) for name in metadata.tables
    }
    assert indexes(path) == indexes(declared)


def test_migrating_twice_changes_nothing(path: Path):
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO counters VALUES ('order', 41)")
        connection.commit()
    before = look(path, "SELECT sql FROM sqlite_master")
    assert migrate(path) == (NEWEST_SCHEMA, NEWEST_SCHEMA)
    assert look(path, "SELECT sql FROM sqlite_master") == before
    assert look(path, "SELECT * FROM counters") == [{"name": "order", "last": 41}]


def test_a_migration_is_done_whole_or_not_at_all(path: Path):
    path.parent.mkdir(parents=True)
    in_the_way(path, "tickets")
    with pytest.raises(OperationalError, match="tickets"):
        migrate(path)
    assert tables(path) == {"tickets"}
    assert schema_of(path) == 0
    in_the_way(path, None)
    assert migrate(path) == (0, NEWEST_SCHEMA)


def test_without_a_database_the_command_that_makes_one_is_named(path: Path):
    with pytest.raises(SchemaError, match=r"no database at .*test\.sqlite3; make one with: countermand migrate"):
        check_schema(path)
    assert not path.exists()


def test_an_empty_database_is_sent_to_the_command_that_fills_it(path: Path):
    path.parent.mkdir(parents=True)
    path.touch()
    assert schema_of(path) == 0
    with pytest.raises(SchemaError, match="has no schema yet; make it with: countermand migrate"):
        check_schema(path)


@pytest.mark.parametrize("number", [OLDEST_SCHEMA, NEWEST_SCHEMA])
def test_both_ends_of_the_range_are_worked_with(path: Path, number: int):
    migrate(path)
    numbered(path, number)
    check_schema(path)
    assert schema_of(path) == number


@pytest.mark.parametrize("number", [NEWEST_SCHEMA + 1, 9999])
def test_a_newer_schema_is_neither_worked_with_nor_touched(path: Path, number: int):
    migrate(path)
    numbered(path, number)
    for use in (check_schema, migrate):
        with pytest.raises(SchemaError, match=f"has schema {number}, .*; start a newer Countermand"):
            use(path)
    assert column(path, "SELECT version_num FROM alembic_version") == [f"{number:04}"]


def test_an_older_schema_is_sent_to_the_command_that_brings_it_up(path: Path, monkeypatch: pytest.MonkeyPatch):
    migrate(path)
    monkeypatch.setattr("countermand.storage.schema.OLDEST_SCHEMA", NEWEST_SCHEMA + 1)
    with pytest.raises(SchemaError, match=f"has schema {NEWEST_SCHEMA}, .*; bring it up with: countermand migrate"):
        check_schema(path)


def test_a_file_that_is_no_database_is_named_and_left_as_it_is(path: Path):
    path.parent.mkdir(parents=True)
    path.write_text("shopping list: bread, milk, and a good deal more than a hundred bytes " * 3)
    before = path.read_bytes()
    for use in (check_schema, migrate):
        with pytest.raises(SchemaError, match=r"test\.sqlite3 is not an SQLite database"):
            use(path)
    assert path.read_bytes() == before


def test_nothing_is_opened_on_a_schema_outside_the_range(path: Path):
    with pytest.raises(SchemaError, match="countermand migrate"):
        open_database(read_settings(database_path=path))
    assert not path.exists()


def tables(path: Path) -> set[str]:
    return set(column(path, "SELECT name FROM sqlite_master WHERE type = 'table'"))


def shape(path: Path, table: str) -> list[tuple[object, ...]]:
    rows = look(path, f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}') ORDER BY name")
    options = look(path, f"SELECT wr FROM pragma_table_list('{table}')")
    return [tuple(row.values()) for row in [*rows, *options]]


def indexes(path: Path) -> set[tuple[object, ...]]:
    query = "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    return {(row["tbl_name"], " ".join(row["sql"].split())) for row in look(path, query)}


def made_from(path: Path) -> None:
    """A database made straight from the tables, without a migration."""
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()


def in_the_way(path: Path, table: str | None) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE IF EXISTS tickets" if table is None else f"CREATE TABLE {table} (x)")
        connection.commit()


def numbered(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (f"{number:04}",))
        connection.commit()

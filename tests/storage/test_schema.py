"""How a database gets its schema, and which schemas are worked with: the same on a file and on a server."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection

from countermand.actions.errors import SchemaError
from countermand.bootstrap.database import open_database
from countermand.settings import Settings, read_settings
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, DatabaseAddress, migrate
from countermand.storage.tables.columns import metadata
from support.postgres import until_waiting
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
    assert {before for before, _ in done} <= set(range(NEWEST_SCHEMA + 1))
    assert 0 in {before for before, _ in done}
    check(where)
    assert column(where, "SELECT version_num FROM alembic_version") == [f"{NEWEST_SCHEMA:04}"]
    assert rows(where, "SELECT * FROM schema_notes ORDER BY number") == NOTES


def test_a_migration_is_done_whole_or_not_at_all(where: DatabaseAddress):
    """The table is the last of its migration: those before it are not made."""
    with_connection(where, lambda connection: connection.exec_driver_sql("CREATE TABLE tickets (x int)"))
    with pytest.raises(
        SchemaError, match=r"tickets.* already exists; (nothing was changed|no migration was left half)"
    ):
        migrate(where)
    assert tables(where) == {"tickets"}
    with pytest.raises(SchemaError, match=NO_SCHEMA):
        check(where)
    with_connection(where, lambda connection: connection.exec_driver_sql("DROP TABLE tickets"))
    assert migrate(where) == (0, NEWEST_SCHEMA)


@pytest.mark.parametrize(("table", "done"), [("payment_references", 1), ("staff_tokens", 8), ("task_progress", 9)])
def test_what_fails_between_two_migrations_goes_on_there(where: DatabaseAddress, table: str, done: int):
    """On SQLite, which has one writer anyway, all migrations are done or none is."""
    migrated_to(where, 1)
    before = tables(where)
    with_connection(where, lambda connection: connection.exec_driver_sql(f"CREATE TABLE {table} (x int)"))
    with pytest.raises(SchemaError, match=table):
        migrate(where)
    left = 1 if isinstance(where, Path) else done
    assert column(where, "SELECT version_num FROM alembic_version") == [f"{left:04}"]
    with_connection(where, lambda connection: connection.exec_driver_sql(f"DROP TABLE {table}"))
    assert (tables(where) == before) is (left == 1)
    with pytest.raises(SchemaError, match=f"has schema {left}, .* bring it up with: countermand migrate"):
        check(where)
    assert migrate(where) == (left, NEWEST_SCHEMA)
    assert tables(where) == EVERY_TABLE
    assert rows(where, "SELECT * FROM schema_notes ORDER BY number") == NOTES


@pytest.mark.parametrize(
    ("name", "table", "columns", "before"),
    [
        ("ix_payments_late", "payments", "(recorded_at) WHERE is_late", 7),
        ("ix_orders_created_at_id", "orders", "(created_at, id)", 9),
    ],
)
@pytest.mark.parametrize("is_valid", [False, True])
def test_an_index_that_a_crash_left_is_made_anew_unless_it_is_whole(
    tmp_path: Path, name: str, table: str, columns: str, before: int, *, is_valid: bool
):
    found = f"SELECT indexrelid::bigint, indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass"
    with a_place(tmp_path, "postgres") as where:
        migrated_to(where, before)
        rows(where, f"CREATE INDEX {name} ON {table} {columns}")
        rows(where, f"UPDATE pg_index SET indisvalid = {is_valid} WHERE indexrelid = '{name}'::regclass")
        (left,) = rows(where, found)
        assert migrate(where) == (before, NEWEST_SCHEMA)
        (now,) = rows(where, found)
        assert now["indisvalid"]
        assert (now == left) is is_valid


def test_while_an_index_is_built_no_other_transaction_waits(tmp_path: Path):
    """The building waits for a transaction that wrote to the table before, and holds no table meanwhile."""

    async def write_meanwhile(where: PostgresAddress) -> tuple[int, int]:
        old, other = await where.connect(), await where.connect()
        await other.execute("SET statement_timeout = '400ms'")
        holding = old.transaction()
        await holding.start()
        await old.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(asyncio.to_thread(migrate, where))
        await until_waiting(other)
        for _ in range(20):
            for table in ("orders", "order_details", "refusals", "cancellations", "outbox", "payments", "clients"):
                await other.execute(f"DELETE FROM {table}")
            await asyncio.sleep(0.05)
        assert not migrating.done()
        assert await other.fetchval("SELECT version_num FROM alembic_version") == "0009"
        await holding.rollback()
        done = await migrating
        for connection in (old, other):
            await connection.close()
        return done

    with a_place(tmp_path, "postgres") as where:
        assert isinstance(where, PostgresAddress)
        migrated_to(where, 7)
        assert asyncio.run(write_meanwhile(where)) == (7, NEWEST_SCHEMA)


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

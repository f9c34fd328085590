import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from countermand.contracts.registry import CONTRACTS, accesses_of
from countermand.domain.appointments.appointment import AppointmentState
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState
from countermand.storage import schema
from countermand.storage.tables.columns import metadata
from countermand.storage.tables.schema import COUNTERS
from support.schemas import a_place, column, rows, with_connection

# Only on PostgreSQL, and written in its own words: a summary of block ranges.
BRIN = "ix_cancellations_decided_at"


@pytest.fixture
def migrated(tmp_path):
    path = tmp_path / "migrated.sqlite3"
    assert schema.migrate(path) == (0, schema.NEWEST_SCHEMA)
    return path


@pytest.mark.parametrize(("on", "besides"), [("sqlite", set()), ("postgres", {BRIN})])
def test_the_migrations_make_the_tables_of_the_code(tmp_path, on, besides):
    options = {"compare_type": True, "compare_server_default": True, "target_metadata": metadata}

    with a_place(tmp_path, on) as where:
        schema.migrate(where)
        differences = with_connection(
            where,
            lambda connection: compare_metadata(MigrationContext.configure(connection, opts=options), metadata),
        )

    assert {(what, index.name) for what, index in differences} == {("remove_index", name) for name in besides}


def test_on_postgres_too_down_to_keys_constraints_and_partial_indexes(tmp_path):
    with a_place(tmp_path, "postgres") as where, a_place(tmp_path, "postgres") as made:
        schema.migrate(where)
        with_connection(made, metadata.create_all)
        by_migrations, by_tables = postgres_shape(where), postgres_shape(made)

    assert BRIN in by_migrations["indexes"].pop(BRIN)
    assert by_migrations == by_tables
    assert "WHERE" in by_tables["indexes"]["uq_appointments_active"]


def test_on_postgres_counters_are_sequences_and_rows_have_room_for_their_next_version(tmp_path):
    with a_place(tmp_path, "postgres") as where:
        schema.migrate(where)
        sequences = column(where, "SELECT relname FROM pg_class WHERE relkind = 'S' AND relname LIKE '%_number'")
        room = column(where, "SELECT relname FROM pg_class WHERE reloptions::text LIKE '%fillfactor%'")

    assert set(sequences) == {f"{counter}_number" for counter in COUNTERS}
    assert set(room) == {"orders", "tickets", "products"}


def test_down_to_keys_foreign_keys_indexes_and_row_numbers(migrated, tmp_path):
    """What the comparison above does not look at on SQLite: partial indexes, WITHOUT ROWID, the order of a key."""
    made = tmp_path / "made.sqlite3"
    engine = create_engine(f"sqlite:///{made}")
    metadata.create_all(engine)
    engine.dispose()

    assert shape(migrated) == shape(made)


def test_a_second_migration_changes_nothing(migrated):
    before = shape(migrated)

    assert schema.migrate(migrated) == (schema.NEWEST_SCHEMA, schema.NEWEST_SCHEMA)
    assert shape(migrated) == before


def test_the_newest_schema_is_the_last_migration_and_the_oldest_is_among_them():
    folder = schema.Path(schema.__file__).parent / "migrations"
    numbers = [int(script.revision) for script in ScriptDirectory(str(folder)).walk_revisions()]

    assert max(numbers) == schema.NEWEST_SCHEMA
    assert schema.OLDEST_SCHEMA in numbers
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


NAMES = [access.channel for access in accesses_of(CONTRACTS)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("orders.state", OrderState),
        ("orders.contract", NAMES),
        ("cancellations.state", OrderState),
        ("cancellations.contract", NAMES),
        ("cancellations.door", NAMES),
        ("refusals.state", OrderState),
        ("refusals.door", NAMES),
        ("idempotency_keys.state", OrderState),
        ("appointments.state", AppointmentState),
        ("clients.door", NAMES),
        ("policies.contract", NAMES),
        ("outbox.kind", OrderEventKind),
    ],
)
def test_every_word_of_ours_fits_its_column(column, values):
    table, name = column.split(".")

    assert max(len(value) for value in values) <= metadata.tables[table].c[name].type.length


def postgres_shape(where):
    """Columns, constraints and indexes as PostgreSQL tells of them, but for Alembic's own table."""
    ours = "NOT IN ('alembic_version', 'alembic_version_pkc')"
    return {
        "columns": {
            (row["table_name"], row["column_name"]): (row["data_type"], row["character_maximum_length"], row["null"])
            for row in rows(
                where,
                "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable AS null"
                f" FROM information_schema.columns WHERE table_schema = 'public' AND table_name {ours}",
            )
        },
        "constraints": {
            row["conname"]: row["said"]
            for row in rows(
                where,
                "SELECT conname, pg_get_constraintdef(oid) AS said FROM pg_constraint"
                f" WHERE connamespace = 'public'::regnamespace AND conname {ours} AND contype <> 'n'",
            )
        },
        "indexes": {
            row["indexname"]: row["indexdef"]
            for row in rows(
                where,
                f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname {ours}",
            )
        },
    }


def shape(path):
    """A database's tables as SQLite tells of them, but for Alembic's own."""
    with closing(sqlite3.connect(path)) as connection:
        made = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        made.pop("alembic_version", None)
        return {
            table: {
                "columns": connection.execute(f"PRAGMA table_info({table})").fetchall(),
                "foreign keys": sorted(connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()),
                "indexes": indexes(connection, table),
                "without rowid": "WITHOUT ROWID" in sql,
            }
            for table, sql in made.items()
        }


def indexes(connection, table):
    found = connection.execute(f"PRAGMA index_list({table})").fetchall()
    said = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall())
    return sorted(
        (
            unique,
            origin,
            [column for *_, column in connection.execute(f"PRAGMA index_info({name})")],
            " ".join((said.get(name) or "").split()),
        )
        for _, name, unique, origin, _ in found
    )

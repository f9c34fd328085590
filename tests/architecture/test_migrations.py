"""From 0002 on, a migration only adds, unless it says that older code does not work with it any more."""

import functools
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from countermand.storage.schema import NEWEST_SCHEMA
from support.schemas import (
    a_migrated_place,
    a_place,
    column,
    migrated_to,
    newest_of,
    what_older_code_would_miss,
    with_next_migrations,
)

ON = pytest.mark.parametrize("on", ["sqlite", "postgres"])

# Bodies of made-up migrations that say they only add.
ONLY_ADDS = {
    "a column that may be empty": 'op.add_column("orders", sa.Column("made_up", sa.Text(), nullable=True))',
    "a column with a default": """
op.add_column("orders", sa.Column("n", sa.Integer(), nullable=False, server_default="1"))""",
    "a table": 'op.create_table("made_up", sa.Column("id", sa.Integer(), primary_key=True))',
    "an index": 'op.create_index("ix_made_up", "orders", ["created_at"])',
    "rows": "op.execute(\"INSERT INTO counters (name, last) VALUES ('made up', 1)\")",
}
DOES_NOT = {
    "a column that must be filled in": """
with op.batch_alter_table("counters") as table:
    table.add_column(sa.Column("made_up", sa.Text(), nullable=False))""",
    "a column taken away": """
with op.batch_alter_table("refusals", table_kwargs={"sqlite_with_rowid": False}) as table:
    table.drop_column("reason")""",
    "a column renamed": """
with op.batch_alter_table("counters") as table:
    table.alter_column("last", new_column_name="newest")""",
    "a column that may no longer be empty": """
with op.batch_alter_table("clients") as table:
    table.alter_column("key", existing_type=sa.String(64), nullable=False)""",
    "a column made narrower": """
with op.batch_alter_table("methods") as table:
    table.alter_column("kind", existing_type=sa.String(16), type_=sa.String(4), existing_nullable=False)""",
    "a table taken away": 'op.drop_table("methods")',
    "a table renamed": 'op.rename_table("methods", "ways")',
    "a new uniqueness": 'op.create_index("uq_made_up", "clients", ["name"], unique=True)',
    "a new reference": """
with op.batch_alter_table("cancellations") as table:
    table.create_foreign_key("fk_made_up", "orders", ["order_id"], ["id"])""",
    "a new condition": """
with op.batch_alter_table("counters") as table:
    table.create_check_constraint("made_up", "last >= 0")""",
}


@ON
@pytest.mark.parametrize("number", range(2, NEWEST_SCHEMA + 1))
def test_a_migration_only_adds_or_says_that_older_code_no_longer_works(tmp_path, on, number):
    with a_place(tmp_path, on) as where:
        migrated_to(where, number - 1)
        before = newest_of(where)
        migrated_to(where, number)
        (oldest_code,) = column(where, f"SELECT oldest_code FROM schema_notes WHERE number = {number}")
        if oldest_code < number:
            assert what_older_code_would_miss(before, newest_of(where)) == []


@ON
@pytest.mark.parametrize("what", ONLY_ADDS)
def test_what_only_adds_passes(tmp_path, monkeypatch, on, what):
    assert missed(tmp_path, monkeypatch, on, ONLY_ADDS[what]) == []


@ON
@pytest.mark.parametrize("what", DOES_NOT)
def test_what_does_more_than_add_is_found(tmp_path, monkeypatch, on, what):
    assert missed(tmp_path, monkeypatch, on, DOES_NOT[what]) != []


def missed(folder, monkeypatch, on, body):
    with a_migrated_place(folder, on) as where:
        with_next_migrations(folder, monkeypatch, (body, NEWEST_SCHEMA))
        migrated_to(where, NEWEST_SCHEMA + 1)
        return what_older_code_would_miss(shape_today(on), newest_of(where))


@functools.cache
def shape_today(on):
    with TemporaryDirectory() as folder, a_migrated_place(Path(folder), on) as where:
        return newest_of(where)

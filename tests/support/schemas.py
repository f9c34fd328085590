"""Makes databases of any schema: empty, of the first schema with data, or of a future schema."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from countermand.storage import schema
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import DatabaseAddress
from support.elsewhere import elsewhere
from support.postgres import a_database, template
from support.world import migrated

_NEXT = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"
branch_labels = None
depends_on = None


def upgrade() -> None:
{body}
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES ({number}, {oldest_code})")
'''


@contextmanager
def a_place(folder: Path, on: str) -> Iterator[DatabaseAddress]:
    """Where there is no schema yet, and on SQLite not even a file."""
    if on == "sqlite":
        within = folder / "some" / "folder"
        within.mkdir(parents=True, exist_ok=True)
        yield within / "test.sqlite3"
        return
    with a_database(migrated=False) as url:
        yield PostgresAddress(url=url)


@contextmanager
def a_migrated_place(folder: Path, on: str) -> Iterator[DatabaseAddress]:
    """An empty database of the newest schema, copied from the one that is made once a run."""
    if on == "sqlite":
        yield Path(shutil.copy(migrated(), folder / "test.sqlite3"))
        return
    with a_database() as url:
        yield PostgresAddress(url=url)


def rows(where: DatabaseAddress, statement: str) -> list[dict[str, Any]]:
    """Run a statement as another process, in a transaction of its own."""
    if isinstance(where, Path):
        with closing(sqlite3.connect(where, timeout=5, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]

    async def run() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(where.url)
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return elsewhere(run)


def column(where: DatabaseAddress, statement: str) -> list[Any]:
    """The first column of its rows."""
    return [next(iter(row.values())) for row in rows(where, statement)]


def tables(where: DatabaseAddress) -> set[str]:
    if isinstance(where, Path):
        return set(column(where, "SELECT name FROM sqlite_master WHERE type = 'table'"))
    return set(column(where, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))


def check(where: DatabaseAddress) -> None:
    """`check_schema`, from a test without an event loop."""
    asyncio.run(schema.check_schema(where))


def with_connection(where: DatabaseAddress, do: Any) -> Any:
    """Call something with an SQLAlchemy connection, in one transaction."""
    if isinstance(where, Path):
        where.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{where}")
        with engine.begin() as connection:
            done = do(connection)
        engine.dispose()
        return done

    async def run() -> Any:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=where.connect)
        async with engine.begin() as connection:
            done = await connection.run_sync(do)
        await engine.dispose()
        return done

    return elsewhere(run)


def migrated_to(where: DatabaseAddress, number: int) -> None:
    """Bring a database to an older schema, as an older version left it."""

    to = f"{number:04}"
    if isinstance(where, Path):
        with_connection(where, lambda connection: schema._upgrade(connection, to))
    else:
        elsewhere(schema._migrate_postgres, where, to)


def with_next_migrations(folder: Path, monkeypatch: pytest.MonkeyPatch, *migrations: tuple[str, int]) -> None:
    """Go on after the newest migration with made-up ones, each a body and the oldest code that works with it."""
    migrated()  # what others copy must have been made of the real ones
    template()
    made = folder / "migrations"
    shutil.copytree(schema.MIGRATIONS, made, ignore=shutil.ignore_patterns("__pycache__"))
    for number, (body, oldest_code) in enumerate(migrations, start=schema.NEWEST_SCHEMA + 1):
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        text = _NEXT.format(name="Made up", number=number, before=number - 1, body=lines, oldest_code=oldest_code)
        (made / "versions" / f"{number:04}_made_up.py").write_text(text)
    monkeypatch.setattr(schema, "MIGRATIONS", made)


@contextmanager
def newer_code(*, newest: int, oldest: int = schema.OLDEST_SCHEMA) -> Iterator[None]:
    """For as long as the block runs, this process is of a version for newer schemas."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(schema, "NEWEST_SCHEMA", newest)
        monkeypatch.setattr(schema, "OLDEST_SCHEMA", oldest)
        yield


def migrate_as_newer_code(where: DatabaseAddress) -> None:
    """Do the migrations that there are, whatever this version's own newest schema is. Not on an event loop."""
    if isinstance(where, Path):
        schema._migrate_sqlite(where, schema._sqlite_schema(where))
    else:
        asyncio.run(schema._migrate_postgres(where))


@dataclass(frozen=True)
class Shape:
    """What a database asks of those who write to it: columns, and every condition there is, by table."""

    columns: dict[str, dict[str, tuple[str, bool, bool]]]  # type, may it be empty, is it filled in by itself
    conditions: dict[str, set[str]]


def newest_of(where: DatabaseAddress) -> Shape:
    """The shape that a database has now."""

    def look(connection: Connection) -> Shape:
        seen = inspect(connection)
        tables = set(seen.get_table_names()) - {"alembic_version"}
        return Shape(
            columns={
                table: {
                    column["name"]: (str(column["type"]), column["nullable"], column["default"] is not None)
                    for column in seen.get_columns(table)
                }
                for table in tables
            },
            conditions={
                table: {
                    *(f"key {seen.get_pk_constraint(table)['constrained_columns']}",),
                    *(f"unique {it['column_names']}" for it in seen.get_unique_constraints(table)),
                    *(f"unique {it['column_names']}" for it in seen.get_indexes(table) if it["unique"]),
                    *(f"refers {it['constrained_columns']}" for it in seen.get_foreign_keys(table)),
                    *(f"check {it['sqltext']}" for it in seen.get_check_constraints(table)),
                }
                for table in tables
            },
        )

    shape = with_connection(where, look)
    assert isinstance(shape, Shape)
    return shape


def what_older_code_would_miss(before: Shape, after: Shape) -> list[str]:
    """Everything that is not there any more, has become another, or asks more of old tables than they did."""
    missed = [f"the table {table}" for table in before.columns.keys() - after.columns.keys()]
    for table in before.columns.keys() & after.columns.keys():
        old, new = before.columns[table], after.columns[table]
        missed += [f"{table}.{name}" for name in old if new.get(name) != old[name]]
        missed += [f"a value for {table}.{name}" for name in new.keys() - old.keys() if not any(new[name][1:])]
        missed += [f"{table}: {asked}" for asked in after.conditions[table] - before.conditions[table]]
    return sorted(missed)

"""Reads a database's schema, checks that this version works with it, and migrates it to the newest schema."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from countermand.actions.errors import SchemaError
from countermand.storage.postgres.address_words import AddressError
from countermand.storage.postgres.connections import PostgresAddress, connect
from countermand.storage.postgres.errors import DRIVER_ERRORS, driver_error
from countermand.storage.sqlite.file import why_unusable

# Migrations are numbered 0001, 0002, … They expand first and contract later, so a version works with a range: with
# every schema from OLDEST_SCHEMA up, and with newer ones as long as these say that they work with NEWEST_SCHEMA.
OLDEST_SCHEMA: Final = 17
NEWEST_SCHEMA: Final = 17
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_SQLITE_NEEDED: Final = (3, 35, 0)  # for RETURNING; nearly every build also has JSON built in
_POSTGRES_NEEDED: Final = 15
_ENCODING: Final = "UTF8"
# After these errors a migration is tried again.
_PASSING: Final = (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError)
# A prepared statement belongs to one server connection, and a pooler gave another one to the next transaction.
_HANDED_ROUND: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
_BY_TRANSACTION: Final = (
    "the database {address} is behind a pooler that hands connections on after each transaction (PgBouncer's "
    "pool_mode=transaction), which is not supported; use its session mode, or connect directly"
)
_BEHIND_US_LIMIT_MS: Final = "500"  # batches queue behind a migration that waits for a lock
# SQLite drops a table to make it anew, which must not delete rows that refer to it; each commit must reach the disk.
_MIGRATION_PRAGMAS: Final = ("foreign_keys = OFF", "legacy_alter_table = OFF", "synchronous = FULL", "fullfsync = ON")
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('countermand migrate'))"
_NEWEST: Final = "head"
_MIGRATING_LIMIT_S: Final = 60.0  # how long to wait for another migration on SQLite, and for locks on PostgreSQL

DatabaseAddress = Path | PostgresAddress  # an SQLite file, or a PostgreSQL database


@dataclass(frozen=True, slots=True)
class Schema:
    """A database's schema: its number, or 0 if there is none, and the oldest schema whose code works with it."""

    number: int
    oldest_code: int = 0

    @property
    def is_known(self) -> bool:
        """Whether this version works with the schema."""
        return self.number >= OLDEST_SCHEMA and self.oldest_code <= NEWEST_SCHEMA


def migrate(where: DatabaseAddress) -> tuple[int, int]:
    """Migrate the database, in a new SQLite file if needed, to the newest schema. Return its numbers before and after.

    The folder of a new file must exist: a folder that was made for a misspelled path would hide the mistake.

    Several processes may migrate at once: one of them migrates, the others wait and find nothing to do. Raises
    `SchemaError`.
    """
    if isinstance(where, Path):
        _check_sqlite()
        _check_usable(where)
        if not where.parent.is_dir():
            folder = where.parent.absolute()
            raise SchemaError(f"there can be no database at {where}: there is no folder {folder}; make it first")
        before = _sqlite_schema(where)
        _migrate_sqlite(where, before)
        return before.number, _sqlite_schema(where).number
    before, there = asyncio.run(_postgres_schema(where))
    _check_not_newer(where, before)
    if there.schema is None:
        raise SchemaError(f"the database {where} has no schema to make tables in: none that search_path names is there")
    if before.number < NEWEST_SCHEMA:
        try:
            asyncio.run(_migrate_postgres(there))
        except (DBAPIError, *DRIVER_ERRORS) as error:
            said = driver_error(error)
            if isinstance(said, _HANDED_ROUND):
                raise SchemaError(_BY_TRANSACTION.format(address=where)) from error
            # The server's words alone; SQLAlchemy would add the whole statement.
            why = f"the database {where} could not be migrated to the newest schema: {said}"
            raise SchemaError(f"{why}; no migration was left half done, and the next migrate continues") from error
    return before.number, asyncio.run(_postgres_schema(where))[0].number


async def check_schema(where: DatabaseAddress) -> DatabaseAddress:
    """Raise `SchemaError`, with what to do, unless this version works with the database's schema.

    Return the address to use from now on: on PostgreSQL, it also names the schema that has the tables.
    """
    if isinstance(where, Path):
        _check_sqlite()
        _check_usable(where)
        if not where.exists():
            raise SchemaError(f"there is no database at {where}; make one with: countermand migrate")
        found = _sqlite_schema(where)
    else:
        found, where = await _postgres_schema(where)
    if not found.is_known:
        raise SchemaError(_outside(where, found))
    return where


def _migrate_sqlite(path: Path, before: Schema) -> None:
    _check_not_newer(path, before)
    if not path.exists():
        path.touch(mode=0o600)  # the file will hold people's names and clients' credentials
    # One transaction holds every migration, so that all or none is done; SQLite allows that for schema changes, too.
    options = {"timeout": _MIGRATING_LIMIT_S}
    engine = create_engine(URL.create("sqlite", database=str(path)), isolation_level="AUTOCOMMIT", connect_args=options)
    try:
        with engine.connect() as connection:
            for pragma in _MIGRATION_PRAGMAS:
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection)
            connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise SchemaError(f"{path} could not be migrated: {error.orig}; nothing was changed") from error
    finally:
        engine.dispose()


async def _migrate_postgres(address: PostgresAddress, to: str = _NEWEST) -> None:
    """Run each migration in a transaction of its own: so none holds the locks of another one while it works.

    All others queue behind a migration's wait for a table's lock, so each wait is short.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(driver_error(error), _PASSING)),
        stop=stop_after_delay(_MIGRATING_LIMIT_S),
        wait=wait_fixed(1),
        reraise=True,
    ):
        with attempt:
            await _try_to_migrate_postgres(address, to)


async def _try_to_migrate_postgres(address: PostgresAddress, to: str) -> None:
    def upgrade(connection: Connection) -> None:
        # Of several nodes that migrate at once, only one does the work; it has the lock until its connection closes.
        # A statement that waits for the lock would make the building of an index wait in turn: so none does.
        if not connection.exec_driver_sql(_LOCK).scalar_one():
            raise asyncpg.LockNotAvailableError("another process is migrating it")
        connection.commit()
        _upgrade(connection, to)

    async def unlimited() -> "asyncpg.Connection[asyncpg.Record]":
        """Connect without a statement limit, because a migration of much data takes long."""
        options = address.connect_options(statement_timeout="0", lock_timeout=_BEHIND_US_LIMIT_MS)
        return await connect(**options | {"command_timeout": None})

    engine = create_async_engine("postgresql+asyncpg://", async_creator=unlimited)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, to: str = _NEWEST) -> None:
    from alembic import command  # noqa: PLC0415 - takes a tenth of a second, and most starts migrate nothing
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _check_usable(path: Path) -> None:
    if (why := why_unusable(path)) is not None:
        raise SchemaError(f"the database {path} cannot be opened: {why}")


def _sqlite_schema(path: Path) -> Schema:
    if not path.exists():
        return Schema(0)
    try:
        # Unlike the server's connections, this one waits for a lock: another node may be migrating.
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=_MIGRATING_LIMIT_S)) as connection:
            _check_encoding(path, connection)
            return _schema(path, lambda query: connection.execute(query).fetchone())
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):
            return Schema(0)
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise SchemaError(f"{path} is not an SQLite database") from error
        raise SchemaError(f"{path} cannot be read: {error}") from error


async def _postgres_schema(address: PostgresAddress) -> tuple[Schema, PostgresAddress]:
    """Return the database's schema, and the address with the PostgreSQL schema that has (or will have) the tables.

    The address's schema is None if the search path names no existing schema. Later connections set that schema by name:
    so no change of a role's `search_path`, and no pooler that hands on a connection with another search path, sends
    some of the statements elsewhere.
    """
    try:
        connection = await address.reach()
    except asyncpg.TargetServerAttributeNotMatched as error:
        why = "it takes no writes (a standby, or default_transaction_read_only is on)"
        raise SchemaError(f"the database {address} cannot be reached: {why}") from error
    except DRIVER_ERRORS as error:
        said = str(error) or type(error).__name__
        raise SchemaError(f"the database {address} cannot be reached: {said}") from error
    except AddressError as error:
        raise SchemaError(f"the address of the database {address} cannot be used: {error}") from None
    except (ValueError, OverflowError):  # their messages quote text that may be a piece of the password
        advice = "is its port one, and every / ? # @ : of the password percent-encoded?"
        raise SchemaError(f"the address of the database {address} cannot be read; {advice}") from None
    try:
        return await _schema_seen_by(connection, address)
    except _HANDED_ROUND as error:
        raise SchemaError(_BY_TRANSACTION.format(address=address)) from error
    except DRIVER_ERRORS as error:
        raise SchemaError(f"the database {address} cannot be asked for its schema: {error}") from error
    finally:
        await connection.close()


async def _schema_seen_by(
    connection: "asyncpg.Connection[asyncpg.Record]", address: PostgresAddress
) -> tuple[Schema, PostgresAddress]:
    if connection.get_server_version().major < _POSTGRES_NEEDED:
        version = connection.get_server_version().major
        raise SchemaError(f"the database {address} is PostgreSQL {version}; needed is {_POSTGRES_NEEDED} or newer")
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != _ENCODING:
        advice = f"create another with ENCODING '{_ENCODING}' TEMPLATE template0, and move what is there by pg_dump"
        raise SchemaError(f"the database {address} is in {encoding}, which has no room for every name; {advice}")
    within = await connection.fetchval(_WITHIN)
    address = replace(address, schema=within or await connection.fetchval("SELECT current_schema()"))
    if within is None:
        return Schema(0), address
    has_notes = await connection.fetchval("SELECT to_regclass('schema_notes') IS NOT NULL")
    number = await connection.fetchval(_NUMBER)
    is_ours = await connection.fetchval("SELECT to_regclass(quote_ident($1) || '.' || $2) IS NOT NULL", within, _OURS)
    note = await connection.fetchval(_OLDEST_CODE) if has_notes else None
    return Schema(0 if number is None else _number(address, number, is_ours=is_ours), note or 0), address


_WITHIN: Final = """
SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('alembic_version')
"""
_NUMBER: Final = "SELECT version_num FROM alembic_version"
_OLDEST_CODE: Final = "SELECT oldest_code FROM schema_notes ORDER BY number DESC LIMIT 1"
_OURS: Final = "idempotency_keys"  # a table of every schema since the first
_HAS_NOTES: Final = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_notes'"
_IS_OURS: Final = f"SELECT count(*) FROM sqlite_master WHERE name = '{_OURS}'"


def _schema(path: Path, first_row: Callable[[str], tuple[Any, ...] | None]) -> Schema:
    row = first_row(_NUMBER)
    if row is None:
        return Schema(0)
    number = _number(path, row[0], is_ours=first_row(_IS_OURS) != (0,))
    noted = first_row(_OLDEST_CODE) if (first_row(_HAS_NOTES) or (0,))[0] else None
    return Schema(number, 0 if noted is None else noted[0])


def _number(where: DatabaseAddress, version: str, *, is_ours: bool) -> int:
    """Return a schema's number. Other programs keep their own version in a table of the same name: then raise."""
    if not (is_ours and version.isdecimal()):
        found = f"the database {where} has the tables of another program (its version: {version})"
        raise SchemaError(f"{found}; give Countermand a database of its own, or, on PostgreSQL, a schema of its own")
    return int(version)


def _check_not_newer(where: DatabaseAddress, found: Schema) -> None:
    if found.number > NEWEST_SCHEMA:
        raise SchemaError(f"the database {where} has schema {found.number}, which is newer than {NEWEST_SCHEMA}, ours")


def _outside(where: DatabaseAddress, found: Schema) -> str:
    if found.number == 0:
        return f"the database {where} has no schema yet; make it with: countermand migrate"
    if found.number < OLDEST_SCHEMA:
        works_with = f"this version works with {OLDEST_SCHEMA} and newer"
        return f"the database {where} has schema {found.number}, {works_with}; bring it up with: countermand migrate"
    needs = f"schema {found.number}, which needs a Countermand for schema {found.oldest_code} or newer"
    return f"the database {where} has {needs}, and this one is for {NEWEST_SCHEMA}; start a newer Countermand"


def _check_encoding(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `SchemaError` unless the file is in UTF-8: SQLite compares stored bytes, so UTF-16 would sort otherwise."""
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        advice = "write its .dump into a new file with the sqlite3 program"
        raise SchemaError(f"{path} is in {encoding}, and must be in UTF-8; {advice}")


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _SQLITE_NEEDED:
        needed = ".".join(map(str, _SQLITE_NEEDED))
        raise SchemaError(f"Python's SQLite is {sqlite3.sqlite_version}; Countermand needs {needed} or newer")

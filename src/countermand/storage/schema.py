"""Which schema does a database have, is it one this version works with, and how does it become the newest?"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config

from countermand.actions.errors import SchemaError
from countermand.storage.hot_sqlite import connect

# Migrations are numbered 0001, 0002, … They expand first and contract later, so a version works with a range.
OLDEST_SCHEMA: Final = 1
NEWEST_SCHEMA: Final = 1
_SQLITE_NEEDED: Final = (3, 35, 0)  # RETURNING, and JSON built in nearly everywhere


def migrate(path: Path) -> tuple[int, int]:
    """Bring the database to the newest schema, making the file if need be; gives the numbers before and after."""
    _check_sqlite()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SchemaError(f"there can be no database at {path}: {error.strerror}") from error
    before = schema_of(path)
    if before > NEWEST_SCHEMA:
        raise SchemaError(_outside(path, before))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["path"] = path
    command.upgrade(config, "head")
    return before, schema_of(path)


def check_schema(path: Path) -> None:
    """Raise `SchemaError`, with what to do, unless the database's schema is one this version works with."""
    _check_sqlite()
    if not path.exists():
        raise SchemaError(f"there is no database at {path}; make one with: countermand migrate")
    number = schema_of(path)
    if not is_known_schema(number):
        raise SchemaError(_outside(path, number))


def is_known_schema(number: int) -> bool:
    """Whether this version works with the schema of this number."""
    return OLDEST_SCHEMA <= number <= NEWEST_SCHEMA


def schema_of(path: Path) -> int:
    """The number of the database's schema; 0 where it has none."""
    if not path.exists():
        return 0
    try:
        with closing(connect(path)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return 0
        raise SchemaError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{path} is not an SQLite database") from error
    return int(row["version_num"]) if row else 0


def _outside(path: Path, number: int) -> str:
    works_with = f"this version works with {OLDEST_SCHEMA} to {NEWEST_SCHEMA}"
    if number == 0:
        return f"the database {path} has no schema yet; make it with: countermand migrate"
    if number < OLDEST_SCHEMA:
        return f"the database {path} has schema {number}, {works_with}; bring it up with: countermand migrate"
    return f"the database {path} has schema {number}, {works_with}; start a newer Countermand"


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _SQLITE_NEEDED:
        needed = ".".join(map(str, _SQLITE_NEEDED))
        raise SchemaError(f"Python's SQLite is {sqlite3.sqlite_version}; Countermand needs {needed} or newer")

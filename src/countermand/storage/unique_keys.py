"""Finds the unique key that a statement violated, and the error for it. Two keys have an error of their own."""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

from countermand.actions.errors import KeyTakenError, OrderTakenError, TakenError
from countermand.storage.tables.columns import metadata

_ERRORS: Final[Mapping[str, type[TakenError]]] = {
    "pk_idempotency_keys": KeyTakenError,
    "pk_orders": OrderTakenError,
}


def _unique_keys() -> Mapping[tuple[str, frozenset[str]], str]:
    keys = {}
    for table in metadata.tables.values():
        constraints = [one for one in table.constraints if isinstance(one, PrimaryKeyConstraint | UniqueConstraint)]
        for key in (*constraints, *(index for index in table.indexes if index.unique)):
            keys[table.name, frozenset(column.name for column in key.columns)] = str(key.name)
    return keys


# By table and columns, because SQLite reports those; PostgreSQL reports the name.
UNIQUE_KEYS: Final = _unique_keys()


def taken(message: str, constraint: str) -> TakenError:
    """Return the error for a unique key that is in use."""
    return _ERRORS.get(constraint, TakenError)(message, constraint=constraint)


def unique_key(table: str, columns: Iterable[str]) -> str:
    """Return the name of a unique key, or an empty text for a key that is not part of this project's schema."""
    return UNIQUE_KEYS.get((table, frozenset(columns)), "")

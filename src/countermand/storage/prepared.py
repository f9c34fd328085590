"""Statements that are built and compiled once, and not for each call: to do both costs more than to run them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from sqlalchemy import BindParameter, Insert, Update, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgres_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Value = TypeVar("Value")

_POSTGRES: Final[Dialect] = postgres_dialect()  # type: ignore[no-untyped-call]
_SQLITE: Final[Dialect] = sqlite.dialect(paramstyle="numeric_dollar")


def argument(name: str, of: type[TypeEngine[Value]] | TypeEngine[Value]) -> BindParameter[Value]:
    """Return what stands in a prepared statement for a value that each call gives."""
    return bindparam(name, type_=of, required=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A statement with `$1` and so on for its arguments, and their names. `constants` never change."""

    text: str
    names: Sequence[str]
    constants: Mapping[str, object]

    def arguments(self, given: Mapping[str, object]) -> list[object]:
        """Return the arguments in their order."""
        return [given[name] if name in given else self.constants[name] for name in self.names]


class Prepared:
    """A statement of the toolkit. What changes from call to call is an `argument` in it.

    For an insert or an update, `columns` are the columns that a call gives values for; in an update they are in no
    condition. `on_sqlite` is the same statement where SQLite's words differ.
    """

    def __init__(
        self, statement: ClauseElement, columns: Sequence[str] | None = None, *, on_sqlite: ClauseElement | None = None
    ) -> None:
        self._statement = statement
        self._on_sqlite = statement if on_sqlite is None else on_sqlite
        self._columns = columns

    @cached_property
    def postgres(self) -> Text:
        """The statement in PostgreSQL's words."""
        return self._compiled(self._statement, _POSTGRES)

    @cached_property
    def sqlite(self) -> Text:
        """The statement in SQLite's words."""
        return self._compiled(self._on_sqlite, _SQLITE)

    def _compiled(self, statement: ClauseElement, dialect: Dialect) -> Text:
        keys = self._columns if isinstance(statement, Insert | Update) else None
        compiled = statement.compile(dialect=dialect, column_keys=keys, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler), "the toolkit compiles a statement to text"
        names = compiled.positiontup or ()
        constants = {name: value for name, value in compiled.params.items() if name not in (keys or ())}
        return Text(str(compiled), names, constants)

"""Runs a statement for many rows of values: once for all on PostgreSQL, which gets an array for each column."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import Executable, Table, TableValuedAlias, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

from countermand.storage.sql_types import Column
from countermand.storage.statement_runner import StatementRunner

_GIVEN: Final = "given"


class ManyRows(StatementRunner):
    """Runs statements for many rows. On SQLite, the driver runs the statement for each row."""

    async def _for_each(
        self,
        statement: Callable[[Callable[[str], Column]], Executable],
        rows: Sequence[Mapping[str, object]],
        types: Mapping[str, Column],
    ) -> None:
        """Run an update for each row. `statement` gets a function that returns the value with a name.

        `types` has, for each name in the rows, a column of the same type.
        """
        if self._on_postgres:
            given = _table_of(rows, types).c
            await self._execute(statement(lambda name: given[name]))
        else:
            await self._execute(statement(lambda name: bindparam(name, type_=types[name].type)), rows)

    async def _insert_rows(
        self,
        into: Table,
        rows: Sequence[Mapping[str, object]],
        then: Callable[["postgresql.Insert | sqlite.Insert"], Executable] = lambda insert: insert,
    ) -> None:
        """Insert rows, which have the same columns. `then` says what to do on a conflict."""
        insert = self._insert(into)
        if self._on_postgres:
            names = list(rows[0])
            given = _table_of(rows, {name: into.c[name] for name in names})
            await self._execute(then(insert.from_select(names, select(given))))
        else:
            await self._execute(then(insert), rows)


def _table_of(rows: Sequence[Mapping[str, object]], types: Mapping[str, Column]) -> TableValuedAlias:
    arrays = [
        bindparam(None, [row[name] for row in rows], type_=postgresql.ARRAY(of.type)) for name, of in types.items()
    ]
    columns = [column(name, of.type) for name, of in types.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=_GIVEN)

"""Runs a statement for many rows of values: once for all on PostgreSQL, which gets an array for each column."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import Executable, Table, TableValuedAlias, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

from countermand.storage.sql_types import Column, Row
from countermand.storage.statement_runner import StatementRunner

_GIVEN: Final = "given"


class ManyRows(StatementRunner):
    """Runs statements for many rows. On SQLite, the driver runs the statement for each row."""

    async def _for_each(
        self,
        statement: Callable[[Callable[[str], Column]], Executable],
        rows: Sequence[Mapping[str, object]],
        types: Mapping[str, Column],
    ) -> int:
        """Run an update or a delete for each row, and return how many rows of the table it changed.

        `statement` gets a function that returns the value with a name. `types` has, for each name in the rows, a column
        of the same type.
        """
        if not rows:
            return 0
        if self._on_postgres:
            given = _table_of(rows, types).c
            result = await self._execute(statement(lambda name: given[name]))
        else:
            result = await self._execute(statement(lambda name: bindparam(name, type_=types[name].type)), rows)
        return result.rowcount

    async def _insert_rows(
        self,
        into: Table,
        rows: Sequence[Mapping[str, object]],
        then: Callable[["postgresql.Insert | sqlite.Insert"], Executable] = lambda insert: insert,
    ) -> Sequence[Row]:
        """Insert rows, which have the same columns. `then` says what to do on a conflict, and what is returned."""
        insert = self._insert(into)
        if self._on_postgres:
            names = list(rows[0])
            given = _table_of(rows, {name: into.c[name] for name in names})
            result = await self._execute(then(insert.from_select(names, select(given))))
        else:
            result = await self._execute(then(insert), rows)
        return result.mappings().all() if result.returns_rows else ()


def _table_of(rows: Sequence[Mapping[str, object]], types: Mapping[str, Column]) -> TableValuedAlias:
    arrays = [
        bindparam(None, [row[name] for row in rows], type_=postgresql.ARRAY(of.type)) for name, of in types.items()
    ]
    columns = [column(name, of.type) for name, of in types.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=_GIVEN)

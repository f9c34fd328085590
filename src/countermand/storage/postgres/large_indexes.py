"""Makes an index of a large table in a migration, without a lock that makes the table's writers wait."""

from collections.abc import Sequence
from typing import Final

from alembic import op
from sqlalchemy import TextClause

# The statement waits for every older transaction of the database, and nobody waits behind it.
_PATIENCE: Final = "60s"
_IS_INVALID: Final = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident('{name}'))"


def make_large_index(name: str, table: str, columns: Sequence[str], where: TextClause | None = None) -> None:
    """Make an index. The first step of its migration: on PostgreSQL it commits by itself, before all other steps.

    A crash can leave the index invalid, or whole though the migration is not done. The next try makes an invalid one
    anew and keeps a whole one.
    """
    if op.get_context().dialect.name != "postgresql":
        op.create_index(name, table, columns, sqlite_where=where)
        return
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        limit = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        op.execute(f"SET lock_timeout = '{_PATIENCE}'")
        if connection.exec_driver_sql(_IS_INVALID.format(name=name)).scalar():
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True, if_not_exists=True)
        op.execute(f"SET lock_timeout = '{limit}'")

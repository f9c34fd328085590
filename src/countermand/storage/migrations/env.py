"""Runs Alembic on the connection that `storage/schema.py` opened.

In a transaction that is open there, all migrations run together; otherwise each runs in a transaction of its own.
"""

from alembic import context

from countermand.storage.tables.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
context.run_migrations()

"""Runs Alembic on the connection, and in the transaction, that `storage/schema.py` opened."""

from alembic import context

from countermand.storage.tables.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()

"""How Alembic reaches the database: over the connection, and in the transaction, of `storage/schema.py`."""

from alembic import context

from countermand.storage.tables.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()

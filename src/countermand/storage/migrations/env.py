"""How Alembic reaches the database that `storage/schema.py` names."""

from pathlib import Path

from alembic import context
from sqlalchemy import URL, create_engine

from countermand.storage.tables import metadata

path: Path = context.config.attributes["path"]
# All or nothing: one transaction around every migration, which SQLite allows for changes of the schema, too.
engine = create_engine(URL.create("sqlite", database=str(path)), isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.exec_driver_sql("COMMIT")
engine.dispose()

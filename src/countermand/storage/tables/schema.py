"""The tables of the schema itself: its number, and counters."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, select

from countermand.storage.tables.columns import Name, metadata

# On SQLite. PostgreSQL counts with sequences of the same names: many nodes would queue up at a row.
counters = Table(
    "counters",
    metadata,
    Column("name", Name, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
COUNTERS: Final = ("order", "reference", "appointment", "service", "task")

# One row a schema: its number, and the oldest schema whose code works with it. A migration that only adds leaves
# `oldest_code` as it was, so that nodes of the version before go on; one that takes away raises it.
schema_notes = Table(
    "schema_notes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("oldest_code", Integer, nullable=False),
)
NEWEST_NOTE: Final = select(schema_notes).order_by(schema_notes.c.number.desc()).limit(1)

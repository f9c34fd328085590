"""The tables of the schema itself: schema numbers and, on SQLite, counters."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, select

from countermand.storage.tables.columns import Name, metadata

# Only SQLite uses the counters. PostgreSQL has sequences of the same names, because many nodes would queue at a row.
counters = Table(
    "counters",
    metadata,
    Column("name", Name, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
COUNTERS: Final = ("order", "reference", "appointment", "service", "task")

# One row per schema: its number, and the oldest schema whose code works with it. A migration that only adds keeps
# `oldest_code`, so that nodes of the previous version go on; a migration that removes something raises it.
schema_notes = Table(
    "schema_notes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("oldest_code", Integer, nullable=False),
)
NEWEST_NOTE: Final = select(schema_notes).order_by(schema_notes.c.number.desc()).limit(1)

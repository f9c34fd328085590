"""The tables of the people at the desk, and of their tokens."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from countermand.storage.tables.columns import Document, Instant, StaffName, metadata

# A person is never removed, because records name people for ever.
staff = Table(
    "staff",
    metadata,
    Column("id", StaffName, primary_key=True),
    Column("name", Text, nullable=False),
    Column("roles", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

# The tokens of people. A token is also a client's, which the person calls with.
staff_tokens = Table(
    "staff_tokens",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("staff_id", ForeignKey("staff.id"), nullable=False),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("ix_staff_tokens_staff_id", "staff_id"),
)

# Who added or changed whom, a token of the person included. Nodes for schemas before 14 write no row.
staff_changes = Table(
    "staff_changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("staff_id", ForeignKey("staff.id"), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", StaffName),  # NULL for a client's own token, and for the command line
)

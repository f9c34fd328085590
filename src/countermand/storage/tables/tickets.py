"""The tables of an order for tickets: its tickets, vouchers and consumers."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from countermand.storage.tables.columns import Document, Instant, Uid, belongs_to_order, metadata

tickets = Table(
    "tickets",
    metadata,
    belongs_to_order(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("uid", Uid, nullable=False),
    Column("product_uid", Uid, nullable=False),
    Column("code", String(64), nullable=False),
    Column("valid", Boolean, nullable=False),
    # True if the end of the order made the ticket invalid and freed its place. NULL for a valid ticket, for a ticket
    # that was given on, and in the rows of nodes for schemas before 15.
    Column("released", Boolean),
    # Neither index has a column that a cancellation writes.
    Index("ix_tickets_uid", "uid"),
    Index("ix_tickets_code", "code"),
    sqlite_with_rowid=False,
)

# The orders that used a voucher. A use does not count if its order ended unfulfilled, so a cancellation writes none.
voucher_uses = Table(
    "voucher_uses",
    metadata,
    belongs_to_order(),
    Column("code", String(64), primary_key=True),
    Index("ix_voucher_uses_code", "code"),
    sqlite_with_rowid=False,
)

consumers = Table(
    "consumers",
    metadata,
    Column("uid", Uid, primary_key=True),
    Column("client_id", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("details", Document, nullable=False),
    Index("ix_consumers_client_id_created_at_uid", "client_id", "created_at", "uid"),
)

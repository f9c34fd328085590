"""The tables of an order: what it is now, how it was placed, what was paid, when it expires."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from countermand.storage.tables.columns import Document, Instant, Name, State, Uid, belongs_to_order, metadata

# Narrow on purpose: every cancellation rewrites this row, and nothing else of the order.
orders = Table(
    "orders",
    metadata,
    # INTEGER PRIMARY KEY is SQLite's own row number: 64 bits there, too.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("contract", Name, nullable=False),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", State, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("created_at", Instant, nullable=False),
    # A client's orders, as lists have them. Of what a change of an order writes, it has nothing.
    Index("ix_orders_client_id_created_at_id", "client_id", "created_at", "id"),
)

order_details = Table(
    "order_details",
    metadata,
    belongs_to_order(),
    Column("uid", Uid),
    Column("reference", String(64), nullable=False),
    Column("details", Document, nullable=False),
    # A ticket order's; empty for a service order, and where an older node wrote the row and nobody has filled it yet.
    Column("total_minor", BigInteger),
    Column("currency", String(3)),
    sqlite_with_rowid=True,
)

order_lines = Table(
    "order_lines",
    metadata,
    belongs_to_order(),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("product_uid", Uid, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("parent_uid", Uid),
    sqlite_with_rowid=False,
)

payments = Table(
    "payments",
    metadata,
    belongs_to_order(),
    Column("reference", String(255), primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("is_late", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Which order a provider's reference stands for: unique over all orders, wherever their payments are kept.
payment_references = Table(
    "payment_references",
    metadata,
    Column("reference", String(255), primary_key=True),
    Column("order_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Orders that expire unless they are paid or end otherwise. Apart from the orders, so that a cancellation has nothing to
# write here: whoever is due is looked at, and then no longer here.
expiries = Table(
    "expiries",
    metadata,
    belongs_to_order(),
    Column("expires_at", Instant, nullable=False),
    Index("ix_expiries_expires_at", "expires_at"),
)

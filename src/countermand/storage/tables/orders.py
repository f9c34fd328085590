"""The tables of an order: its present state, its details and lines, its payments, and its expiry."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from countermand.storage.tables.columns import (
    Document,
    Instant,
    Name,
    StaffName,
    State,
    Uid,
    belongs_to_order,
    metadata,
)

# This table has few columns, because every cancellation rewrites the row, and no other row that describes the order.
orders = Table(
    "orders",
    metadata,
    # INTEGER PRIMARY KEY is SQLite's row number, which has 64 bits.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("contract", Name, nullable=False),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", State, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("created_at", Instant, nullable=False),
    # The order's version, if the order was refunded in full; else NULL. It counts only while it equals `version`. Nodes
    # for schemas before 13 raise `version` alone. So after each change by such a node, the order counts as paid.
    Column("refunded_version", Integer),
    # This index serves the lists of a client's orders. It has no column that a change of an order writes.
    Index("ix_orders_client_id_created_at_id", "client_id", "created_at", "id"),
    # The same for the operator's list of all clients' orders.
    Index("ix_orders_created_at_id", "created_at", "id"),
)

order_details = Table(
    "order_details",
    metadata,
    belongs_to_order(),
    Column("uid", Uid),
    Column("reference", String(64), nullable=False),
    Column("details", Document, nullable=False),
    # The total of a ticket order. NULL for a service order, and in an older node's row until `background` fills it.
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
    # A void sets `amount_minor` to 0 and keeps the amount here. Nodes for schemas before 12 sum `amount_minor`, so they
    # never count a voided payment, and they refuse a repeat of its reference, because the amounts differ.
    Column("recorded_minor", BigInteger),
    Column("voided_at", Instant),
    # The list of late money is read along this index, which has no other payments.
    Index("ix_payments_late", "recorded_at", sqlite_where=text("is_late = 1"), postgresql_where=text("is_late")),
    sqlite_with_rowid=False,
)

# The order of each payment provider's reference. The reference is unique over all orders, wherever payments are stored.
payment_references = Table(
    "payment_references",
    metadata,
    Column("reference", String(255), primary_key=True),
    Column("order_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Each void of a payment, refund and chargeback. A refund that was made has a row of its own, and what was due before it
# keeps its row, with a state that no sum counts. Nodes from before these states wrote one refund that paid off several
# dues as several rows with its reference; they correct no payments of an order that has such a state.
payment_corrections = Table(
    "payment_corrections",
    metadata,
    belongs_to_order(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", State, nullable=False),
    Column("reference", String(255)),
    Column("payment_reference", String(255)),  # the payment that a void is for
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("state", State),  # of a refund alone
    Column("reason", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("client_id", Integer, nullable=False),
    Column("staff_id", StaffName),
    Column("acting_as", StaffName),
    Column("channel", Name),
    Column("address", Text),
    # The list of refunds is read along this index, state by state.
    Index(
        "ix_payment_corrections_refunds",
        *("state", "recorded_at", "order_id", "number"),
        sqlite_where=text("state IS NOT NULL"),
        postgresql_where=text("state IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# The order of each reference of a refund or a chargeback. It is unique for each kind over all orders.
correction_references = Table(
    "correction_references",
    metadata,
    Column("kind", State, primary_key=True),
    Column("reference", String(255), primary_key=True),
    Column("order_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The orders that expire unless they are paid or end otherwise. The table is separate from the orders, so that a
# cancellation does not write it: when a row is due, its order is looked at, and the row is removed.
expiries = Table(
    "expiries",
    metadata,
    belongs_to_order(),
    Column("expires_at", Instant, nullable=False),
    Index("ix_expiries_expires_at", "expires_at"),
)

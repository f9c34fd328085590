"""The tables that a cancellation writes: decision records, outbox and idempotency keys; and the policies."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

from countermand.storage.tables.columns import Document, Instant, Name, State, Uid, metadata

# The tables that the cancellation path writes have no foreign keys: their rows come from a statement that read the
# order, and a check a row would cost more than the row.

# The decision record of a yes. The key is the order: a second cancellation of it cannot be written.
cancellations = Table(
    "cancellations",
    metadata,
    Column("order_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("command_id", Uid, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("contract", Name, nullable=False),
    Column("door", Name, nullable=False),
    Column("policy_version", String(16), nullable=False),
    # the facts it was decided on
    Column("state", State, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("reason", Text),
)

# The decision record of a no by policy.
refusals = Table(
    "refusals",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("command_id", Uid, primary_key=True),
    Column("decided_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("contract", Name, nullable=False),
    Column("door", Name, nullable=False),
    Column("policy_version", String(16), nullable=False),
    Column("state", State, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("reason", Text),
    Index("ix_refusals_decided_at", "decided_at"),
    sqlite_with_rowid=False,
)

policies = Table(
    "policies",
    metadata,
    Column("version", String(16), primary_key=True),
    Column("contract", Name, nullable=False),
    Column("content", Document, nullable=False),
    Column("first_used_at", Instant, nullable=False),
)

# Facts for others. An order's version and the kind name a fact, so none can be written twice.
outbox = Table(
    "outbox",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("order_version", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), primary_key=True),
    Column("recorded_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("details", Document, nullable=False),
    Column("delivered_at", Instant),
    Index(
        "ix_outbox_undelivered",
        "recorded_at",
        sqlite_where=text("delivered_at IS NULL"),
        postgresql_where=text("delivered_at IS NULL"),
    ),
    Index(
        "ix_outbox_delivered_at",
        "delivered_at",
        sqlite_where=text("delivered_at IS NOT NULL"),
        postgresql_where=text("delivered_at IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# What an Idempotency-Key stands for: an answer as it was sent, or, for a cancellation, the decision to build it from.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client_id", Integer, primary_key=True, autoincrement=False),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("answer", Text),
    Column("order_id", BigInteger),
    Column("cancelled", Boolean),
    Column("policy_version", String(16)),
    Column("state", State),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Index("ix_idempotency_keys_created_at", "created_at"),
    sqlite_with_rowid=False,
)

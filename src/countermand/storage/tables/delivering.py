"""The tables of delivery: endpoints, what goes to them, and the attempts. The cancellation path does not know them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, text

from countermand.storage.tables.columns import Document, Instant, Name, State, metadata

_Number = BigInteger().with_variant(Integer, "sqlite")

endpoints = Table(
    "endpoints",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(20), nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("dialect", Name, nullable=False),
    Column("kinds", Document),  # NULL: all
    Column("contract", Name),  # NULL: all
    Column("client_id", Integer),  # the client whose orders these are; NULL: all
    Column("thin", Boolean, nullable=False),
    Column("structured", Boolean, nullable=False),
    Column("asymmetric", Boolean, nullable=False),
    Column("owner_id", Integer),  # the client that added it; NULL: the operator
    Column("created_at", Instant, nullable=False),
    Column("state", State, nullable=False),
    Column("paused_at", Instant),
    Column("paused_because", Text),
    Column("removed_at", Instant),
    # Encrypted. The previous secret counts until an instant.
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary),
    Column("previous_secret_until", Instant),
    Column("signing_key", LargeBinary),
    # The attempts since the last success.
    Column("failures", Integer, nullable=False),
    Column("failing_orders", Integer, nullable=False),
    Column("last_failed_order", BigInteger),
    Column("first_failure_at", Instant),
    Column("last_success_at", Instant),
    Column("not_before", Instant),
    Column("failing_since", Instant),
    # Counts the events about the endpoint itself.
    Column("version", Integer, nullable=False),
)

# An event that an endpoint gets. `place` is the place of its kind within the order's version.
deliveries = Table(
    "deliveries",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", Integer, primary_key=True, autoincrement=False),
    Column("order_version", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), primary_key=True),
    Column("digest", String(8), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("state", State, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_attempt_at", Instant),
    Column("ended_at", Instant),
    # What is sent, from the first attempt until it is delivered.
    Column("body", LargeBinary),
    Column("content_type", Text),
    Column("headers", Document),
    Index(
        "ix_deliveries_ended_at",
        "ended_at",
        sqlite_where=text("ended_at IS NOT NULL"),
        postgresql_where=text("ended_at IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_given_up",
        "endpoint",
        sqlite_where=text("state = 'given_up'"),
        postgresql_where=text("state = 'given_up'"),
    ),
    sqlite_with_rowid=False,
)

# The events of one order that wait for an endpoint: only one of them is sent at a time. `next_at` is when the next
# attempt may begin; during an attempt it is the end of the lease, and `lease` names the holder.
delivery_lanes = Table(
    "delivery_lanes",
    metadata,
    Column("endpoint", Integer, primary_key=True, autoincrement=False),
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("waiting", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("head_at", Instant, nullable=False),  # when the oldest event was recorded
    Column("lease", String(32)),
    Index("ix_delivery_lanes_next_at", "endpoint", "next_at"),
    sqlite_with_rowid=False,
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("endpoint", Integer, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("order_version", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("event_id", String(160), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("address", Text),
    Column("status", Integer),
    Column("error", Name),
    Column("detail", Text),
    Column("answer", LargeBinary),
    Column("outcome", State, nullable=False),
    Index("ix_delivery_attempts_endpoint", "endpoint", "number"),
    Index("ix_delivery_attempts_order", "order_id", "number"),
    Index("ix_delivery_attempts_at", "at"),
)

# One row, which whoever hands events to endpoints locks first. Events from before `dispatch_from` go to no endpoint.
delivery_head = Table(
    "delivery_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("dispatch_from", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

"""Which tables are there? Every table that belongs to an order has the order's number first in its key.

Instants are whole microseconds since 1970 in UTC, as integers, on every database: Python, SQL and the wire compare the
same numbers. `orders.state` has no index, so that a change of it touches the order's row alone.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    select,
    text,
)

from countermand.domain.appointment import ACTIVE_APPOINTMENT_STATES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """An aware instant as whole microseconds since 1970 in UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """The aware UTC instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


Instant: Final = BigInteger  # whole microseconds since 1970 in UTC
Document: Final = Text  # JSON; read and written in `storage/rows.py` alone

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_UID: Final = String(32)
_STATE: Final = String(16)
_NAME: Final = String(16)
_active = text("state IN ({})".format(", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))))


def _belongs_to_order() -> Column[int]:
    return Column("order_id", BigInteger, ForeignKey("orders.id"), primary_key=True, autoincrement=False)


clients = Table(
    "clients",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("door", _NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("permissions", Document, nullable=False),
    Column("key", String(64), unique=True),
    Column("secret_sha256", String(64)),
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("uq_clients_issuer_subject", "issuer", "subject", unique=True),
)

# Narrow on purpose: every cancellation rewrites this row, and nothing else of the order.
orders = Table(
    "orders",
    metadata,
    # INTEGER PRIMARY KEY is SQLite's own row number: 64 bits there, too.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("contract", _NAME, nullable=False),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("created_at", Instant, nullable=False),
)

order_details = Table(
    "order_details",
    metadata,
    _belongs_to_order(),
    Column("uid", _UID),
    Column("reference", String(64), nullable=False),
    Column("details", Document, nullable=False),
    sqlite_with_rowid=True,
)

order_lines = Table(
    "order_lines",
    metadata,
    _belongs_to_order(),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("product_uid", _UID, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("parent_uid", _UID),
    sqlite_with_rowid=False,
)

appointments = Table(
    "appointments",
    metadata,
    _belongs_to_order(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", _STATE, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("cancelled_at", Instant),
    # At most one active appointment an order, whatever the code does.
    Index("uq_appointments_active", "order_id", unique=True, sqlite_where=_active, postgresql_where=_active),
    sqlite_with_rowid=False,
)

payments = Table(
    "payments",
    metadata,
    _belongs_to_order(),
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

tickets = Table(
    "tickets",
    metadata,
    _belongs_to_order(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("uid", _UID, nullable=False),
    Column("product_uid", _UID, nullable=False),
    Column("code", String(64), nullable=False),
    Column("valid", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

products = Table(
    "products",
    metadata,
    Column("uid", _UID, primary_key=True),
    Column("name", Document, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("service_costs_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("availability", Integer, nullable=False),
    Column("total_availability", Integer, nullable=False),
)

methods = Table(
    "methods",
    metadata,
    Column("uid", _UID, primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("name", Document, nullable=False),
    Column("image", Text),
    Column("costs_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
)

# The tables that the cancellation path writes have no foreign keys: their rows come from a statement that read the
# order, and a check a row would cost more than the row.

# The decision record of a yes. The key is the order: a second cancellation of it cannot be written.
cancellations = Table(
    "cancellations",
    metadata,
    Column("order_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("command_id", _UID, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("contract", _NAME, nullable=False),
    Column("door", _NAME, nullable=False),
    Column("policy_version", String(16), nullable=False),
    # the facts it was decided on
    Column("state", _STATE, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("reason", Text),
)

# The decision record of a no by policy.
refusals = Table(
    "refusals",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("command_id", _UID, primary_key=True),
    Column("decided_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("contract", _NAME, nullable=False),
    Column("door", _NAME, nullable=False),
    Column("policy_version", String(16), nullable=False),
    Column("state", _STATE, nullable=False),
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
    Column("contract", _NAME, nullable=False),
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
    Column("state", _STATE),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Index("ix_idempotency_keys_created_at", "created_at"),
    sqlite_with_rowid=False,
)

# On SQLite. PostgreSQL counts with sequences of the same names: many nodes would queue up at a row.
counters = Table(
    "counters",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
COUNTERS: Final = ("order", "reference", "appointment")

# One row a schema: its number, and the oldest schema whose code works with it. A migration that only adds leaves
# `oldest_code` as it was, so that nodes of the version before go on; one that takes away raises it.
schema_notes = Table(
    "schema_notes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("oldest_code", Integer, nullable=False),
)
NEWEST_NOTE: Final = select(schema_notes).order_by(schema_notes.c.number.desc()).limit(1)

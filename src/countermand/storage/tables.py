"""Which tables are there? Every table that belongs to an order has the order's number first in its key.

Instants are whole microseconds since 1970 in UTC, as integers, on every database: Python, SQL and the wire compare the
same numbers. `orders.state` has no index, so that a change of it touches the order's row alone.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, select, text

from countermand.domain.appointment import ACTIVE_APPOINTMENT_STATES
from countermand.storage.catalogue_tables import (
    events,
    methods,
    product_parts,
    products,
    seats,
    vouchers,
)
from countermand.storage.columns import Document, Instant, Name, Uid, instant, metadata, micros

__all__ = [
    "COUNTERS",
    "NEWEST_NOTE",
    "Instant",
    "appointment_tasks",
    "appointments",
    "cancellations",
    "client_keys",
    "clients",
    "consumers",
    "counters",
    "events",
    "expiries",
    "idempotency_keys",
    "instant",
    "metadata",
    "methods",
    "micros",
    "order_details",
    "order_lines",
    "orders",
    "outbox",
    "payment_references",
    "payments",
    "policies",
    "product_parts",
    "products",
    "refusals",
    "schema_notes",
    "seats",
    "signing_keys",
    "slots",
    "tickets",
    "used_assertions",
    "voucher_uses",
    "vouchers",
]

_STATE: Final = String(16)
_active = text("state IN ({})".format(", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))))
_in_slot = text(f"slot_id IS NOT NULL AND {_active.text}")
_pending = text("state = 'pending'")


def _belongs_to_order() -> Column[int]:
    return Column("order_id", BigInteger, ForeignKey("orders.id"), primary_key=True, autoincrement=False)


clients = Table(
    "clients",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("door", Name, nullable=False),
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

# The public keys that clients of our own token endpoint sign their assertions with.
client_keys = Table(
    "client_keys",
    metadata,
    Column("client_id", ForeignKey("clients.id"), primary_key=True, autoincrement=False),
    Column("kid", String(64), primary_key=True),
    Column("public_key", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

# What our own access tokens are signed with. A key counts from its making until `retired_at`, and signs from
# `signs_from`: so every node knows it before it meets it. Two nodes that make one at once clash at its number.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("private_key", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signs_from", Instant, nullable=False),
    Column("retired_at", Instant),
)

# Assertions that were exchanged for a token: each counts once, until it would not count anyway.
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", Integer, primary_key=True, autoincrement=False),
    Column("jti_sha256", String(64), primary_key=True),
    Column("expires_at", Instant, nullable=False),
    Index("ix_used_assertions_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

# Narrow on purpose: every cancellation rewrites this row, and nothing else of the order.
orders = Table(
    "orders",
    metadata,
    # INTEGER PRIMARY KEY is SQLite's own row number: 64 bits there, too.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("contract", Name, nullable=False),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("created_at", Instant, nullable=False),
    # A client's orders, as lists have them. Of what a change of an order writes, it has nothing.
    Index("ix_orders_client_id_created_at_id", "client_id", "created_at", "id"),
)

order_details = Table(
    "order_details",
    metadata,
    _belongs_to_order(),
    Column("uid", Uid),
    Column("reference", String(64), nullable=False),
    Column("details", Document, nullable=False),
    sqlite_with_rowid=True,
)

order_lines = Table(
    "order_lines",
    metadata,
    _belongs_to_order(),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("product_uid", Uid, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("parent_uid", Uid),
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
    Column("slot_id", String(64)),
    Column("half_day", String(2)),
    Column("utc_offset_s", Integer),
    Column("remote_id", String(64)),
    # At most one active appointment an order, whatever the code does.
    Index("uq_appointments_active", "order_id", unique=True, sqlite_where=_active, postgresql_where=_active),
    Index("ix_appointments_id", "id"),
    # How full a slot is: as many as stand in it. So whatever ends a visit gives its place back, with no count to keep.
    Index("ix_appointments_slot_id", "slot_id", sqlite_where=_in_slot, postgresql_where=_in_slot),
    sqlite_with_rowid=False,
)

# The operator's calendar. `area` is how the places it is for begin (LOC3801…), empty for all.
slots = Table(
    "slots",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(15), nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("half_day", String(2), nullable=False),
    Column("utc_offset_s", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Index("ix_slots_area_starts_at", "area", "starts_at"),
)

# What is asked about an appointment, and what came of it.
appointment_tasks = Table(
    "appointment_tasks",
    metadata,
    _belongs_to_order(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("client_id", Integer, nullable=False),
    Column("kind", Name, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("from_date", String(10)),
    Column("offer_id", BigInteger),
    Column("appointment_id", BigInteger),
    Column("slots", Document),
    Column("failure", Document),
    Index("ix_appointment_tasks_id", "id"),
    Index("ix_appointment_tasks_pending", "id", sqlite_where=_pending, postgresql_where=_pending),
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
    Column("uid", Uid, nullable=False),
    Column("product_uid", Uid, nullable=False),
    Column("code", String(64), nullable=False),
    Column("valid", Boolean, nullable=False),
    # Neither has what a cancellation writes.
    Index("ix_tickets_uid", "uid"),
    Index("ix_tickets_code", "code"),
    sqlite_with_rowid=False,
)

# Which orders used a voucher. One whose order has ended unfulfilled does not count: so a cancellation writes none.
voucher_uses = Table(
    "voucher_uses",
    metadata,
    _belongs_to_order(),
    Column("code", String(64), primary_key=True),
    Index("ix_voucher_uses_code", "code"),
    sqlite_with_rowid=False,
)

# Orders that expire unless they are paid or end otherwise. Apart from the orders, so that a cancellation has nothing to
# write here: whoever is due is looked at, and then no longer here.
expiries = Table(
    "expiries",
    metadata,
    _belongs_to_order(),
    Column("expires_at", Instant, nullable=False),
    Index("ix_expiries_expires_at", "expires_at"),
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
    Column("command_id", Uid, primary_key=True),
    Column("decided_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("contract", Name, nullable=False),
    Column("door", Name, nullable=False),
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

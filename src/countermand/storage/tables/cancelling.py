"""The tables that a cancellation writes: decision records, outbox and idempotency keys; and the policies."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

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

# The tables that the cancellation path writes have no foreign keys: the statement has read the order, and checking the
# key of a row would cost more than writing the row.

# The decision record of a yes. Its primary key is the order, so a second cancellation of an order cannot be written.
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
    # The facts that the decision was based on.
    Column("state", State, nullable=False),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("reason", Text),
    # Who did it, if a person's token or a claim said so, and the connection's address; NULL in older nodes' rows.
    Column("staff_id", StaffName),
    Column("acting_as", StaffName),
    Column("address", Text),
    # The codes of the broken rules that an operator overrode, with spaces between. NULL where the policy granted it.
    Column("overridden", Text),
    Column("refunded_in_full", Boolean),  # true, or NULL: it was not, or an older node did not know
    # The second person, who confirmed it; NULL if one person sufficed.
    Column("approved_by", StaffName),
    # The Idempotency-Key that has the answer, if the cancellation had a transaction of its own and a key.
    Column("key_client_id", Integer),
    Column("key", String(255)),
)

# The decision records of the cancellations that were undone, so that the order can be cancelled again.
undone_cancellations = Table(
    "undone_cancellations",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    # The order's version after it was restored.
    Column("order_version", Integer, primary_key=True, autoincrement=False),
    *(Column(one.name, one.type, nullable=one.nullable) for one in cancellations.columns if not one.primary_key),
    Column("undone_at", Instant, nullable=False),
    Column("undone_reason", Text, nullable=False),
    Column("undone_client_id", Integer, nullable=False),
    Column("undone_door", Name),
    Column("undone_staff_id", StaffName),
    Column("undone_acting_as", StaffName),
    Column("undone_address", Text),
    sqlite_with_rowid=False,
)

# The decision record of a refusal by policy.
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
    # The codes of the broken rules, with spaces between. NULL in an older node's row until `background` fills it.
    Column("codes", Text),
    Column("staff_id", StaffName),
    Column("acting_as", StaffName),
    Column("address", Text),
    Column("refunded_in_full", Boolean),  # true or NULL, as of a cancellation
    Index("ix_refusals_decided_at", "decided_at"),
    sqlite_with_rowid=False,
)

# What a person asked another one to confirm: a cancellation by an override. The columns of the client, the person, the
# claimed person, the channel and the address are those of the person who asked.
approvals = Table(
    "approvals",
    metadata,
    belongs_to_order(),
    Column("id", Uid, primary_key=True),
    Column("order_version", Integer, nullable=False),
    Column("codes", Text, nullable=False),  # with spaces between
    Column("due", Document, nullable=False),  # the amounts that become due
    Column("reason", Text),
    Column("asked_at", Instant, nullable=False),
    Column("client_id", Integer, nullable=False),
    Column("staff_id", StaffName, nullable=False),
    Column("acting_as", StaffName),
    Column("channel", Name),
    Column("address", Text),
    Column("last_change", Integer, nullable=False),  # the last change of a person before the asking
    Column("state", State, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", StaffName),
    Column("differed", Text),  # with spaces between; NULL if the terms held
    Index("uq_approvals_id", "id", unique=True),
    Index("ix_approvals_asked_at", "asked_at", "order_id", "id"),
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

# The policy of each contract with which a server started last. Nodes of before schema 11 do not write here.
policies_in_force = Table(
    "policies_in_force",
    metadata,
    Column("contract", Name, primary_key=True),
    Column("version", String(16), nullable=False),
    Column("since", Instant, nullable=False),
)

# The outbox records, which are order events. An order's version and the kind name a record, so it cannot exist twice.
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
    Column("staff_id", StaffName),
    Column("acting_as", StaffName),
    # NULL in older nodes' rows, and if the service did it by itself.
    Column("channel", Name),
    Column("address", Text),
    # Of the instant and the details as they were written; NULL unless a forgetting replaced the details since.
    Column("digest", String(8)),
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

# The result of an Idempotency-Key: the answer as it was sent or, for a cancellation, the decision behind the answer.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client_id", Integer, primary_key=True, autoincrement=False),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # of the bytes; nodes of every version compute and compare it
    Column("created_at", Instant, nullable=False),
    Column("answer", Text),
    Column("order_id", BigInteger),
    Column("cancelled", Boolean),
    Column("policy_version", String(16)),
    Column("state", State),
    Column("appointment_starts_at", Instant),
    Column("first_payment_at", Instant),
    Column("message_fingerprint", String(64)),  # NULL in rows of nodes for schema 5 and older
    Column("refunded_in_full", Boolean),  # true or NULL, as of a cancellation
    # When the cancellation that the key stands for was undone. The row has no outcome then: nodes for schemas before 15
    # answer that another version keeps it.
    Column("undone_at", Instant),
    Index("ix_idempotency_keys_created_at", "created_at"),
    sqlite_with_rowid=False,
)

"""The tables of who may call: clients, their keys, our signing keys, assertions that were used."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from countermand.storage.tables.columns import Document, Instant, Name, metadata

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

"""The tables of authentication: clients, their keys, the signing keys, and used assertions."""

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
    Column("redirect_url", Text),
    Column("redirect_schemes", Text),
    Column("more_permissions", Document),  # the permissions that nodes for schema 7 and older do not know
    # The secret from before the last rotation, while it still works. Nodes for schemas before 11 do not read it.
    Column("previous_secret_sha256", String(64)),
    Column("previous_secret_until", Instant),
    Column("last_used_at", Instant),
    Index("uq_clients_issuer_subject", "issuer", "subject", unique=True),
)

# The public keys of clients of the token issuer. A client signs its assertions with the private key.
client_keys = Table(
    "client_keys",
    metadata,
    Column("client_id", ForeignKey("clients.id"), primary_key=True, autoincrement=False),
    Column("kid", String(64), primary_key=True),
    Column("public_key", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

# The keys that access tokens are signed with. A key counts from its creation until `retired_at`, and signs from
# `signs_from`, so that every node knows it before it sees its tokens. `number` is unique: of two nodes that add a key
# at once, one fails.
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

# The assertions that were exchanged for a token. Each counts once; its row is needed until the assertion expires.
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", Integer, primary_key=True, autoincrement=False),
    Column("jti_sha256", String(64), primary_key=True),
    Column("expires_at", Instant, nullable=False),
    Index("ix_used_assertions_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

"""The tables of requests about persons: what was exported or forgotten, without the person's address."""

from sqlalchemy import Column, Index, Integer, String, Table

from countermand.storage.tables.columns import Document, Instant, Name, StaffName, Uid, metadata

# The key of the hashes in `privacy_requests`. The table has one row, with the number 1.
privacy_keys = Table(
    "privacy_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hmac_key", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# `person_hmac` is a keyed hash of the address, so that a later request about the same person can be recognized.
# `finished_at` is NULL if the request was cut off, or left something to do. `client_id` is 0 for the command line.
privacy_requests = Table(
    "privacy_requests",
    metadata,
    Column("id", Uid, primary_key=True),
    Column("kind", Name, nullable=False),
    Column("person_hmac", String(64), nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("client_id", Integer, nullable=False),
    Column("staff_id", StaffName),
    Column("acting_as", StaffName),
    Column("counts", Document, nullable=False),
    Index("ix_privacy_requests_person_hmac", "person_hmac"),
)

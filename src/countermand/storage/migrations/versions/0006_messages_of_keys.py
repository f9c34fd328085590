"""Adds the hash of the message to the idempotency keys, beside the hash of the bytes that the message was sent in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL in rows that an old node inserted: a repeat of their request must have the same bytes.
    op.add_column("idempotency_keys", sa.Column("message_fingerprint", sa.String(length=64), nullable=True))
    # This migration only adds a column, so nodes of schema 2 to 5 continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (6, 2)")

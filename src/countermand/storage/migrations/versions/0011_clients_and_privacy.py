"""Adds what the rotation of secrets, the forgetting of people, and cancellations by command need."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for a client without a rotation that overlaps, and for one that has not called since.
    op.add_column("clients", sa.Column("previous_secret_sha256", sa.String(length=64), nullable=True))
    op.add_column("clients", sa.Column("previous_secret_until", sa.BigInteger(), nullable=True))
    op.add_column("clients", sa.Column("last_used_at", sa.BigInteger(), nullable=True))
    _privacy()
    # Empty until a server of this version or a newer one starts.
    op.create_table(
        "policies_in_force",
        sa.Column("contract", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contract", name=op.f("pk_policies_in_force")),
    )
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (11, 2)")


def _privacy() -> None:
    op.create_table(
        "privacy_keys",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hmac_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_privacy_keys")),
    )
    op.create_table(
        "privacy_requests",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("person_hmac", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=True),
        sa.Column("acting_as", sa.String(length=64), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_requests")),
    )
    op.create_index("ix_privacy_requests_person_hmac", "privacy_requests", ["person_hmac"])

"""Adds the staff of the operator, and who did what."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "staff",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
    )
    op.create_table(
        "staff_tokens",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_tokens_staff_id")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_staff_tokens_client_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_staff_tokens")),
    )
    op.create_index("ix_staff_tokens_staff_id", "staff_tokens", ["staff_id"])
    # NULL in rows that an old node inserts, and wherever no person was named.
    for table in ("cancellations", "refusals"):
        op.add_column(table, sa.Column("staff_id", sa.String(length=64), nullable=True))
        op.add_column(table, sa.Column("acting_as", sa.String(length=64), nullable=True))
        op.add_column(table, sa.Column("address", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("staff_id", sa.String(length=64), nullable=True))
    op.add_column("outbox", sa.Column("acting_as", sa.String(length=64), nullable=True))
    op.add_column("outbox", sa.Column("channel", sa.String(length=16), nullable=True))
    op.add_column("outbox", sa.Column("address", sa.Text(), nullable=True))
    # The permissions that old nodes do not know: in `permissions`, one of them would make each of their calls fail.
    op.add_column("clients", sa.Column("more_permissions", sa.Text(), nullable=True))
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (9, 2)")

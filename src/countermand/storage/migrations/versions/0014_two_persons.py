"""Adds what an override needs that two persons make: approvals, and the record of who changed whom."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("order_version", sa.Integer(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("due", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("acting_as", sa.String(length=64), nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("last_change", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.Column("differed", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_approvals_order_id")),
        sa.PrimaryKeyConstraint("order_id", "id", name=op.f("pk_approvals")),
        sqlite_with_rowid=False,
    )
    op.create_index("uq_approvals_id", "approvals", ["id"], unique=True)
    op.create_index("ix_approvals_asked_at", "approvals", ["asked_at", "order_id", "id"])
    op.create_table(
        "staff_changes",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_changes_staff_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_staff_changes")),
    )
    # NULL for a cancellation that one person or one client made.
    op.add_column("cancellations", sa.Column("approved_by", sa.String(length=64), nullable=True))
    # This migration only adds a column and tables, so nodes of schema 2 and newer continue to work. An old node knows
    # no approval: it overrides at once. So the setting is switched on when no old node serves any more.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (14, 2)")

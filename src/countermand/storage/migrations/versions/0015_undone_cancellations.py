"""Adds what the undoing of a cancellation needs."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tickets", sa.Column("released", sa.Boolean(), nullable=True))
    op.add_column("appointments", sa.Column("cancelled_from", sa.String(length=16), nullable=True))
    op.add_column("cancellations", sa.Column("key_client_id", sa.Integer(), nullable=True))
    op.add_column("cancellations", sa.Column("key", sa.String(length=255), nullable=True))
    op.add_column("idempotency_keys", sa.Column("undone_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "undone_cancellations",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("command_id", sa.String(length=32), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("contract", sa.String(length=16), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("policy_version", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("appointment_starts_at", sa.BigInteger(), nullable=True),
        sa.Column("first_payment_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("staff_id", sa.String(length=64), nullable=True),
        sa.Column("acting_as", sa.String(length=64), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("overridden", sa.Text(), nullable=True),
        sa.Column("refunded_in_full", sa.Boolean(), nullable=True),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("key_client_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(length=255), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_reason", sa.Text(), nullable=False),
        sa.Column("undone_client_id", sa.Integer(), nullable=False),
        sa.Column("undone_door", sa.String(length=16), nullable=True),
        sa.Column("undone_staff_id", sa.String(length=64), nullable=True),
        sa.Column("undone_acting_as", sa.String(length=64), nullable=True),
        sa.Column("undone_address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "order_version", name=op.f("pk_undone_cancellations")),
        sqlite_with_rowid=False,
    )
    # This migration only adds columns and a table, so nodes of schema 2 and newer continue to work. What they cancel
    # cannot be undone, because they do not note which tickets and which visit the cancellation ended.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (15, 2)")

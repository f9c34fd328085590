"""Adds what the voids of payments, refunds and chargebacks need."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for a payment that was not voided.
    op.add_column("payments", sa.Column("recorded_minor", sa.BigInteger(), nullable=True))
    op.add_column("payments", sa.Column("voided_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "payment_corrections",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("payment_reference", sa.String(length=255), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=True),
        sa.Column("acting_as", sa.String(length=64), nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_payment_corrections_order_id")),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_payment_corrections")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_payment_corrections_refunds",
        "payment_corrections",
        ["state", "recorded_at", "order_id", "number"],
        sqlite_where=sa.text("state IS NOT NULL"),
        postgresql_where=sa.text("state IS NOT NULL"),
    )
    op.create_table(
        "correction_references",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "reference", name=op.f("pk_correction_references")),
        sqlite_with_rowid=False,
    )
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work: they sum
    # `amount_minor`, which is 0 for a voided payment.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (12, 2)")

"""Adds what the rule about payments needs to ignore payments that were refunded in full."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for an order that was not refunded in full, and for one that an older node refunded.
    op.add_column("orders", sa.Column("refunded_version", sa.Integer(), nullable=True))
    # True or NULL in the records of decisions.
    for table in ("cancellations", "refusals", "idempotency_keys"):
        op.add_column(table, sa.Column("refunded_in_full", sa.Boolean(), nullable=True))
    # This migration only adds columns, so nodes of schema 2 and newer continue to work: they raise `version` with every
    # change, so that `refunded_version` no longer equals it, and the order counts as paid.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (13, 2)")

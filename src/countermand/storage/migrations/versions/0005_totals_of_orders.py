"""Adds columns for the total of a ticket order and its currency. The order's document has both, too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL in rows that an old node inserted, until `background/totals.py` has filled them, and for service orders.
    op.add_column("order_details", sa.Column("total_minor", sa.BigInteger(), nullable=True))
    op.add_column("order_details", sa.Column("currency", sa.String(length=3), nullable=True))
    # This migration only adds columns, so nodes of schema 2 to 4 continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (5, 2)")

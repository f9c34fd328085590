"""The total of a ticket order and its currency, as columns beside the document that has them, too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL in the rows of old nodes, until `background/totals.py` has filled them, and in those of service orders.
    op.add_column("order_details", sa.Column("total_minor", sa.BigInteger(), nullable=True))
    op.add_column("order_details", sa.Column("currency", sa.String(length=3), nullable=True))
    # It only adds: nodes of schema 2 to 4 go on.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (5, 2)")

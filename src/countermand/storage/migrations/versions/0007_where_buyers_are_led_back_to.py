"""Adds columns for the address that a client's buyers are led back to, and for the schemes of such addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for a client without a default address, and without schemes beside http and https.
    op.add_column("clients", sa.Column("redirect_url", sa.Text(), nullable=True))
    op.add_column("clients", sa.Column("redirect_schemes", sa.Text(), nullable=True))
    # This migration only adds columns, so nodes of schema 2 to 6 continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (7, 2)")

"""Adds what orders are found by."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (10, 2)")

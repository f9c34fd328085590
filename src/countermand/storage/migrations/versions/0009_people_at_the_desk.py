"""Adds the staff of the operator, and who did what."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (9, 2)")

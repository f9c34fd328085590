"""Adds a column for the codes of a refusal (the rules that the order broke), and an index of late money."""

import sqlalchemy as sa
from alembic import op

from countermand.storage.postgres.large_indexes import make_large_index

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_postgres = op.get_context().dialect.name == "postgresql"
    make_large_index(
        "ix_payments_late", "payments", ["recorded_at"], where=sa.text("is_late" if is_postgres else "is_late = 1")
    )
    # NULL in rows that an old node inserted, until `background/refusal_codes.py` has filled them.
    op.add_column("refusals", sa.Column("codes", sa.Text(), nullable=True))
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (8, 2)")

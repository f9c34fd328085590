"""Adds the handles that orders are found by, the index of all orders by time, and the progress of tasks."""

import sqlalchemy as sa
from alembic import op

from countermand.storage.postgres.large_indexes import make_large_index

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    make_large_index("ix_orders_created_at_id", "orders", ["created_at", "id"])
    handle = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    # Without foreign keys: nodes of older versions delete no orders, and each handle would cost a look at its order.
    op.create_table(
        "order_search",
        sa.Column("handle", handle, nullable=False),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("handle", "order_id", name=op.f("pk_order_search")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_order_search_order_id", "order_search", ["order_id"])
    op.create_table(
        "task_progress",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("reached_at", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_task_progress")),
    )
    # This migration only adds columns and tables, so nodes of schema 2 and newer continue to work.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (10, 2)")

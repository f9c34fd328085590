"""Adds the feed of order events."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
}


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "event_feed",
        sa.Column("position", number, autoincrement=False, nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event_feed")),
    )
    op.create_index("uq_event_feed_event", "event_feed", ["order_id", "order_version", "kind"], unique=True)
    op.create_table(
        "event_feed_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("deleted_up_to", sa.BigInteger(), nullable=False),
        sa.Column("complete_until", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_up_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_feed_head")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_feed_generations",
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("began_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_event_feed_generations")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO event_feed_generations (generation, began_after) VALUES (1, 0)")
    op.execute(
        "INSERT INTO event_feed_head (id, generation, last, deleted_up_to, complete_until, began_at, checked_up_to) "
        f"VALUES (1, 1, 0, 0, 0, {_NOW[op.get_bind().dialect.name]}, 0)"
    )
    # This migration only adds tables, so nodes of schema 2 and newer continue to work. New nodes give what they write
    # its positions.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (16, 2)")

"""Adds a catalogue of events and products, vouchers, consumers, and orders that expire."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _catalogue()
    _of_orders()
    op.create_index("ix_tickets_uid", "tickets", ["uid"])
    op.create_index("ix_tickets_code", "tickets", ["code"])
    # This migration only adds, so nodes of schemas 2 and 3 go on.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (4, 2)")


def _catalogue() -> None:
    op.create_table(
        "events",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("merchant_name", sa.Text(), nullable=False),
        sa.Column("sale_starts_at", sa.BigInteger(), nullable=False),
        sa.Column("sale_ends_at", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("min_per_order", sa.Integer(), nullable=True),
        sa.Column("max_per_order", sa.Integer(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_events")),
    )
    op.create_index("ix_events_sale_ends_at", "events", ["sale_ends_at"])
    for column in (
        sa.Column("event_uid", sa.String(length=32), nullable=True),
        sa.Column("reference", sa.String(length=64), nullable=False, server_default=sa.text("''")),
        sa.Column("min_per_order", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("max_per_order", sa.Integer(), nullable=True),
        sa.Column("is_separately_saleable", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("is_enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("needs_voucher", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("is_seated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("sale_starts_at", sa.BigInteger(), nullable=True),
        sa.Column("sale_ends_at", sa.BigInteger(), nullable=True),
        sa.Column("viewing_order", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("details", sa.Text(), nullable=False, server_default="{}"),
    ):
        op.add_column("products", column)
    op.create_index("ix_products_event_uid", "products", ["event_uid"])
    op.create_table(
        "product_parts",
        sa.Column("combo_uid", sa.String(length=32), nullable=False),
        sa.Column("part_uid", sa.String(length=32), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("combo_uid", "part_uid", name=op.f("pk_product_parts")),
    )
    op.create_index("ix_product_parts_part_uid", "product_parts", ["part_uid"])
    op.create_table(
        "seats",
        sa.Column("product_uid", sa.String(length=32), nullable=False),
        sa.Column("section", sa.String(length=64), nullable=False),
        sa.Column("row", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stretch", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("ticket_number", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("product_uid", "section", "row", "number", name=op.f("pk_seats")),
        sqlite_with_rowid=False,
    )
    op.add_column("methods", sa.Column("details", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "vouchers",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("event_uid", sa.String(length=32), nullable=False),
        sa.Column("discount_percent", sa.Integer(), nullable=False),
        sa.Column("uses_cap", sa.Integer(), nullable=True),
        sa.Column("product_uids", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_vouchers")),
    )


def _of_orders() -> None:
    op.create_table(
        "voucher_uses",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_voucher_uses_order_id")),
        sa.PrimaryKeyConstraint("order_id", "code", name=op.f("pk_voucher_uses")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_voucher_uses_code", "voucher_uses", ["code"])
    op.create_table(
        "expiries",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_expiries_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_expiries")),
    )
    op.create_index("ix_expiries_expires_at", "expiries", ["expires_at"])
    op.create_table(
        "consumers",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_consumers")),
    )
    op.create_index("ix_consumers_client_id_created_at_uid", "consumers", ["client_id", "created_at", "uid"])

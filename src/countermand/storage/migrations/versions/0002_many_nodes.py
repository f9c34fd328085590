"""Prepares the schema for many nodes, and for tables that are distributed by the order's number."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A reference is unique over all orders; a table that is distributed by order cannot guarantee that.
    op.create_table(
        "payment_references",
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_payment_references")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO payment_references (reference, order_id) SELECT reference, order_id FROM payments")
    with op.batch_alter_table("payments", table_kwargs={"sqlite_with_rowid": False}) as payments:
        payments.drop_constraint(op.f("uq_payments_reference"), type_="unique")
    # The foreign key would make every new ticket lock its product's row. No product is ever deleted.
    for name in ("order_lines", "tickets"):
        with op.batch_alter_table(name, table_kwargs={"sqlite_with_rowid": False}) as of_order:
            of_order.drop_constraint(op.f(f"fk_{name}_product_uid"), type_="foreignkey")
    op.create_table(
        "schema_notes",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oldest_code", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_schema_notes")),
    )
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (2, 2)")
    # These indexes find old rows, which are deleted after a time.
    op.create_index("ix_refusals_decided_at", "refusals", ["decided_at"])
    op.create_index(
        "ix_outbox_delivered_at",
        "outbox",
        ["delivered_at"],
        sqlite_where=sa.text("delivered_at IS NOT NULL"),
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    if op.get_context().dialect.name == "postgresql":
        _on_postgres()


def _on_postgres() -> None:
    for counter in ("order", "reference", "appointment"):
        op.execute(f"CREATE SEQUENCE {counter}_number")
        op.execute(f"SELECT setval('{counter}_number', last) FROM counters WHERE name = '{counter}' AND last > 0")
    # The page keeps room for the row's next version: a change of columns without an index then touches no index.
    for table, fillfactor in (("orders", 85), ("tickets", 90), ("products", 25)):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = {fillfactor})")
    # Cancellations are stored in the order of their instants, so a summary per block range finds the old ones.
    op.execute("CREATE INDEX ix_cancellations_decided_at ON cancellations USING brin (decided_at)")

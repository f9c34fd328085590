"""Adds tables for the token issuer, and for appointments that clients request, book and cancel."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_IN_SLOT = "slot_id IS NOT NULL AND state IN ('booked', 'in_progress', 'reserved')"


def upgrade() -> None:
    _tokens()
    _appointments()
    op.create_index("ix_orders_client_id_created_at_id", "orders", ["client_id", "created_at", "id"])
    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE service_number")
        op.execute("CREATE SEQUENCE task_number")
    # This migration only adds, so nodes of schema 2 go on.
    op.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (3, 2)")


def _tokens() -> None:
    op.create_table(
        "client_keys",
        sa.Column("client_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_client_keys_client_id")),
        sa.PrimaryKeyConstraint("client_id", "kid", name=op.f("pk_client_keys")),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("private_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
        sa.UniqueConstraint("number", name=op.f("uq_signing_keys_number")),
    )
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("jti_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti_sha256", name=op.f("pk_used_assertions")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_used_assertions_expires_at", "used_assertions", ["expires_at"])


def _appointments() -> None:
    for column in (
        sa.Column("slot_id", sa.String(length=64), nullable=True),
        sa.Column("half_day", sa.String(length=2), nullable=True),
        sa.Column("utc_offset_s", sa.Integer(), nullable=True),
        sa.Column("remote_id", sa.String(length=64), nullable=True),
    ):
        op.add_column("appointments", column)
    op.create_index("ix_appointments_id", "appointments", ["id"])
    op.create_index(
        "ix_appointments_slot_id",
        "appointments",
        ["slot_id"],
        sqlite_where=sa.text(_IN_SLOT),
        postgresql_where=sa.text(_IN_SLOT),
    )
    op.create_table(
        "slots",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("area", sa.String(length=15), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("half_day", sa.String(length=2), nullable=False),
        sa.Column("utc_offset_s", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slots")),
    )
    op.create_index("ix_slots_area_starts_at", "slots", ["area", "starts_at"])
    op.create_table(
        "appointment_tasks",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("from_date", sa.String(length=10), nullable=True),
        sa.Column("offer_id", sa.BigInteger(), nullable=True),
        sa.Column("appointment_id", sa.BigInteger(), nullable=True),
        sa.Column("slots", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_appointment_tasks_order_id")),
        sa.PrimaryKeyConstraint("order_id", "id", name=op.f("pk_appointment_tasks")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_appointment_tasks_id", "appointment_tasks", ["id"])
    op.create_index(
        "ix_appointment_tasks_pending",
        "appointment_tasks",
        ["id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )

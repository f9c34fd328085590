"""The tables of appointments: visits, the operator's calendar, and the tasks about visits."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, text

from countermand.domain.appointments.appointment import ACTIVE_APPOINTMENT_STATES
from countermand.storage.tables.columns import Document, Instant, Name, State, belongs_to_order, metadata

_active = text("state IN ({})".format(", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))))
_in_slot = text(f"slot_id IS NOT NULL AND {_active.text}")
_pending = text("state = 'pending'")

appointments = Table(
    "appointments",
    metadata,
    belongs_to_order(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", State, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("cancelled_at", Instant),
    Column("slot_id", String(64)),
    Column("half_day", String(2)),
    Column("utc_offset_s", Integer),
    Column("remote_id", String(64)),
    # The state before the end of its order cancelled the visit. NULL for any other visit, and in the rows of nodes for
    # schemas before 15.
    Column("cancelled_from", State),
    # The index allows at most one active appointment per order, whatever the code does.
    Index("uq_appointments_active", "order_id", unique=True, sqlite_where=_active, postgresql_where=_active),
    Index("ix_appointments_id", "id"),
    # The visits in a slot are counted through this index. A visit that ends frees its place; no counter is updated.
    Index("ix_appointments_slot_id", "slot_id", sqlite_where=_in_slot, postgresql_where=_in_slot),
    sqlite_with_rowid=False,
)

# The operator's calendar. `area` is the beginning of the location ids that a slot is for (LOC3801…); empty means all.
slots = Table(
    "slots",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(15), nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("half_day", String(2), nullable=False),
    Column("utc_offset_s", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Index("ix_slots_area_starts_at", "area", "starts_at"),
)

# The tasks about appointments, with their answers.
appointment_tasks = Table(
    "appointment_tasks",
    metadata,
    belongs_to_order(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("client_id", Integer, nullable=False),
    Column("kind", Name, nullable=False),
    Column("state", State, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("from_date", String(10)),
    Column("offer_id", BigInteger),
    Column("appointment_id", BigInteger),
    Column("slots", Document),
    Column("failure", Document),
    Index("ix_appointment_tasks_id", "id"),
    Index("ix_appointment_tasks_pending", "id", sqlite_where=_pending, postgresql_where=_pending),
    sqlite_with_rowid=False,
)

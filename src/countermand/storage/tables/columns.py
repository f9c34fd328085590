"""Defines the column types that both databases share, the naming of keys and indexes, and instants as integers."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    MetaData,
    String,
    Text,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Convert an aware instant to whole microseconds since 1970 in UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Convert microseconds since 1970 to an aware UTC instant."""
    return _EPOCH + timedelta(microseconds=value)


def micros_or_none(value: datetime | None) -> int | None:
    """Convert an instant as `micros` does; NULL stands for none."""
    return None if value is None else micros(value)


def instant_or_none(value: int | None) -> datetime | None:
    """Convert a column as `instant` does; NULL stands for none."""
    return None if value is None else instant(value)


Instant: Final = BigInteger  # whole microseconds since 1970 in UTC
Document: Final = Text  # JSON; read and written in `storage/repositories/rows.py` alone

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Uid: Final = String(32)
Name: Final = String(16)

State: Final = String(16)
StaffName: Final = String(64)  # the id of a person at the desk


def belongs_to_order() -> Column[int]:
    """Return the column that begins the primary key of every table that belongs to an order."""
    return Column("order_id", BigInteger, ForeignKey("orders.id"), primary_key=True, autoincrement=False)

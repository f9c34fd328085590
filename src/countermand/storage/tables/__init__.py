"""The tables, by subject. An import of any module of this package adds all tables to `metadata`."""

from countermand.storage.tables import (
    appointments,
    cancelling,
    catalogue,
    clients,
    delivering,
    feed,
    orders,
    privacy,
    progress,
    schema,
    search,
    staff,
    tickets,
)
from countermand.storage.tables.columns import metadata

__all__ = [
    "appointments",
    "cancelling",
    "catalogue",
    "clients",
    "delivering",
    "feed",
    "metadata",
    "orders",
    "privacy",
    "progress",
    "schema",
    "search",
    "staff",
    "tickets",
]

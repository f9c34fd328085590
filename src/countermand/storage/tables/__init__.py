"""The tables, by subject. Importing any module of this package puts all of them into `metadata`."""

from countermand.storage.tables import appointments, cancelling, catalogue, clients, orders, schema, tickets
from countermand.storage.tables.columns import metadata

__all__ = ["appointments", "cancelling", "catalogue", "clients", "metadata", "orders", "schema", "tickets"]

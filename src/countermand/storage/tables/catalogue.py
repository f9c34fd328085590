"""The tables of the catalogue: events, products, seats, methods and vouchers."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false, text, true

from countermand.storage.tables.columns import Document, Instant, Name, Uid, metadata

# The events that tickets are sold for. `details` holds the fields that are only shown.
events = Table(
    "events",
    metadata,
    Column("uid", Uid, primary_key=True),
    Column("reference", String(64), nullable=False),
    Column("title", Document, nullable=False),
    Column("merchant_name", Text, nullable=False),
    Column("sale_starts_at", Instant, nullable=False),
    Column("sale_ends_at", Instant, nullable=False),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("is_enabled", Boolean, nullable=False),
    Column("min_per_order", Integer),
    Column("max_per_order", Integer),
    Column("details", Document, nullable=False),
    Index("ix_events_sale_ends_at", "sale_ends_at"),
)

products = Table(
    "products",
    metadata,
    Column("uid", Uid, primary_key=True),
    Column("name", Document, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("service_costs_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("availability", Integer, nullable=False),
    Column("total_availability", Integer, nullable=False),
    Column("event_uid", Uid),
    Column("reference", String(64), nullable=False, server_default=text("''")),
    Column("min_per_order", Integer, nullable=False, server_default="1"),
    Column("max_per_order", Integer),
    Column("is_separately_saleable", Boolean, nullable=False, server_default=true()),
    Column("is_enabled", Boolean, nullable=False, server_default=true()),
    Column("needs_voucher", Boolean, nullable=False, server_default=false()),
    Column("is_seated", Boolean, nullable=False, server_default=false()),
    Column("sale_starts_at", Instant),
    Column("sale_ends_at", Instant),
    Column("viewing_order", Integer, nullable=False, server_default="0"),
    Column("details", Document, nullable=False, server_default="{}"),
    # No index has the availability, because every order and every cancellation writes it.
    Index("ix_products_event_uid", "event_uid"),
)

# The parts of a combo product.
product_parts = Table(
    "product_parts",
    metadata,
    Column("combo_uid", Uid, primary_key=True),
    Column("part_uid", Uid, primary_key=True),
    Column("quantity", Integer, nullable=False),
    Index("ix_product_parts_part_uid", "part_uid"),
)

# Numbered seats; `stretch` is the number of the seat block. Each seat names the ticket that last took it, and is free
# unless that ticket is valid. So a cancellation writes no seat, and the table needs no index of tickets.
seats = Table(
    "seats",
    metadata,
    Column("product_uid", Uid, primary_key=True),
    Column("section", String(64), primary_key=True),
    Column("row", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stretch", Integer, nullable=False),
    Column("order_id", BigInteger),
    Column("ticket_number", Integer),
    sqlite_with_rowid=False,
)

methods = Table(
    "methods",
    metadata,
    Column("uid", Uid, primary_key=True),
    Column("kind", Name, nullable=False),
    Column("name", Document, nullable=False),
    Column("image", Text),
    Column("costs_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("details", Document, nullable=False, server_default="{}"),
)

vouchers = Table(
    "vouchers",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("event_uid", Uid, nullable=False),
    Column("discount_percent", Integer, nullable=False),
    Column("uses_cap", Integer),
    Column("product_uids", Document, nullable=False),
)

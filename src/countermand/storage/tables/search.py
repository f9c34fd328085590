"""The table that orders are found by. No cancellation writes it."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from countermand.storage.tables.columns import metadata

# The handles of each order (`domain/orders/search_handles.py`). They are compared byte by byte on both databases, so
# that the beginning of a word is a range of the primary key.
order_search = Table(
    "order_search",
    metadata,
    Column("handle", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_order_search_order_id", "order_id"),
    sqlite_with_rowid=False,
)

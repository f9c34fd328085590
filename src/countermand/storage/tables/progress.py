"""The table of how far the background tasks have come that go once through all old rows."""

from sqlalchemy import BigInteger, Column, Table

from countermand.storage.tables.columns import Instant, Name, metadata

# `background/search.py`: all orders up to this place, by the time when they were placed, have handles.
# `background/refusal_codes.py`: all refusals up to this place, by their instant, have their codes, if these are known.
task_progress = Table(
    "task_progress",
    metadata,
    Column("name", Name, primary_key=True),
    Column("reached_at", Instant, nullable=False),
    Column("order_id", BigInteger, nullable=False),
)

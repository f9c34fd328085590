"""The tables of the feed of order events. The cancellation path neither reads nor writes them."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from countermand.storage.tables.columns import Instant, metadata

_Number = BigInteger().with_variant(Integer, "sqlite")

# The position of each event in the feed. The event itself, its instant and its details stand in the outbox.
event_feed = Table(
    "event_feed",
    metadata,
    Column("position", _Number, primary_key=True, autoincrement=False),
    Column("order_id", BigInteger, nullable=False),
    Column("order_version", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    # Of the instant and the details when the event got its position; the details may be forgotten later.
    Column("digest", String(8), nullable=False),
    Index("uq_event_feed_event", "order_id", "order_version", "kind", unique=True),
)

# One row, which whoever gives positions locks first.
event_feed_head = Table(
    "event_feed_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("deleted_up_to", BigInteger, nullable=False),
    # Where the search for events without a position begins, by the instant of an event.
    Column("complete_until", Instant, nullable=False),
    # When the feed began. Events that were delivered before are not in it.
    Column("began_at", Instant, nullable=False),
    # The order up to which the check of the whole outbox has come.
    Column("checked_up_to", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The generations of the feed, each with the last position before it.
event_feed_generations = Table(
    "event_feed_generations",
    metadata,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("began_after", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

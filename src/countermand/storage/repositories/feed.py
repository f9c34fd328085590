"""Finds the order events that have no position in the feed, gives them positions, and reads the feed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, update

from countermand.actions.ordering.feed_ports import FeedHead, NumberedEvent, OutboxEvent, Unnumbered
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.event_ids import event_digest
from countermand.domain.orders.order import OrderId, OrderUid
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import instant, instant_or_none, micros
from countermand.storage.tables.feed import event_feed, event_feed_generations, event_feed_head
from countermand.storage.tables.orders import order_details, orders

_CLOCKS_APART: Final = 3_600_000_000  # microseconds: more than any two clocks differ
_IN_FEED: Final = exists().where(
    event_feed.c.order_id == outbox.c.order_id,
    event_feed.c.order_version == outbox.c.order_version,
    event_feed.c.kind == outbox.c.kind,
)
_OF_FEED: Final = [event_feed.c[name] for name in ("position", "order_id", "order_version", "kind", "digest")]


class FeedRows(StatementRunner):
    """Implements `FeedReading` and `FeedWriting`."""

    async def feed_head(self) -> FeedHead:
        """See `FeedReading.feed_head`."""
        (row,) = await self.rows(select(event_feed_head))
        return _head_of(row)

    async def lock_feed_head(self) -> FeedHead:
        """See `FeedWriting.lock_feed_head`. On SQLite, the transaction holds the only write lock."""
        (row,) = await self.rows(select(event_feed_head).with_for_update())
        return _head_of(row)

    async def numbered_after(self, position: int, at_most: int) -> Sequence[NumberedEvent]:
        """See `FeedReading.numbered_after`."""
        return await self._numbered(at_most, event_feed.c.position > position)

    async def numbered_between(
        self, position: int, up_to: int, of_client: ClientId, at_most: int
    ) -> Sequence[NumberedEvent]:
        """See `FeedReading.numbered_between`. An event about an endpoint has no order, so it belongs to no client."""
        it = event_feed.c.position
        return await self._numbered(at_most, it > position, it <= up_to, orders.c.client_id == of_client)

    async def _numbered(self, at_most: int, *met: ColumnElement[bool]) -> Sequence[NumberedEvent]:
        same = (
            (outbox.c.order_id == event_feed.c.order_id)
            & (outbox.c.order_version == event_feed.c.order_version)
            & (outbox.c.kind == event_feed.c.kind)
        )
        found = (
            select(*_OF_FEED, outbox.c.recorded_at, outbox.c.details, orders.c.contract, order_details.c.uid)
            .outerjoin(orders, orders.c.id == event_feed.c.order_id)  # an event about an endpoint has no order
            .outerjoin(order_details, order_details.c.order_id == event_feed.c.order_id)
            .outerjoin(outbox, same)
            .where(*met)
            .order_by(event_feed.c.position)
            .limit(at_most)
        )
        return [_numbered(row) for row in await self.rows(found)]

    async def unnumbered_since(self, since: datetime, began_at: datetime, at_most: int) -> Unnumbered:
        """See `FeedReading.unnumbered_since`. Reads along the two indexes of the outbox that have instants."""
        it, begin = outbox.c, micros(since)
        waits = await self._unnumbered(it.recorded_at, at_most, it.delivered_at.is_(None), it.recorded_at >= begin)
        # The clock of the program that wrote `delivered_at` may differ as the clocks of nodes do.
        earliest = max(begin, micros(began_at) - _CLOCKS_APART)
        late = it.delivered_at.is_not(None), it.delivered_at >= earliest, it.recorded_at >= micros(began_at)
        gone = await self._unnumbered(it.delivered_at, at_most, *late)
        reached = [rows[-1]["at"] for rows in (waits, gone) if len(rows) == at_most]
        return Unnumbered(
            orders=frozenset(OrderId(row["order_id"]) for row in (*waits, *gone)),
            until=instant(min(reached)) if reached else None,
        )

    async def _unnumbered(
        self, at: ColumnElement[int | None], at_most: int, *met: ColumnElement[bool]
    ) -> Sequence[Row]:
        some = select(outbox.c.order_id, at.label("at")).where(*met, ~_IN_FEED).order_by(at).limit(at_most)
        return await self.rows(some)

    async def unnumbered_orders_after(
        self, order_id: OrderId, began_at: datetime, at_most: int
    ) -> tuple[frozenset[OrderId], OrderId | None]:
        """See `FeedReading.unnumbered_orders_after`. Reads along the primary keys of the outbox and of the orders."""
        it = outbox.c.order_id
        looked_at = select(it).where(it > order_id).order_by(it).limit(at_most).subquery().c.order_id
        (row,) = await self.rows(select(func.count().label("events"), func.max(looked_at).label("last")))
        last = None if row["events"] < at_most else OrderId(row["last"])
        met = [it > order_id, _belongs(began_at), ~_IN_FEED]
        if last is not None:
            met.append(it <= last)
        found = await self.rows(select(it).where(*met).distinct())
        return frozenset(OrderId(one["order_id"]) for one in found), last

    async def unnumbered_events(self, orders: frozenset[OrderId], began_at: datetime) -> Sequence[OutboxEvent]:
        """See `FeedWriting.unnumbered_events`."""
        it = outbox.c
        wanted = select(it.order_id, it.order_version, it.kind, it.recorded_at, it.details, it.digest)
        met = it.order_id.in_(sorted(orders)), _belongs(began_at), ~_IN_FEED
        return [
            OutboxEvent(
                order_id=OrderId(row["order_id"]),
                order_version=row["order_version"],
                kind=row["kind"],
                recorded_at=instant(row["recorded_at"]),
                details=msgspec.json.decode(row["details"]),
                digest=digest_of_row(row),
            )
            for row in await self.rows(wanted.where(*met))
        ]

    async def add_to_feed(self, after: int, events: Sequence[OutboxEvent]) -> None:
        """See `FeedWriting.add_to_feed`."""
        rows: list[Mapping[str, object]] = [
            {
                "position": position,
                "order_id": event.order_id,
                "order_version": event.order_version,
                "kind": event.kind,
                "digest": event.digest,
            }
            for position, event in enumerate(events, start=after + 1)
        ]
        await self._execute(insert(event_feed), rows)

    async def write_feed_head(self, head: FeedHead) -> None:
        """See `FeedWriting.write_feed_head`."""
        await self._execute(
            update(event_feed_head).values(
                generation=head.generation,
                last=head.last,
                deleted_up_to=head.deleted_up_to,
                complete_until=micros(head.complete_until),
                checked_up_to=head.checked_up_to,
            )
        )

    async def generations_after(self, generation: int) -> Sequence[int]:
        """See `FeedReading.generations_after`."""
        it = event_feed_generations.c
        return [row["began_after"] for row in await self.rows(select(it.began_after).where(it.generation > generation))]

    async def begin_generation(self, generation: int, began_after: int) -> None:
        """See `FeedWriting.begin_generation`."""
        await self._execute(insert(event_feed_generations).values(generation=generation, began_after=began_after))

    async def delete_from_feed(self, up_to: int) -> None:
        """See `FeedWriting.delete_from_feed`."""
        await self._execute(delete(event_feed).where(event_feed.c.position <= up_to))


def digest_of_row(row: Row) -> str:
    """Return the digest of an event: the stored one, if its details were replaced since they were written."""
    if row["digest"] is not None:
        return str(row["digest"])
    return event_digest(row["recorded_at"], msgspec.json.encode(msgspec.json.decode(row["details"]), order="sorted"))


def _belongs(began_at: datetime) -> ColumnElement[bool]:
    return or_(outbox.c.delivered_at.is_(None), outbox.c.recorded_at >= micros(began_at))


def _head_of(row: Row) -> FeedHead:
    return FeedHead(
        generation=row["generation"],
        last=row["last"],
        deleted_up_to=row["deleted_up_to"],
        complete_until=instant(row["complete_until"]),
        began_at=instant(row["began_at"]),
        checked_up_to=OrderId(row["checked_up_to"]),
    )


def _numbered(row: Row) -> NumberedEvent:
    return NumberedEvent(
        position=row["position"],
        order_id=OrderId(row["order_id"]),
        contract=None if row["contract"] is None else ContractName(row["contract"]),
        uid=None if row["uid"] is None else OrderUid(row["uid"]),
        order_version=row["order_version"],
        kind=row["kind"],
        digest=row["digest"],
        recorded_at=instant_or_none(row["recorded_at"]),
        details=None if row["details"] is None else msgspec.json.decode(row["details"]),
    )

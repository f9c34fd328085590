"""The feed of order events: gives each event a position after its commit, and reads the events by their positions.

Events get positions in batches, under the lock of the feed's head. An event without a position is found in two ways:

- Each batch looks at what was recorded in the last minutes (`OVERLAP`), and at older events that no batch has come to.
- A check goes through the whole outbox, a part at a time, again and again. It finds the event of a transaction that
  stayed open for longer, or of a node whose clock was further off.

Neither way passes over an event by its instant or by a transaction's number: an event counts as done only when the feed
has its position. So an event that commits late gets a later position, and no event is missed.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from countermand.actions.errors import CursorGoneError, FieldsError
from countermand.actions.ordering.feed_ports import (
    FeedHead,
    FeedReading,
    FeedWriting,
    NumberedEvent,
    OutboxEvent,
)
from countermand.actions.ports import SharedClock, Snapshots, Transactions
from countermand.actions.shown_values import shown
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_events import place_in_version

NUMBERED_AT_ONCE: Final = 500
CHECKED_AT_ONCE: Final = 5000
LOOKED_AT_ONCE: Final = 2000  # positions that a read for one client looks at
# Two nodes' clocks differ by less than two minutes, and most transactions are over within the third.
OVERLAP: Final = timedelta(minutes=3)
_LOOK_EVERY_S: Final = 0.5
OTHER_GENERATION: Final = "feed_of_other_generation"
EVENTS_DELETED: Final = "feed_events_deleted"
_CURSOR: Final = re.compile(r"([1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})")


class FeedStore(Snapshots[FeedReading], Transactions[FeedWriting], Protocol):
    """The database, as the feed needs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedPage:
    """Events of the feed, each with its cursor, and the cursor of the next page.

    `is_last` says whether the page reaches the end of the feed. A page for one client may be empty before the end.
    """

    events: Sequence[tuple[str, NumberedEvent]]
    following: str
    is_last: bool


class EventFeed:
    """Gives positions to events and reads them. `shared_clock` is the clock of all nodes."""

    def __init__(self, store: FeedStore, shared_clock: SharedClock) -> None:
        self._store = store
        self._shared_clock = shared_clock
        self._stopping = asyncio.Event()

    async def wait(
        self, after: str | None, at_most: int, seconds: float, of_client: ClientId | None = None
    ) -> FeedPage:
        """Read as `read` does. At the end of the feed, wait for events, and hold no connection meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            page = await self.read(after, at_most, of_client)
            left_s = until - loop.time()
            if page.events or not page.is_last or left_s <= 0 or self._stopping.is_set():
                return page
            after = page.following
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(_LOOK_EVERY_S, left_s))

    def stop_waiting(self) -> None:
        """Let all that wait for events answer now, because the service stops."""
        self._stopping.set()

    async def read(self, after: str | None, at_most: int, of_client: ClientId | None = None) -> FeedPage:
        """Give positions to what is committed, one batch at most, and return the events after a cursor.

        Without a cursor, the first events that are kept. With `of_client`, only events of that client's orders, of the
        next `LOOKED_AT_ONCE` positions. Raises `FieldsError` for a text that is no cursor, and `CursorGoneError` if
        events between the cursor and the next event may be missing.
        """
        asked = None if after is None else _cursor_in(after)
        await self.number()
        async with self._store.snapshot() as reading:
            head = await reading.feed_head()
            position = head.deleted_up_to if asked is None else await _position(reading, head, *asked)
            if of_client is not None:
                up_to = min(head.last, position + LOOKED_AT_ONCE)
                own = await reading.numbered_between(position, up_to, of_client, at_most)
                return _page_of_client(head, own, at_most, up_to, is_first=asked is None)
            found = await reading.numbered_after(position, at_most)
            while asked is None and found and len(_deleted_first(found)) == len(found):
                found = await reading.numbered_after(found[-1].position, at_most)
        deleted = _deleted_first(found)
        if asked is not None and deleted:
            raise _deleted(_cursor(head, deleted[-1].position))
        kept = [*_kept_first(found[len(deleted) :])]
        if not kept:  # whatever the head says, so that a reader at the end waits
            return FeedPage(events=(), following=_cursor(head, position), is_last=True)
        return _page(head, kept, kept[-1].position)

    async def has_begun(self) -> bool:
        """Return whether the feed was ever read: the first read gives the first positions."""
        async with self._store.snapshot() as reading:
            return (await reading.feed_head()).last > 0

    async def number(self) -> bool:
        """Give positions to one batch of events. Return whether there may be more.

        Only a batch with events takes the lock of the feed's head and writes.
        """
        now = await self._shared_clock()
        async with self._store.snapshot() as reading:
            head = await reading.feed_head()
            if not (await reading.unnumbered_since(_begin(head, now), head.began_at, 1)).orders:
                return False
        async with self._store.transaction() as tx:
            head = await tx.lock_feed_head()
            found = await tx.unnumbered_since(_begin(head, now), head.began_at, NUMBERED_AT_ONCE)
            head = await _number(tx, head, found.orders)
            until = now - OVERLAP if found.until is None else min(found.until, now - OVERLAP)
            await tx.write_feed_head(replace(head, complete_until=until))
        return found.until is not None

    async def check(self) -> bool:
        """Check the next part of the outbox, and give positions to what has none. Return whether the check goes on.

        What the check reached is stored, so that all nodes and the next ones go on there.
        """
        async with self._store.snapshot() as reading:
            head = await reading.feed_head()
            orders, last = await reading.unnumbered_orders_after(head.checked_up_to, head.began_at, CHECKED_AT_ONCE)
        reached = last or OrderId(0)
        if not orders and reached == head.checked_up_to:
            return False
        async with self._store.transaction() as tx:
            head = await _number(tx, await tx.lock_feed_head(), orders)
            await tx.write_feed_head(replace(head, checked_up_to=reached))
        return last is not None

    async def forget_deleted(self, at_most: int) -> bool:
        """Delete the first positions, as far as their events were deleted. Return whether there may be more."""
        async with self._store.snapshot() as reading:
            head = await reading.feed_head()
            if not _deleted_first(await reading.numbered_after(head.deleted_up_to, 1)):
                return False
        async with self._store.transaction() as tx:
            head = await tx.lock_feed_head()
            deleted = _deleted_first(await tx.numbered_after(head.deleted_up_to, at_most))
            if deleted:
                await tx.delete_from_feed(deleted[-1].position)
                await tx.write_feed_head(replace(head, deleted_up_to=deleted[-1].position))
        return len(deleted) == at_most

    async def begin_generation(self) -> str:
        """Begin another generation of cursors, and return the cursor at its beginning.

        Its number is the time in seconds, so that generations that a restore undid have other numbers.
        """
        now = await self._shared_clock()
        async with self._store.transaction() as tx:
            head = await tx.lock_feed_head()
            head = replace(head, generation=max(head.generation + 1, int(now.timestamp())))
            await tx.begin_generation(head.generation, head.last)
            await tx.write_feed_head(head)
        return _cursor(head, head.last)


def _page(head: FeedHead, events: Sequence[NumberedEvent], last: int) -> FeedPage:
    return FeedPage(
        events=[(_cursor(head, one.position), one) for one in events],
        following=_cursor(head, last),
        is_last=last >= head.last,
    )


def _page_of_client(
    head: FeedHead, found: Sequence[NumberedEvent], at_most: int, up_to: int, *, is_first: bool
) -> FeedPage:
    """Return the page of a client's events that were found up to a position. Raises `CursorGoneError`.

    The page ends before a deleted event. The first page begins after those.
    """
    deleted = _deleted_first(found)
    if deleted and not is_first:
        raise _deleted(_cursor(head, deleted[-1].position))
    rest = found[len(deleted) :]
    kept = _kept_first(rest)
    if len(kept) < len(rest):
        return _page(head, kept, rest[len(kept)].position - 1)
    return _page(head, kept, found[-1].position if len(found) == at_most else up_to)


def _begin(head: FeedHead, now: datetime) -> datetime:
    """Return where the search begins. A clock that was set back makes it begin earlier."""
    return min(head.complete_until, now - OVERLAP)


async def _number(tx: FeedWriting, head: FeedHead, orders: frozenset[OrderId]) -> FeedHead:
    """Give positions to the events of some orders. Return the new state of the feed, which is not yet written.

    All earlier versions of an order are committed before a later one, because each change locks the order's row. So all
    events of an order without a position get one together, by version.
    """
    events = [] if not orders else _in_order(await tx.unnumbered_events(orders, head.began_at))
    if events:
        await tx.add_to_feed(head.last, events)
    return replace(head, last=head.last + len(events))


def _in_order(events: Sequence[OutboxEvent]) -> list[OutboxEvent]:
    """Sort events by their instants; within an order by version and kind, whatever the clocks of nodes said."""
    latest: dict[OrderId, datetime] = {}
    placed = []
    for event in sorted(events, key=lambda one: (one.order_id, one.order_version, place_in_version(one.kind))):
        latest[event.order_id] = at = max(event.recorded_at, latest.get(event.order_id, event.recorded_at))
        placed.append((at, event))
    return [event for _, event in sorted(placed, key=lambda one: (one[0], one[1].order_id))]


async def _position(reading: FeedReading, head: FeedHead, generation: int, position: int) -> int:
    """Return the position of a cursor. Raises `CursorGoneError` if it does not lead on without a gap.

    Of a cursor that this database never gave, nothing is known to be shared: its reader begins at the first event.
    """
    if generation > head.generation or (generation == head.generation and position > head.last):
        go_on = _cursor(head, head.deleted_up_to)
        raise CursorGoneError(
            OTHER_GENERATION,
            "after is a cursor that this database never gave: another one did, or this one before it was restored; "
            f"nothing was read; go on after {go_on}, at the first event that is kept",
            go_on,
        )
    if generation != head.generation:
        shared = [head.last, position, *await reading.generations_after(generation)]
        go_on = _cursor(head, max(min(shared), head.deleted_up_to))
        raise CursorGoneError(
            OTHER_GENERATION,
            "after is a cursor from before the database was restored; nothing was read; events that were read up to it "
            f"may not exist any more; go on after {go_on}",
            go_on,
        )
    if position < head.deleted_up_to:
        raise _deleted(_cursor(head, head.deleted_up_to))
    return position


def _deleted(go_on: str) -> CursorGoneError:
    said = "events after this cursor were deleted, because they were older than what is kept; nothing was read; read"
    return CursorGoneError(EVENTS_DELETED, f"{said} the orders themselves, and go on after {go_on}", go_on)


def _deleted_first(events: Sequence[NumberedEvent]) -> Sequence[NumberedEvent]:
    kept = next((index for index, one in enumerate(events) if one.details is not None), len(events))
    return events[:kept]


def _kept_first(events: Sequence[NumberedEvent]) -> Sequence[NumberedEvent]:
    deleted = next((index for index, one in enumerate(events) if one.details is None), len(events))
    return events[:deleted]


def _cursor(head: FeedHead, position: int) -> str:
    return f"{head.generation}-{position}"


def _cursor_in(text: str) -> tuple[int, int]:
    match = _CURSOR.fullmatch(text)
    if match is None:
        said = f"after must be a position or next of an earlier answer, not {shown(text)}; nothing was read"
        raise FieldsError([("after", f"{said}; leave it out to begin at the first event")])
    return int(match[1]), int(match[2])

"""Hands each event of the outbox to the endpoints that want it, in one transaction that marks the event as handed out.

One node at a time does it, under the lock of the head; whatever commits late is handed out late. Where there is no
endpoint, nothing is read or written, and events stay unmarked. The first endpoint draws a line: events from before it
are never handed out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from countermand.actions.delivering.dialects import Dialects
from countermand.actions.delivering.ports import Delivery, DispatchWriting, EndpointReading, StoredEvent
from countermand.actions.ports import SharedClock, Snapshots, Transactions
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, Endpoint, EndpointEventKind
from countermand.domain.orders.order_events import place_in_version

HANDED_OUT_AT_ONCE: Final = 500
# Two nodes' clocks differ by less than two minutes, and most transactions are over within the third.
OVERLAP: Final = timedelta(minutes=3)


class DispatchStore(Snapshots[EndpointReading], Transactions[DispatchWriting], Protocol):
    """The database, as handing out needs it."""


class Dispatch:
    """Hands out events. `shared_clock` is the clock of all nodes."""

    def __init__(self, store: DispatchStore, dialects: Dialects, shared_clock: SharedClock) -> None:
        self._store = store
        self._dialects = dialects
        self._shared_clock = shared_clock

    async def __call__(self) -> int:
        """Hand out one batch of events, and return their number. It is 0 without any endpoint."""
        now = await self._shared_clock()
        async with self._store.transaction() as tx:
            since = await tx.lock_delivery_head()
            endpoints = await tx.endpoints()
            return await self.hand_out(tx, endpoints, since, now) if endpoints else 0

    async def hand_out(self, tx: DispatchWriting, endpoints: Sequence[Endpoint], since: datetime, now: datetime) -> int:
        """Hand out one batch within a transaction that holds the lock of the head."""
        events = await tx.take_undispatched(since, HANDED_OUT_AT_ONCE, now)
        added = [
            delivery_of(endpoint, event) for event in events for endpoint in endpoints if self.wants(endpoint, event)
        ]
        await tx.add_deliveries(added, now)
        return len(events)

    async def everything(self, *, with_endpoints: bool) -> None:
        """Hand out all that is committed, or mark it as handed to nobody if there is no endpoint."""
        if with_endpoints:
            while await self() >= HANDED_OUT_AT_ONCE:
                pass
            return
        passed_over = HANDED_OUT_AT_ONCE
        while passed_over >= HANDED_OUT_AT_ONCE:
            now = await self._shared_clock()
            async with self._store.transaction() as tx:
                await tx.lock_delivery_head()
                passed_over = await tx.pass_over_undispatched(now - OVERLAP, HANDED_OUT_AT_ONCE, now)

    def wants(self, endpoint: Endpoint, event: StoredEvent) -> bool:
        """Return whether an endpoint hears of an event.

        An endpoint never hears of itself, and a partner's endpoint never of other endpoints. A dialect or kind of a
        newer version counts as wanted, because only nodes of that version send it.
        """
        wanted, kind = endpoint.subscription, event.key.kind
        dialect = self._dialects.by_name.get(wanted.dialect)
        is_known = dialect is not None and kind in _KNOWN_KINDS
        if dialect is not None and is_known and not (kind in dialect.kinds and dialect.says(kind, event.details)):
            return False
        if wanted.kinds is not None and kind not in wanted.kinds:
            return False
        if kind in _ABOUT_ENDPOINTS:
            is_filtered = wanted.contract is not None or wanted.client_id is not None
            return endpoint.owner is None and not is_filtered and event.key.order_id != -endpoint.number
        return wanted.contract in {None, event.contract} and wanted.client_id in {None, event.client_id}


_ABOUT_ENDPOINTS: Final = frozenset(kind.value for kind in EndpointEventKind)
_KNOWN_KINDS: Final = frozenset(SUBSCRIBABLE_KINDS) | _ABOUT_ENDPOINTS


def delivery_of(endpoint: Endpoint, event: StoredEvent) -> Delivery:
    """Return the delivery of an event to an endpoint."""
    place, _ = place_in_version(event.key.kind)
    return Delivery(
        endpoint=endpoint.number, key=event.key, place=place, digest=event.digest, recorded_at=event.recorded_at
    )

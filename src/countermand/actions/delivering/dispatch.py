"""Hands each event of the outbox to the endpoints that want it, in one transaction that marks the event as handed out.

One node at a time does it, under the lock of the head; whatever commits late is handed out late. Where there is no
endpoint, nothing is read or written, and events stay unmarked. The first endpoint draws a line: events from before it
are never handed out.

The same transaction claims the first event of each order for which nothing else waits (`claiming_at_once.py`): such an
event is on its way after one transaction instead of two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from countermand.actions.delivering.claimed import ClaimedEvent
from countermand.actions.delivering.claiming_at_once import ClaimingAtOnce
from countermand.actions.delivering.dialects import Dialects
from countermand.actions.delivering.ports import Delivery, DispatchWriting, EndpointReading, StoredEvent, lane_of
from countermand.actions.delivering.preparing import Preparing
from countermand.actions.ports import SharedClock, Snapshots, Transactions
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, Endpoint, EndpointEventKind, EndpointNumber
from countermand.domain.orders.order_events import place_in_version

HANDED_OUT_AT_ONCE: Final = 500
# Two nodes' clocks differ by less than two minutes, and most transactions are over within the third.
OVERLAP: Final = timedelta(minutes=3)
_NO_PLACES: Final[Mapping[EndpointNumber, int]] = {}


class DispatchStore(Snapshots[EndpointReading], Transactions[DispatchWriting], Protocol):
    """The database, as handing out needs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOut:
    """How many events were handed out, and which of them this node may send now.

    `waiting` counts the deliveries whose order has no event among these, so that anybody may claim them.
    """

    events: int = 0
    claimed: Sequence[ClaimedEvent] = ()
    waiting: int = 0


class Dispatch:
    """Hands out events. `shared_clock` is the clock of all nodes."""

    def __init__(
        self, store: DispatchStore, dialects: Dialects, preparing: Preparing, shared_clock: SharedClock
    ) -> None:
        self._store = store
        self._dialects = dialects
        self._claiming = ClaimingAtOnce(preparing)
        self._shared_clock = shared_clock

    async def __call__(self, places: Mapping[EndpointNumber, int] = _NO_PLACES) -> HandedOut:
        """Hand out one batch of events. Nothing happens without any endpoint.

        `places` says how many events the caller can send to an endpoint now: up to so many are claimed for it.
        """
        now = await self._shared_clock()
        async with self._store.transaction() as tx:
            since = await tx.lock_delivery_head()
            endpoints = await tx.endpoints()
            if not endpoints:
                return HandedOut()
            events = await tx.take_undispatched(since, HANDED_OUT_AT_ONCE, now)
            added = self._deliveries(endpoints, events)
            ready = [(one, places.get(one.number, 0)) for one in endpoints]
            claimed = await self._claiming.add(tx, added, events, ready, now)
        claimed_lanes = {lane_of(one.delivery) for one in claimed}
        waiting = sum(1 for one in added if lane_of(one) not in claimed_lanes)
        return HandedOut(events=len(events), claimed=claimed, waiting=waiting)

    async def hand_out(self, tx: DispatchWriting, endpoints: Sequence[Endpoint], since: datetime, now: datetime) -> int:
        """Hand out one batch within a transaction that holds the lock of the head. Return the number of events."""
        events = await tx.take_undispatched(since, HANDED_OUT_AT_ONCE, now)
        await tx.add_deliveries(self._deliveries(endpoints, events), now)
        return len(events)

    async def everything(self, *, with_endpoints: bool) -> None:
        """Hand out all that is committed, or mark it as handed to nobody if there is no endpoint."""
        if with_endpoints:
            while (await self()).events >= HANDED_OUT_AT_ONCE:
                pass
            return
        passed_over = HANDED_OUT_AT_ONCE
        while passed_over >= HANDED_OUT_AT_ONCE:
            now = await self._shared_clock()
            async with self._store.transaction() as tx:
                await tx.lock_delivery_head()
                passed_over = await tx.pass_over_undispatched(now - OVERLAP, HANDED_OUT_AT_ONCE, now)

    def _deliveries(self, endpoints: Sequence[Endpoint], events: Sequence[StoredEvent]) -> Sequence[Delivery]:
        return [
            delivery_of(endpoint, event) for event in events for endpoint in endpoints if self.wants(endpoint, event)
        ]

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

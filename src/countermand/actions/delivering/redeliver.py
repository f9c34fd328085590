"""Sends events again, under the same ids: one, all that failed between two instants, or all after a position."""

import re
from typing import Final

from countermand.actions.delivering.attempts import CATCH_UP_PER_S
from countermand.actions.delivering.dispatch import Dispatch, delivery_of
from countermand.actions.delivering.endpoints import Redelivery
from countermand.actions.delivering.ports import EndpointWriting, EventKey
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ports import SharedClock, Transactions
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, Endpoint, EndpointId
from countermand.domain.orders.order import UID_PATTERN, OrderId, order_id_from, order_id_of

_AT_ONCE: Final = 500
_EVENT_ID: Final = re.compile(
    r"evt_(?P<subject>.{1,60})_(?P<version>[0-9]{1,9})_(?P<kind>[a-z_]{1,32})_(?P<digest>[0-9a-f]{8})"
)
_KINDS: Final = {kind.replace(".", "_"): kind for kind in SUBSCRIBABLE_KINDS}


class Redeliveries:
    """Lets events wait again for an endpoint."""

    def __init__(
        self,
        store: Transactions[EndpointWriting],
        dispatch: Dispatch,
        feed: EventFeed,
        shared_clock: SharedClock,
    ) -> None:
        self._store = store
        self._dispatch = dispatch
        self._feed = feed
        self._shared_clock = shared_clock

    async def send(self, endpoint: Endpoint, which: Redelivery) -> int:
        """Let the events wait, and return how many. Raises `FieldsError` and `CursorGoneError`."""
        if which.event is not None:
            return await self._again_one(endpoint, which.event)
        if which.after is not None:
            return await self._again_after(endpoint, which.after)
        return await self._again_failed(endpoint, which)

    async def _again_one(self, endpoint: Endpoint, given: str) -> int:
        unknown = FieldsError([("event", f"the endpoint hears of no event {given[:160]!r}; nothing was sent")])
        async with self._store.transaction() as tx:
            key, digest = await self._key_in(tx, given)
            event = None if key is None else (await tx.stored_events([key])).get(key)
            if event is None or event.digest != digest or not self._dispatch.wants(endpoint, event):
                raise unknown
            await tx.wait_again([delivery_of(endpoint, event)])
        return 1

    async def _key_in(self, tx: EndpointWriting, given: str) -> tuple[EventKey | None, str]:
        match = _EVENT_ID.fullmatch(given)
        if match is None or match["kind"] not in _KINDS:
            return None, ""
        order_id = order_id_in(match["subject"])
        if match["subject"].startswith("ep_"):
            about = await tx.endpoint(EndpointId(match["subject"]))
            order_id = None if about is None else OrderId(-about.number)
        if order_id is None:
            return None, ""
        key = EventKey(order_id=order_id, order_version=int(match["version"]), kind=_KINDS[match["kind"]])
        return key, match["digest"]

    async def _again_after(self, endpoint: Endpoint, after: str) -> int:
        count = 0
        while await self._feed.number():  # so that the end of the feed is the end of what is committed
            pass
        while True:
            page = await self._feed.read(after, _AT_ONCE)
            keys = [
                EventKey(order_id=one.order_id, order_version=one.order_version, kind=one.kind)
                for _, one in page.events
            ]
            async with self._store.transaction() as tx:
                found = await tx.stored_events(keys)
                again = [one for one in found.values() if self._dispatch.wants(endpoint, one)]
                await tx.wait_again([delivery_of(endpoint, one) for one in again])
            count += len(again)
            if page.is_last:
                return count
            after = page.following

    async def _again_failed(self, endpoint: Endpoint, which: Redelivery) -> int:
        now = await self._shared_clock()
        since, until = which.failed_since or now, which.failed_until or now
        count, after = 0, 0
        while True:
            async with self._store.transaction() as tx:
                await tx.lock_endpoint(endpoint.number)
                failed = await tx.failed_between(endpoint.number, since, until, after, _AT_ONCE)
                if not failed:
                    await tx.spread_lanes(endpoint.number, now, CATCH_UP_PER_S)
                    return count
                count += await tx.undelivered_again(endpoint.number, list(dict.fromkeys(key for _, key in failed)))
                after = failed[-1][0]


def order_id_in(name: str) -> OrderId | None:
    """Return the number of the order that an id in the operator's API names, or None if it names none."""
    _, _, rest = name.rpartition("-")
    return order_id_from(rest) or (order_id_of(rest) if re.fullmatch(UID_PATTERN, rest) else None)

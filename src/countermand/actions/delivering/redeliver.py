"""Sends events again, under the same ids: one, all that failed between two instants, or all after a position."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from countermand.actions.delivering.attempts import CATCH_UP_PER_S
from countermand.actions.delivering.dispatch import Dispatch, delivery_of
from countermand.actions.delivering.endpoints import Redelivery
from countermand.actions.delivering.ports import EndpointWriting, EventKey, StoredEvent
from countermand.actions.delivering.preparing import subject_of
from countermand.actions.errors import CursorGoneError, FieldsError, NotFoundError
from countermand.actions.ordering.event_feed import EventFeed, FeedPage
from countermand.actions.ports import SharedClock, Transactions
from countermand.actions.shown_values import shown
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, Endpoint, EndpointId
from countermand.domain.orders.event_ids import event_id
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
        now = await self._shared_clock()
        async with self._store.transaction() as tx:
            key = await self._key_in(tx, given)
            event = None if key is None else (await tx.stored_events([key])).get(key)
            if event is None or _id_of(endpoint, event) != given or not self._dispatch.wants(endpoint, event):
                raise unknown
            await _let_wait(tx, endpoint, [event], now)
        return 1

    async def _key_in(self, tx: EndpointWriting, given: str) -> EventKey | None:
        match = _EVENT_ID.fullmatch(given)
        if match is None or match["kind"] not in _KINDS:
            return None
        order_id = order_id_in(match["subject"])
        if match["subject"].startswith("ep_"):
            about = await tx.endpoint(EndpointId(match["subject"]))
            order_id = None if about is None else OrderId(-about.number)
        if order_id is None:
            return None
        return EventKey(order_id=order_id, order_version=int(match["version"]), kind=_KINDS[match["kind"]])

    async def _again_after(self, endpoint: Endpoint, after: str) -> int:
        """Let all events after a position wait. Later gaps are passed over, so that an error means that none waits."""
        now = await self._shared_clock()
        while await self._feed.number():  # so that the end of the feed is the end of what is committed
            pass
        page, count = await self._first_page(after), 0
        while page.events:
            keys = [
                EventKey(order_id=one.order_id, order_version=one.order_version, kind=one.kind)
                for _, one in page.events
            ]
            async with self._store.transaction() as tx:
                found = await tx.stored_events(keys)
                again = [one for one in found.values() if self._dispatch.wants(endpoint, one)]
                await _let_wait(tx, endpoint, again, now + _caught_up_after(count))
            count += len(again)
            if page.is_last:
                break
            page = await self._page_after(page.following)
        return count

    async def _first_page(self, after: str) -> FeedPage:
        try:
            return await self._feed.read(after, _AT_ONCE)
        except FieldsError:
            said = f"after must be a position of the feed, not {shown(after)}; nothing was sent"
            raise FieldsError([("after", said)]) from None
        except CursorGoneError as error:
            said = str(error).replace("nothing was read", "nothing was sent")
            raise CursorGoneError(error.code, said, error.go_on) from None

    async def _page_after(self, after: str) -> FeedPage:
        while True:
            try:
                return await self._feed.read(after, _AT_ONCE)
            except CursorGoneError as error:
                after = error.go_on

    async def _again_failed(self, endpoint: Endpoint, which: Redelivery) -> int:
        now = await self._shared_clock()
        since, until = which.failed_since or now, which.failed_until or now
        count, after = 0, 0
        while True:
            async with self._store.transaction() as tx:
                await _locked(tx, endpoint)
                failed = await tx.failed_between(endpoint.number, since, until, after, _AT_ONCE)
                if not failed:
                    return count
                keys = list(dict.fromkeys(key for _, key in failed))
                again = await tx.undelivered_again(endpoint.number, keys)
                if again:
                    at, orders = now + _caught_up_after(count), sorted({key.order_id for key in keys})
                    await tx.spread_lanes(endpoint.number, at, CATCH_UP_PER_S, orders)
                count += again
                after = failed[-1][0]


async def _let_wait(tx: EndpointWriting, endpoint: Endpoint, events: Sequence[StoredEvent], at: datetime) -> None:
    """Let events wait, and be due from an instant on, also those whose next attempt would be later."""
    if not events:
        return
    await _locked(tx, endpoint)
    await tx.wait_again([delivery_of(endpoint, one) for one in events])
    await tx.spread_lanes(endpoint.number, at, CATCH_UP_PER_S, sorted({one.key.order_id for one in events}))


async def _locked(tx: EndpointWriting, endpoint: Endpoint) -> None:
    """Lock the head, and an endpoint.

    Raises `NotFoundError` if it was removed meanwhile: nobody would delete what waits for it.
    """
    await tx.lock_delivery_head()
    if await tx.lock_endpoint(endpoint.number) is None:
        raise NotFoundError(f"there is no endpoint {endpoint.id} any more")


def _caught_up_after(count: int) -> timedelta:
    return timedelta(seconds=count / CATCH_UP_PER_S)


def _id_of(endpoint: Endpoint, event: StoredEvent) -> str:
    return event_id(subject_of(endpoint, event), event.key.order_version, event.key.kind, event.digest)


def order_id_in(name: str) -> OrderId | None:
    """Return the number of the order that an id in the operator's API names, or None if it names none."""
    _, _, rest = name.rpartition("-")
    return order_id_from(rest) or (order_id_of(rest) if re.fullmatch(UID_PATTERN, rest) else None)

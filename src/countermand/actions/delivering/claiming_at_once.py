"""Adds deliveries, and claims in the same transaction what can be sent at once: the first event of an order.

An event goes this way if nothing else of its order waits for the endpoint, and if the endpoint is well. All others wait
in their lanes until `attempts.py` claims them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from countermand.actions.delivering.claimed import Claim, ClaimedEvent, new_claim
from countermand.actions.delivering.ports import Delivery, DispatchWriting, StoredEvent, lane_of
from countermand.actions.delivering.preparing import Preparing
from countermand.actions.errors import CountermandError, UnavailableError, UnforeseenDatabaseError
from countermand.actions.ordering.views import OrderView
from countermand.actions.slices import Slices
from countermand.domain.delivering.endpoint import Endpoint, EndpointState
from countermand.domain.orders.order import OrderId

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """An event that may be sent at once, with all deliveries of its order to the endpoint, in their order."""

    endpoint: Endpoint
    head: Delivery
    queue: Sequence[Delivery]


class ClaimingAtOnce:
    """Adds deliveries, and claims some of them."""

    def __init__(self, preparing: Preparing) -> None:
        self._preparing = preparing

    async def add(
        self,
        tx: DispatchWriting,
        added: Sequence[Delivery],
        events: Sequence[StoredEvent],
        ready: Sequence[tuple[Endpoint, int]],
        now: datetime,
    ) -> Sequence[ClaimedEvent]:
        """Add all deliveries, and claim up to so many for each endpoint in `ready`. The head must be locked."""
        candidates: list[_Candidate] = []
        for endpoint, places in ready:
            if places and _is_well(endpoint, now):
                candidates += await self._candidates(tx, endpoint, places, added)
        claim = new_claim(now)
        prepared = await self._prepared(tx, candidates, events, claim)
        leased = await tx.add_deliveries(added, now, [one.delivery for one in prepared], claim.until, claim.lease)
        return [one for one in prepared if lane_of(one.delivery) in leased]

    async def _candidates(
        self, tx: DispatchWriting, endpoint: Endpoint, places: int, added: Sequence[Delivery]
    ) -> Sequence[_Candidate]:
        new: dict[OrderId, list[Delivery]] = defaultdict(list)
        for one in sorted((one for one in added if one.endpoint == endpoint.number), key=_place):
            new[one.key.order_id].append(one)
        oldest = sorted(new, key=lambda order_id: new[order_id][0].recorded_at)[:places]
        before: dict[OrderId, list[Delivery]] = defaultdict(list)
        for one in await tx.deliveries_of(endpoint.number, oldest) if oldest else ():
            before[one.key.order_id].append(one)
        return [
            _Candidate(endpoint=endpoint, head=new[order_id][0], queue=[*before[order_id], *new[order_id]])
            for order_id in oldest
            if self._preparing.knows(endpoint, new[order_id][0].key.kind)
            and _is_next(new[order_id][0], before[order_id])
        ]

    async def _prepared(
        self, tx: DispatchWriting, candidates: Sequence[_Candidate], events: Sequence[StoredEvent], claim: Claim
    ) -> Sequence[ClaimedEvent]:
        """Render the events. One that cannot be rendered waits in its lane; whoever claims it later says why."""
        by_key = {one.key: one for one in events}
        orders = sorted({one.head.key.order_id for one in candidates if one.head.key.order_id > 0})
        views: Mapping[OrderId, OrderView] = {}
        try:
            views = await tx.views(orders) if orders else {}
        except (CountermandError, UnforeseenDatabaseError):
            raise
        except Exception:  # of one order; whoever claims it later says of which, and no hand-out may stop at it
            log.exception("no event is sent at once for now")
            return []
        prepared: list[ClaimedEvent] = []
        slices = Slices()
        for one in candidates:
            await slices.pause()
            event, view = by_key[one.head.key], views.get(one.head.key.order_id)
            try:
                prepared.append(self._preparing.attempt(one.endpoint, one.queue, one.head, event, view, claim))
            except UnavailableError:  # a newer version wrote the order, and a node of that version sends it
                continue
            except Exception:  # of one order, and the others must not wait for it
                log.exception(
                    "an event cannot be rendered for now", endpoint=one.endpoint.id, order=one.head.key.order_id
                )
        return prepared


def _place(one: Delivery) -> tuple[int, int, str]:
    return one.key.order_version, one.place, one.key.kind


def _is_next(head: Delivery, before: Iterable[Delivery]) -> bool:
    """Return whether an event comes after everything that the endpoint has of the order, and nothing of that waits."""
    return all(not one.is_pending and _place(one) < _place(head) for one in before)


def _is_well(endpoint: Endpoint, now: datetime) -> bool:
    health = endpoint.health
    may_begin = health.not_before is None or health.not_before <= now
    return endpoint.state is EndpointState.ACTIVE and endpoint.is_permitted and not health.is_probed and may_begin

"""Claims events that may be sent now, and writes what became of the attempts.

A lane has the events of one order for one endpoint, and one of them at a time is claimed: so first arrivals are in the
order's own order, and an order that is stuck holds up no other. A claim is a lease on the database's clock that is
longer than an attempt. The lease of a node that died ends, and any node goes on.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from countermand.actions.delivering.claimed import (
    LEASE,
    Claim,
    ClaimedEvent,
    EndedAttempt,
    log_cut_off,
    log_row,
    new_claim,
)
from countermand.actions.delivering.ports import (
    AttemptWriting,
    ClaimedLane,
    Delivery,
    EndpointChange,
    LaneEnd,
    LoggedAttempt,
)
from countermand.actions.delivering.preparing import Preparing
from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.views import OrderView
from countermand.actions.ports import SharedClock, Snapshots, Transactions
from countermand.domain.delivering.endpoint import Endpoint, EndpointEventKind, EndpointState, Health
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, Schedule, after_failure, after_success
from countermand.domain.orders.order import OrderId

log = structlog.get_logger()

# Between the claim and the beginning of an attempt; later than that, the lease might end before the attempt.
CLAIM_HOLDS: Final = timedelta(seconds=4)
_SUCCESS_NOTED_EVERY: Final = timedelta(seconds=2)  # longer than until a node reads the endpoint again
_SETTLED_LATE: Final = timedelta(hours=1)
CATCH_UP_PER_S: Final = 500.0
_NOT_RENDERED: Final = timedelta(minutes=1)


class AttemptStore(Snapshots[AttemptWriting], Transactions[AttemptWriting], Protocol):
    """The database, as attempts need it."""


class Attempts:
    """Claims events and writes results."""

    def __init__(
        self,
        store: AttemptStore,
        preparing: Preparing,
        shared_clock: SharedClock,
        *,
        schedule: Schedule = USUAL_SCHEDULE,
    ) -> None:
        self._store = store
        self._preparing = preparing
        self._shared_clock = shared_clock
        self._schedule = schedule

    async def claim(self, endpoint: Endpoint, at_most: int) -> Sequence[ClaimedEvent]:
        """Claim up to `at_most` events of as many orders. Each is written as attempted before it is returned.

        Nothing is claimed for an endpoint whose owner may not subscribe any more.
        """
        if not endpoint.is_permitted:
            return []
        claim = new_claim(await self._shared_clock())
        async with self._store.transaction() as tx:
            lanes = await tx.claim_lanes(endpoint.number, claim.at, claim.until, claim.lease, at_most)
            if lanes:
                return await self._events(tx, endpoint, lanes, claim)
            lanes = await self._probe(tx, endpoint, claim)
            claimed = await self._events(tx, endpoint, lanes, claim) if lanes else []
            return [replace(one, is_probe=True) for one in claimed]

    async def record(self, ended: Sequence[EndedAttempt]) -> timedelta | None:
        """Write what became of attempts, in one transaction. Return when the first of them is made again, if any is."""
        now = await self._shared_clock()
        by_endpoint: dict[int, list[EndedAttempt]] = defaultdict(list)
        for one in ended:
            by_endpoint[one.claimed.delivery.endpoint].append(one)
        async with self._store.transaction() as tx:
            logged: list[LoggedAttempt] = []
            again: list[datetime] = []
            for _, of_endpoint in sorted(by_endpoint.items()):
                logged += await self._record(tx, of_endpoint, again, now)
            if logged:
                await tx.log_attempts(logged)
        return min(again) - now if again else None

    async def give_back(self, claimed: Sequence[ClaimedEvent]) -> None:
        """Undo a claim of events that were not sent: the attempt does not count, and any node may send them."""
        now = await self._shared_clock()
        unsent = [one for one in claimed if now - one.claimed_at < LEASE]
        if not unsent:
            return
        async with self._store.transaction() as tx:
            await tx.note_attempts([_not_attempted(one.delivery) for one in unsent])
            await tx.end_lanes([_free_again(one, now) for one in unsent])

    async def _probe(self, tx: AttemptWriting, endpoint: Endpoint, claim: Claim) -> Sequence[ClaimedLane]:
        if not endpoint.health.is_probed or not await tx.claim_probe(endpoint.number, claim.at, claim.until):
            return []
        newest = self._schedule.probes_newest(endpoint.health)
        return await tx.claim_for_probe(endpoint.number, claim.at, claim.until, claim.lease, newest=newest)

    async def _events(
        self, tx: AttemptWriting, endpoint: Endpoint, lanes: Sequence[ClaimedLane], claim: Claim
    ) -> Sequence[ClaimedEvent]:
        now, lease = claim.at, claim.lease
        queues: dict[OrderId, list[Delivery]] = defaultdict(list)
        for one in await tx.deliveries_of(endpoint.number, [lane.order_id for lane in lanes]):
            queues[one.key.order_id].append(one)
        heads = {order_id: next((one for one in queue if one.is_pending), None) for order_id, queue in queues.items()}
        tried = [one for one in heads.values() if one is not None]
        events = await tx.stored_events([one.key for one in tried])
        views = await self._views_of(tx, tried)
        claimed, free, gone = [], [], []
        for lane in lanes:
            head = heads.get(lane.order_id)
            event = None if head is None else events.get(head.key)
            if head is None or event is None:  # nothing waits, or the event was deleted although it was not delivered
                free.append(_free(endpoint, lane, lease, now, is_done=True))
                gone += [] if head is None else [head]
                continue
            if not self._preparing.knows(endpoint, head.key.kind):
                free.append(_free(endpoint, lane, lease, now + _NOT_RENDERED, is_done=False))
                continue
            try:
                queue, view = queues[lane.order_id], views.get(lane.order_id)
                claimed.append(self._preparing.attempt(endpoint, queue, head, event, view, claim))
            except UnavailableError as error:  # a newer version wrote the order, and a node of that version sends it
                log.warning("an event is left to other nodes", endpoint=endpoint.id, reason=str(error))
                free.append(_free(endpoint, lane, lease, now + _NOT_RENDERED, is_done=False))
            except Exception:  # of one order, and the endpoint's other orders must not wait for it
                log.exception("an event cannot be rendered for now", endpoint=endpoint.id, order=lane.order_id)
                free.append(_free(endpoint, lane, lease, now + _NOT_RENDERED, is_done=False))
        if gone:
            await tx.end_deliveries(gone, "given_up", now)
        if free:
            await tx.end_lanes(free)
        if claimed:
            await tx.note_attempts([one.delivery for one in claimed])
        await log_cut_off(tx, [one for one in claimed if one.delivery.key.order_id in _cut_off(lanes)], now)
        return claimed

    async def _views_of(self, tx: AttemptWriting, tried: Sequence[Delivery]) -> Mapping[OrderId, OrderView]:
        wanted = [one.key.order_id for one in tried if one.body is None and one.key.order_id > 0]
        return await tx.views(wanted) if wanted else {}

    async def _record(
        self, tx: AttemptWriting, ended: Sequence[EndedAttempt], again: list[datetime], now: datetime
    ) -> Sequence[LoggedAttempt]:
        """Write what became of the attempts at one endpoint, and return the rows of the log.

        `again` gets the instants of the next attempts.
        """
        number = ended[0].claimed.delivery.endpoint
        known = ended[0].claimed.sending.endpoint.health
        noted_at = known.last_success_at
        is_quiet = all(one.result.error is None for one in ended) and not known.failures
        if is_quiet and noted_at is not None and now - noted_at < _SUCCESS_NOTED_EVERY:
            health = known
        else:
            endpoint = await tx.lock_endpoint(number)
            if endpoint is None:  # it was removed meanwhile
                return []
            health = await self._note_health(tx, endpoint, ended, now)
        outcomes = {id(one): self._outcome(one, health) for one in ended}
        for state in ("delivered", "given_up"):
            done = [one.claimed.delivery for one in ended if outcomes[id(one)] == state]
            if done:
                await tx.end_deliveries(done, state, now)
                late = [one.key for one in done if now - one.recorded_at > _SETTLED_LATE]
                if late:
                    await tx.renew_settled(late, now)
        ends = [self._lane_end(one, outcomes[id(one)], now) for one in ended]
        await tx.end_lanes(ends)
        again += [one.next_at for one in ends if not one.is_done]
        if health.not_before is not None:
            again.append(health.not_before)
        return [log_row(one, outcomes[id(one)]) for one in ended]

    def _outcome(self, one: EndedAttempt, health: Health) -> str:
        if one.result.error is None:
            return "delivered"
        delivery = one.claimed.delivery
        assert delivery.first_attempt_at is not None
        is_over = self._schedule.is_given_up(delivery.attempts, delivery.first_attempt_at, health.last_success_at)
        return "given_up" if is_over or one.result.aborts else "failed"

    def _lane_end(self, one: EndedAttempt, outcome: str, now: datetime) -> LaneEnd:
        delivery = one.claimed.delivery
        is_done = outcome != "failed"
        chance = random.random()  # noqa: S311 - no secret
        pause = self._schedule.pause_after(delivery.attempts, chance, one.result.retry_after_s)
        return LaneEnd(
            endpoint=delivery.endpoint,
            order_id=delivery.key.order_id,
            lease=one.claimed.lease,
            is_done=is_done,
            next_at=now if is_done else now + pause,
            head_at=(one.claimed.following_at or now) if is_done else delivery.recorded_at,
        )

    async def _note_health(
        self, tx: AttemptWriting, endpoint: Endpoint, ended: Sequence[EndedAttempt], now: datetime
    ) -> Health:
        """Write how the attempts went. An endpoint that is well again gets all that waits, oldest first."""
        health = before = endpoint.health
        for one in ended:
            if one.result.error is None:
                health = after_success(health, now)
            else:
                health = after_failure(
                    health,
                    one.claimed.delivery.key.order_id,
                    now,
                    self._schedule,
                    random.random(),  # noqa: S311 - no secret
                    one.result.retry_after_s,
                    is_probe=one.claimed.is_probe,
                )
        is_disabled = any(one.result.disables for one in ended)
        if before.is_probed and not health.failures:
            await tx.spread_lanes(endpoint.number, now, CATCH_UP_PER_S)
        if self._schedule.is_failing(health, now) and health.failing_since is None:
            health = replace(health, failing_since=now)
            since = {"since": health.first_failure_at}
            await append_endpoint_event(tx, endpoint, EndpointEventKind.FAILING, since, now)
        await tx.write_health(endpoint.number, health)
        if endpoint.state is EndpointState.ACTIVE and (is_disabled or self._schedule.is_paused(health, now)):
            why = "the receiver disabled it" if is_disabled else "no success for days"
            paused = replace(endpoint, state=EndpointState.PAUSED, paused_at=now, paused_because=why)
            await tx.write_state(paused)
            told = {"reason": why, "since": health.first_failure_at}
            await append_endpoint_event(tx, endpoint, EndpointEventKind.PAUSED, told, now)
        return health


async def append_endpoint_event(
    tx: EndpointChange, endpoint: Endpoint, kind: EndpointEventKind, more: Mapping[str, object], now: datetime
) -> None:
    """Tell an event about an endpoint. `more` has what this kind says beside the endpoint and its URL."""
    details = {"endpoint": endpoint.id, "url": endpoint.url, **more}
    await tx.append_endpoint_event(endpoint.number, kind.value, details, now)


def _free(endpoint: Endpoint, lane: ClaimedLane, lease: str, next_at: datetime, *, is_done: bool) -> LaneEnd:
    return LaneEnd(
        endpoint=endpoint.number,
        order_id=lane.order_id,
        lease=lease,
        is_done=is_done,
        next_at=next_at,
        head_at=next_at,
    )


def _free_again(one: ClaimedEvent, now: datetime) -> LaneEnd:
    return LaneEnd(
        endpoint=one.delivery.endpoint,
        order_id=one.delivery.key.order_id,
        lease=one.lease,
        is_done=False,
        next_at=now,
        head_at=one.delivery.recorded_at,
    )


def _not_attempted(delivery: Delivery) -> Delivery:
    """Return a delivery as it was before the claim. What nobody was sent yet is made again by the next claim."""
    if delivery.attempts > 1:
        return replace(delivery, attempts=delivery.attempts - 1)
    return replace(delivery, attempts=0, first_attempt_at=None, body=None, content_type="", headers=())


def _cut_off(lanes: Sequence[ClaimedLane]) -> frozenset[OrderId]:
    return frozenset(lane.order_id for lane in lanes if lane.was_cut_off)

"""Endpoints without HTTP: what is sent to them is kept, and the test says how each attempt ends."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from countermand.actions.delivering.attempts import Attempts
from countermand.actions.delivering.claimed import ClaimedEvent, EndedAttempt
from countermand.actions.delivering.dialects import Dialect, Dialects, EventToSend, RenderedEvent, ShownOrder
from countermand.actions.delivering.dispatch import HANDED_OUT_AT_ONCE, Dispatch
from countermand.actions.delivering.manage_endpoints import EndpointParts, Endpoints
from countermand.actions.delivering.preparing import Preparing
from countermand.actions.delivering.sending import AttemptError, AttemptResult, Sending
from countermand.actions.delivering.subscriptions import Subscriptions
from countermand.actions.ordering.event_feed import EventFeed
from countermand.bootstrap.clock import shared_by_all
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import (
    PROBED_FROM,
    SUBSCRIBABLE_KINDS,
    Endpoint,
    EndpointId,
    Subscription,
)
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, Schedule
from countermand.storage.tables.delivering import delivery_lanes, endpoints
from support.world import World

SUCCESS = AttemptResult(error=None, duration_ms=1, status=200)
FAILURE = AttemptResult(error=AttemptError.STATUS, duration_ms=1, status=500)

_CLAIMED_AT_ONCE = 1000

Answer = Callable[[Sending], AttemptResult]


def rendered(event: EventToSend, _: Subscription) -> RenderedEvent:
    body = {"id": event.id, "order": event.order, "details": dict(event.details)}
    body |= {"shown": None if event.shown is None else event.shown.version}
    return RenderedEvent(
        body=json.dumps(body).encode(), content_type="application/json", headers=[("x-kind", event.kind)]
    )


def says_all(_: str, __: Mapping[str, object]) -> bool:
    return True


PLAIN = Dialect(
    name="standard",
    about="All.",
    kinds=frozenset((*SUBSCRIBABLE_KINDS, "endpoint.test")),
    says=says_all,
    render=rendered,
)
OF_CONNECT = Dialect(
    name="connect",
    about="Cancelled telecom orders.",
    kinds=frozenset({"order.cancelled"}),
    says=says_all,
    render=rendered,
    contract=ContractName("connect"),
)
DIALECTS = Dialects([PLAIN, OF_CONNECT])


class Secrets:
    def new_secret(self) -> tuple[str, bytes]:
        return "whsec_shown", b"encrypted"

    def new_signing_key(self) -> tuple[str, bytes]:
        return "whpk_shown", b"encrypted"

    def public_key(self, signing_key: bytes) -> str:
        assert signing_key == b"encrypted"
        return "whpk_shown"


@dataclass
class Deliveries:
    """The delivery of a world, step by step."""

    world: World
    answer: Answer = lambda _: SUCCESS
    schedule: Schedule = USUAL_SCHEDULE
    sent: list[Sending] = field(default_factory=list)

    def __post_init__(self) -> None:
        store, clock = self.world.database.store, shared_by_all(self.world.clock)
        preparing = Preparing(
            DIALECTS,
            lambda view: ShownOrder(version=view.order.version, whole={}, link={}),
            source="http://shop.test",
        )
        self.dispatch = Dispatch(store, DIALECTS, preparing, clock)
        self.attempts = Attempts(store, preparing, clock, schedule=self.schedule)
        self.endpoints = Endpoints(
            EndpointParts(
                store=store,
                dispatch=self.dispatch,
                preparing=preparing,
                subscriptions=Subscriptions(
                    dialects=DIALECTS, contracts=["connect", "shopping"], clients=self.world.database.clients
                ),
                feed=EventFeed(store, clock),
                send=self.send,
                check_url=self.check_url,
                secrets=Secrets(),
                shared_clock=clock,
                changed=self.changed,
            )
        )

    async def check_url(self, _: str) -> None:
        """Every address is as good as another here."""

    async def changed(self) -> None:
        """No relay runs."""

    async def send(self, sending: Sending) -> AttemptResult:
        self.sent.append(sending)
        return self.answer(sending)

    async def endpoint(self, **wanted: object) -> Endpoint:
        made = await self.endpoints.add("https://example.com/hook", Subscription(**wanted), None)  # type: ignore[arg-type]
        return made.endpoint

    async def current(self, endpoint: Endpoint) -> Endpoint:
        found, _ = await self.endpoints.one(endpoint.id, None)
        return found

    async def hand_out(self) -> None:
        while (await self.dispatch()).events >= HANDED_OUT_AT_ONCE:
            pass

    async def once(self, endpoint: Endpoint, at_most: int = 100) -> Sequence[Sending]:
        """Hand out, and send what is due now to an endpoint, as a relay does. Returns what was sent."""
        claimed, is_more = list[ClaimedEvent](), True
        while is_more:
            handed_out = await self.dispatch({endpoint.number: at_most - len(claimed)})
            claimed += handed_out.claimed
            is_more = handed_out.events >= HANDED_OUT_AT_ONCE
        claimed += await self.attempts.claim(await self.current(endpoint), at_most - len(claimed))
        ended = [EndedAttempt(claimed=one, result=await self.send(one.sending)) for one in claimed]
        if ended:
            await self.attempts.record(ended)
        return [one.sending for one in claimed]

    async def until_done(self, endpoint: Endpoint, at_most: int = 100) -> Sequence[Sending]:
        """Send until nothing is due now."""
        sent: list[Sending] = []
        while some := await self.once(endpoint, at_most):
            sent += some
        return sent

    async def wait_until_due(self) -> None:
        """Set the clock to when the next attempt may begin."""
        async with self.world.database.store.snapshot() as reading:
            lanes = await reading.rows(delivery_lanes.select())
            known = await reading.rows(endpoints.select())
        probed = [row["not_before"] for row in known if row["not_before"] and row["failing_orders"] >= PROBED_FROM]
        at = min(probed or [row["next_at"] for row in lanes])
        epoch = self.world.clock.now - timedelta(microseconds=int(self.world.clock.now.timestamp() * 1_000_000))
        self.world.clock.now = max(self.world.clock.now, epoch + timedelta(microseconds=at))


def shown(sent: Sequence[Sending]) -> list[tuple[int, str]]:
    """Version and kind of each event that was sent."""
    return [(one.order_version, dict(one.headers)["x-kind"]) for one in sent]


async def send_due(world: World, endpoint_id: str) -> Sequence[Sending]:
    """Hand out events, and send what is due now to an endpoint, as the relay of the world's service does.

    Returns what was sent. The answers are those of the world's receivers.
    """
    administration = world.service.endpoints
    assert isinstance(administration, Endpoints)
    parts = administration._parts
    attempts = Attempts(world.database.store, parts.preparing, parts.shared_clock)
    await parts.dispatch.everything(with_endpoints=True)
    sent: list[Sending] = []
    while True:
        endpoint, _ = await administration.one(EndpointId(endpoint_id), None)
        claimed = await attempts.claim(endpoint, _CLAIMED_AT_ONCE)
        if not claimed:
            return sent
        sent += [one.sending for one in claimed]
        await attempts.record(
            [EndedAttempt(claimed=one, result=await world.outside.send(one.sending)) for one in claimed]
        )

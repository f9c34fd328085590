"""The relay of a node: hands out events, sends them to their endpoints, and writes what became of them.

Every node has one, and the nodes share the work by leases in the database. The relay is woken when this process has
committed an event; a poll finds what other processes wrote, and what is due by the schedule. While many
cancellations are under way, the relay gives way: it pauses after each batch, in proportion to the time that it took.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog

from countermand.actions.delivering.attempts import CLAIM_HOLDS, Attempts
from countermand.actions.delivering.claimed import ClaimedEvent, EndedAttempt
from countermand.actions.delivering.dispatch import HANDED_OUT_AT_ONCE, Dispatch, HandedOut
from countermand.actions.delivering.ports import AttemptWriting
from countermand.actions.delivering.sending import AttemptError, AttemptResult, Send, Sending
from countermand.actions.errors import CountermandError, UnfitDataError, UnforeseenDatabaseError
from countermand.actions.ports import SharedClock, Snapshots
from countermand.domain.delivering.endpoint import Endpoint, EndpointNumber

log = structlog.get_logger()

POLL_S: Final = 1.0
_AT_ONCE: Final = 64  # attempts at one endpoint at a time
# A fast endpoint's events are claimed ahead, up to what it takes in so many seconds: few large claims cost less than
# many small ones.
_AHEAD_S: Final = 0.25
_MOST_CLAIMED: Final = 256
# With more cancellations under way at a time than this, the relay pauses, and with all of so many it pauses so many
# times as long as it worked. Two hundred cancellations a second are one or two at a time.
_GIVES_WAY_FROM: Final = 5.0
_GIVES_WAY_WHOLLY: Final = 16.0
_GIVES_WAY_TIMES: Final = 5.0
_FEW_ENDPOINTS: Final = 2  # so many are claimed without asking whether they are due
_LONGEST_PAUSE_S: Final = 1.0
_ENDS_WITHIN_S: Final = 0.2
_PACE_S: Final = 0.5
_LOOK_EVERYWHERE_S: Final = 0.05
_RECORDED_AT_ONCE: Final = 500
_RECORD_AFTER_S: Final = 0.005
_FAILED_AGAIN_S: Final = 1.0
_LAST_RESULTS_S: Final = 5.0
_DATABASE_ERRORS: Final = (CountermandError, UnforeseenDatabaseError)


class DeliveryMetrics(Protocol):
    """Counts what the relay does."""

    def attempt_ended(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Count an attempt: `delivered` or `failed`."""
        ...


class _NullMetrics:
    def attempt_ended(self, endpoint: str, outcome: str, seconds: float) -> None:
        """See `DeliveryMetrics.attempt_ended`. Counts nothing."""


NULL_DELIVERY_METRICS: Final[DeliveryMetrics] = _NullMetrics()


@dataclass(frozen=True, kw_only=True)
class RelayParts:
    """What the relay works with. `cancelling` returns how many cancellations are under way, on average."""

    dispatch: Dispatch
    attempts: Attempts
    endpoints: Snapshots[AttemptWriting]
    send: Send
    shared_clock: SharedClock
    metrics: DeliveryMetrics
    cancelling: Callable[[], float]
    at_once: int = _AT_ONCE


class Relay:
    """Sends events until the service stops. `wake` is called after a commit that wrote events."""

    def __init__(self, parts: RelayParts) -> None:
        self._parts = parts
        self._endpoints: dict[EndpointNumber, Endpoint] = {}
        self._to_dispatch, self._due, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._in_flight: Counter[EndpointNumber] = Counter()  # claimed and not ended
        self._sending_to: dict[EndpointNumber, asyncio.Semaphore] = {}
        self._pace: dict[EndpointNumber, Pace] = {}
        self._has_more: set[EndpointNumber] = set()  # whose last claim brought as many events as it might
        self._just_got: set[EndpointNumber] = set()  # to whom events were handed that wait
        self._looked_at_s = 0.0
        self._turn = asyncio.Lock()
        self._unsent: list[ClaimedEvent] = []
        self._attempts: set[asyncio.Task[None]] = set()
        self._to_record: list[EndedAttempt] = []
        self._all_recorded = asyncio.Event()
        self._all_recorded.set()

    def wake(self) -> None:
        """Say that there may be new events."""
        if self._endpoints:
            self._to_dispatch.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Hand out, send and record until the service stops. Attempts under way are ended and recorded first."""
        loops = self._reading(stopping), self._dispatching(stopping), self._sending(stopping), self._stopped(stopping)
        recording = asyncio.create_task(self._recording(), name="results of attempts")
        try:
            await asyncio.gather(*loops)
            if self._attempts:
                await asyncio.wait(self._attempts)
            with suppress(TimeoutError):  # what is not written by then is sent again
                await asyncio.wait_for(self._all_recorded.wait(), _LAST_RESULTS_S)
        finally:
            recording.cancel()
            with suppress(asyncio.CancelledError):
                await recording

    async def _stopped(self, stopping: asyncio.Event) -> None:
        """Let the loops look at the stop at once."""
        await stopping.wait()
        self._to_dispatch.set()
        self._due.set()

    async def _reading(self, stopping: asyncio.Event) -> None:
        """Read the endpoints again and again: others add, pause, rotate and remove them."""
        while not stopping.is_set():
            async with _survived("endpoints are not read for now", stopping):
                await self.read_endpoints()
            self._due.set()
            self.wake()
            await _passed(POLL_S, stopping)

    async def read_endpoints(self) -> None:
        """Read the endpoints now."""
        async with self._parts.endpoints.snapshot() as reading:
            self._endpoints = {one.number: one for one in await reading.endpoints()}

    async def _dispatching(self, stopping: asyncio.Event) -> None:
        while await _woken(self._to_dispatch, stopping):
            handed_out = HandedOut()
            async with _survived("events are not handed to endpoints for now", stopping), self._in_turn(stopping):
                if self._endpoints:
                    until = _claim_holds_until()
                    handed_out = await self._parts.dispatch(self._places())
                    self._begin(handed_out.claimed, until)
            if handed_out.waiting:
                if len(self._endpoints) <= _FEW_ENDPOINTS:
                    self._just_got |= self._endpoints.keys()
                self._due.set()
            if handed_out.events >= HANDED_OUT_AT_ONCE:
                self._to_dispatch.set()

    def _places(self) -> Mapping[EndpointNumber, int]:
        """Return how many events can be sent to each endpoint at once. Those that wait in a backlog go first."""
        return {
            number: max(0, self._claimed_at_once(number) - self._in_flight[number])
            for number in self._endpoints
            if number not in self._has_more
        }

    async def _sending(self, stopping: asyncio.Event) -> None:
        while await _woken(self._due, stopping):
            async with _survived("events are not sent for now", stopping), self._in_turn(stopping):
                await self._claim_all(stopping)
                await self._give_back()
                if self._attempts and self._gives_way():
                    await asyncio.wait(self._attempts, timeout=_ENDS_WITHIN_S)

    def _gives_way(self) -> float:
        """Return how many times as long as it worked the relay pauses."""
        beyond = (self._parts.cancelling() - _GIVES_WAY_FROM) / (_GIVES_WAY_WHOLLY - _GIVES_WAY_FROM)
        return min(max(0.0, beyond), 1.0) * _GIVES_WAY_TIMES

    @asynccontextmanager
    async def _in_turn(self, stopping: asyncio.Event) -> AsyncIterator[None]:
        """Run a piece of work. While the relay gives way, one piece runs at a time, and a pause follows it."""
        if not self._gives_way():
            yield
            return
        async with self._turn:
            began_s = time.monotonic()
            yield
            await _passed(min(self._gives_way() * (time.monotonic() - began_s), _LONGEST_PAUSE_S), stopping)

    async def _claim_all(self, stopping: asyncio.Event) -> None:
        if not self._endpoints:
            return
        due = self._has_more | self._just_got
        if not due or time.monotonic() - self._looked_at_s >= _LOOK_EVERYWHERE_S:
            now = await self._parts.shared_clock()
            async with self._parts.endpoints.snapshot() as reading:
                due |= set(await reading.due_endpoints(now))
            self._looked_at_s = time.monotonic()
        for number in sorted(due):
            endpoint = self._endpoints.get(number)
            if endpoint is None:
                self._has_more.discard(number)
                self._just_got.discard(number)
                continue
            limit = self._claimed_at_once(number)
            free = limit - self._in_flight[number]
            # The next attempt to end asks again.
            if not stopping.is_set() and (free >= limit // 2 or (free > 0 and not self._in_flight[number])):
                try:
                    await self._claim(endpoint, free)
                except _DATABASE_ERRORS as error:  # of one endpoint: the others go on
                    log.warning("events are not sent to an endpoint for now", endpoint=endpoint.id, reason=str(error))
                except Exception:
                    log.exception("events are not sent to an endpoint for now", endpoint=endpoint.id)

    def _claimed_at_once(self, number: EndpointNumber) -> int:
        pace = self._pace.setdefault(number, Pace())
        return max(self._parts.at_once, min(_MOST_CLAIMED, round(pace.a_second() * _AHEAD_S)))

    async def _claim(self, endpoint: Endpoint, free: int) -> None:
        until = _claim_holds_until()
        self._has_more.discard(endpoint.number)
        self._just_got.discard(endpoint.number)
        claimed = await self._parts.attempts.claim(endpoint, free)
        if len(claimed) == free:
            self._has_more.add(endpoint.number)
        self._begin(claimed, until)

    async def _give_back(self) -> None:
        """Let other nodes, or this one later, send what was claimed and not sent in time."""
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            await self._parts.attempts.give_back(unsent)

    def _begin(self, claimed: Sequence[ClaimedEvent], until: float) -> None:
        for one in claimed:
            self._in_flight[one.delivery.endpoint] += 1
            task = asyncio.create_task(self._attempt(one, until), name="attempt")
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)

    async def _attempt(self, claimed: ClaimedEvent, until: float) -> None:
        """Make an attempt, if the lease is still long enough then. Otherwise give the event back."""
        number = claimed.delivery.endpoint
        try:
            async with self._sending_to.setdefault(number, asyncio.Semaphore(self._parts.at_once)):
                if asyncio.get_running_loop().time() > until:
                    self._unsent.append(claimed)
                    return
                result = await self._sent(claimed.sending)
            self._pace.setdefault(number, Pace()).count()
            outcome = "delivered" if result.error is None else "failed"
            self._parts.metrics.attempt_ended(claimed.sending.endpoint.id, outcome, result.duration_ms / 1000)
            self._to_record.append(EndedAttempt(claimed=claimed, result=result))
            self._all_recorded.clear()
            self._ended.set()
        finally:
            self._in_flight[number] -= 1

    async def _sent(self, sending: Sending) -> AttemptResult:
        """Send an event. A bug of this service is a failed attempt of this event, and holds up no other."""
        try:
            return await self._parts.send(sending)
        except Exception:
            log.exception("an event could not be sent", endpoint=sending.endpoint.id, event_id=sending.event_id)
            return AttemptResult(error=AttemptError.FAULT, duration_ms=0)

    async def _recording(self) -> None:
        """Write results in batches, also when the database was away: a result that is lost is sent again."""
        while True:
            await self._ended.wait()
            await asyncio.sleep(_RECORD_AFTER_S)
            self._ended.clear()
            batch = self._to_record[:_RECORDED_AT_ONCE]
            if not batch:
                continue
            try:
                again = await self._recorded(batch)
            except _DATABASE_ERRORS as error:
                log.warning("results of attempts are not written for now", reason=str(error))
                await asyncio.sleep(_FAILED_AGAIN_S)
                self._ended.set()
                continue
            if again is not None:
                asyncio.get_running_loop().call_later(again.total_seconds(), self._due.set)
            del self._to_record[: len(batch)]
            self._due.set()
            (self._ended if self._to_record else self._all_recorded).set()

    async def _recorded(self, batch: Sequence[EndedAttempt]) -> timedelta | None:
        """Write a batch. If a result cannot be written, write one after the other, and drop those that cannot.

        The database may refuse a value, or this service may have a bug. An event whose result was dropped is sent again
        when its lease ends.
        """
        try:
            return await self._parts.attempts.record(batch)
        except Exception as error:
            if isinstance(error, _DATABASE_ERRORS) and not isinstance(error, UnfitDataError):
                raise
            if len(batch) == 1:
                event_id = batch[0].claimed.sending.event_id
                log.exception("the result of an attempt cannot be written", event_id=event_id, reason=str(error))
                return None
        again = [await self._recorded([one]) for one in batch]
        return min((one for one in again if one is not None), default=None)


class Pace:
    """Measures how many attempts at an endpoint end in a second, lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s = clock()
        self._a_second = 0.0

    def count(self) -> None:
        """Count an attempt that ended."""
        self._fade()
        self._a_second += 1 / _PACE_S

    def a_second(self) -> float:
        """Return the attempts a second."""
        self._fade()
        return self._a_second

    def _fade(self) -> None:
        now_s = self._clock()
        self._a_second *= math.exp((self._at_s - now_s) / _PACE_S)
        self._at_s = now_s


def _claim_holds_until() -> float:
    """Return until when, on the loop's clock, an attempt may begin under a claim that is made now."""
    return asyncio.get_running_loop().time() + CLAIM_HOLDS.total_seconds()


async def _woken(event: asyncio.Event, stopping: asyncio.Event) -> bool:
    """Wait for an event, which the stop sets, too. Return whether to go on."""
    await event.wait()
    event.clear()
    return not stopping.is_set()


@asynccontextmanager
async def _survived(what: str, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Log an error of the database, or a bug, and let the loop go on: the other loops need it, and would not end."""
    try:
        yield
    except _DATABASE_ERRORS as error:
        log.warning(what, reason=str(error))
    except Exception:
        log.exception(what)
    else:
        return
    await _passed(_FAILED_AGAIN_S, stopping)


async def _passed(seconds: float, stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)

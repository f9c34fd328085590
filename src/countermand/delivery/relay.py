"""The relay of a node: hands out events, sends them to their endpoints, and writes what became of them.

Every node has one, and the nodes share the work by leases in the database. The relay is woken when this process has
committed an event; a poll finds what other processes wrote, and what is due by the schedule. While many cancellations
wait, the relay gives way: it pauses between its batches, and sends little at a time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog

from countermand.actions.delivering.attempts import CLAIM_HOLDS, Attempts, ClaimedEvent, EndedAttempt
from countermand.actions.delivering.dispatch import HANDED_OUT_AT_ONCE, Dispatch
from countermand.actions.delivering.ports import AttemptWriting
from countermand.actions.delivering.sending import AttemptError, AttemptResult, Send, Sending
from countermand.actions.errors import CountermandError, UnfitDataError, UnforeseenDatabaseError
from countermand.actions.ports import SharedClock, Snapshots
from countermand.domain.delivering.endpoint import Endpoint, EndpointNumber

log = structlog.get_logger()

POLL_S: Final = 1.0
_AT_ONCE: Final = 64  # attempts at one endpoint at a time
_AT_ONCE_GIVING_WAY: Final = 8
_GIVES_WAY_S: Final = 0.1
_RECORDED_AT_ONCE: Final = 200
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
    """What the relay works with. `gives_way` returns whether cancellations wait."""

    dispatch: Dispatch
    attempts: Attempts
    endpoints: Snapshots[AttemptWriting]
    send: Send
    shared_clock: SharedClock
    metrics: DeliveryMetrics
    gives_way: Callable[[], bool]
    at_once: int = _AT_ONCE


class Relay:
    """Sends events until the service stops. `wake` is called after a commit that wrote events."""

    def __init__(self, parts: RelayParts) -> None:
        self._parts = parts
        self._endpoints: dict[EndpointNumber, Endpoint] = {}
        self._to_dispatch, self._due, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._in_flight: Counter[EndpointNumber] = Counter()
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
            with suppress(*_DATABASE_ERRORS):
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
            try:
                handed_out = await self._parts.dispatch() if self._endpoints else 0
            except _DATABASE_ERRORS as error:
                log.warning("events are not handed to endpoints for now", reason=str(error))
                await _passed(_FAILED_AGAIN_S, stopping)
                continue
            if handed_out:
                self._due.set()
            if handed_out >= HANDED_OUT_AT_ONCE:
                self._to_dispatch.set()
            if self._parts.gives_way():
                await _passed(_GIVES_WAY_S, stopping)

    async def _sending(self, stopping: asyncio.Event) -> None:
        while await _woken(self._due, stopping):
            try:
                await self._claim_all(stopping)
            except _DATABASE_ERRORS as error:
                log.warning("events are not sent for now", reason=str(error))
                await _passed(_FAILED_AGAIN_S, stopping)

    async def _claim_all(self, stopping: asyncio.Event) -> None:
        if not self._endpoints:
            return
        now = await self._parts.shared_clock()
        async with self._parts.endpoints.snapshot() as reading:
            due = await reading.due_endpoints(now)
        for number in due:
            endpoint = self._endpoints.get(number)
            if endpoint is None or stopping.is_set():
                continue
            limit = _AT_ONCE_GIVING_WAY if self._parts.gives_way() else self._parts.at_once
            free = limit - self._in_flight[number]
            # Few large claims cost less than many small ones; the next attempt to end asks again.
            if free >= max(1, limit // 2) or (free > 0 and not self._in_flight[number]):
                until = asyncio.get_running_loop().time() + CLAIM_HOLDS.total_seconds()  # a claim may take long
                try:
                    self._begin(await self._parts.attempts.claim(endpoint, free), until)
                except _DATABASE_ERRORS as error:  # of one endpoint: the others go on
                    log.warning("events are not sent to an endpoint for now", endpoint=endpoint.id, reason=str(error))

    def _begin(self, claimed: Sequence[ClaimedEvent], until: float) -> None:
        for one in claimed:
            self._in_flight[one.delivery.endpoint] += 1
            task = asyncio.create_task(self._attempt(one, until), name="attempt")
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)

    async def _attempt(self, claimed: ClaimedEvent, until: float) -> None:
        """Make an attempt, if the lease is still long enough. Otherwise its end lets any node go on."""
        number = claimed.delivery.endpoint
        try:
            if asyncio.get_running_loop().time() > until:
                return
            result = await self._sent(claimed.sending)
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
        """Write a batch. If the database refuses a value, write one result after the other, and drop the refused ones.

        An event whose result was dropped is sent again when its lease ends.
        """
        try:
            return await self._parts.attempts.record(batch)
        except UnfitDataError as error:
            if len(batch) == 1:
                event_id = batch[0].claimed.sending.event_id
                log.exception("the result of an attempt cannot be written", event_id=event_id, reason=str(error))
                return None
        again = [await self._recorded([one]) for one in batch]
        return min((one for one in again if one is not None), default=None)


async def _woken(event: asyncio.Event, stopping: asyncio.Event) -> bool:
    """Wait for an event, which the stop sets, too. Return whether to go on."""
    await event.wait()
    event.clear()
    return not stopping.is_set()


async def _passed(seconds: float, stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)

"""Runs many commands in one transaction, without a timer that delays any of them.

A batch is the commands that queued up while the last batch was written, so a single caller waits for no other. Each
process has one flight at a time: a second flight makes smaller batches that meet on the same rows (measured). But a
flight that takes long, because another transaction holds one of its orders or because its outcome is being settled, is
overtaken.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import structlog

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.actions.metrics import NULL_METRICS, MetricsHook

Command = TypeVar("Command")
Outcome = TypeVar("Outcome")

log = structlog.get_logger()

_IDLE_TURNS: Final = 3


class GoAgain:
    """Stands for an outcome if an order changed in between: the command must run again, on a fresh view."""


GO_AGAIN: Final = GoAgain()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Command, Outcome]):
    command: Command
    answer: "asyncio.Future[Outcome]"
    since_s: float  # by the event loop's clock
    rounds: int = 0


@dataclass(eq=False)
class GroupCommit(Generic[Command, Outcome]):
    """Runs commands in batches. `run` returns, for each command of a batch, an outcome, an exception, or GO_AGAIN.

    `batch_cap` and `queue_cap` count commands. A command that waits for a flight longer than `queue_limit_s` is
    answered 503, because nothing of it was begun. `rounds_cap` is how often a command may run before it is answered
    503: three is enough, because a round is lost only if another request changes the very same order. `flights` batches
    are written at once, and besides them up to `overtaken_cap` flights that take longer than `slow_s` seconds.
    """

    run: Callable[[Sequence[Command]], Awaitable[Sequence[Outcome | Exception | GoAgain]]]
    batch_cap: int = 512
    queue_cap: int = 10_000
    queue_limit_s: float = 5.0
    rounds_cap: int = 3
    flights: int = 1
    slow_s: float = 0.25
    overtaken_cap: int = 0
    metrics: MetricsHook = NULL_METRICS
    _queue: deque[_Waiting[Command, Outcome]] = field(default_factory=deque)
    _flying: "set[asyncio.Task[None]]" = field(default_factory=set)
    _overtaken: "set[asyncio.Task[None]]" = field(default_factory=set)
    _slow: "set[asyncio.Task[None]]" = field(default_factory=set)  # flights to be overtaken once there is room
    _last_batch: int = 0  # commands
    _closing: bool = False
    _expiry: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many commands wait for a flight."""
        return len(self._queue)

    async def submit(self, command: Command) -> Outcome:
        """Wait for the command's outcome. Raises what `run` gave for it, or `UnavailableError` beyond the queue's cap.

        A caller that goes away does not undo its command: in flight, the command is carried out like any other.
        """
        if self._closing:
            raise UnavailableError("this node is stopping; the order was not cancelled; send the request again")
        if len(self._queue) >= self.queue_cap:
            self.metrics.turned_away()
            said = f"{self.queue_cap} cancellations are waiting already"
            raise UnavailableError(f"{said}; the order was not cancelled; send the request again")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Command, Outcome] = _Waiting(command, loop.create_future(), loop.time())
        self._queue.append(waiting)
        if self._expiry is None:
            self._expiry = loop.call_later(self.queue_limit_s, self._expire)
        if len(self._flying) < self.flights:
            self._take_off()
        return await waiting.answer

    async def close(self) -> None:
        """Take no more commands, and finish those that were taken."""
        self._closing = True
        while under_way := self._flying | self._overtaken:
            await asyncio.wait(under_way)
        if self._expiry is not None:
            self._expiry.cancel()

    def _take_off(self) -> None:
        flight = asyncio.create_task(self._fly(), name="group commit")
        self._flying.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flying.discard(flight)
        self._overtaken.discard(flight)
        if self._slow:
            self._overtake(self._slow.pop())
        if self._queue and len(self._flying) < self.flights:  # commands came while the last flight was ending
            self._take_off()

    async def _fly(self) -> None:
        flight = asyncio.current_task()
        assert flight is not None
        while self._queue and flight not in self._overtaken:
            await self._let_them_come()
            batch = self._take()
            if batch:
                self._last_batch = len(batch)
                slow = asyncio.get_running_loop().call_later(self.slow_s, self._overtake, flight)
                try:
                    with self.metrics.batch([waiting.command for waiting in batch]):
                        await self._run(batch)
                finally:
                    slow.cancel()
                    self._slow.discard(flight)
            await asyncio.sleep(0)  # let the answers be sent before anything else is written

    def _overtake(self, flight: "asyncio.Task[None]") -> None:
        """Let other flights start while this flight takes its time; this flight takes no further batch."""
        if len(self._overtaken) >= self.overtaken_cap:
            self._slow.add(flight)
            return
        self._flying.discard(flight)
        self._overtaken.add(flight)
        if self._queue:
            self._take_off()

    def _expire(self) -> None:
        """Answer commands that waited too long, and set the timer for the next. One timer serves all commands."""
        loop = asyncio.get_running_loop()
        latest_s = loop.time() - self.queue_limit_s
        while self._queue and self._queue[0].since_s <= latest_s:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                self.metrics.turned_away()
                waiting.answer.set_exception(
                    UnavailableError(
                        "the database is too slow; the cancellation was not started; send the request again"
                    )
                )
        self._expiry = None
        if self._queue:
            self._expiry = loop.call_at(self._queue[0].since_s + self.queue_limit_s, self._expire)

    async def _let_them_come(self) -> None:
        """Let more commands come while the queue has fewer than the last batch had and the event loop brings more.

        Otherwise the first one or two callers that come back after a batch form a batch of their own, and all other
        callers wait for its flush to the disk: half of all batches were like that (measured). Three turns without a
        command end the wait, because a request takes two turns from the socket to here. Waiting for more than the last
        batch had would leave a separate database idle although that many commands are there (a tenth fewer a second,
        measured).
        """
        seen, idle = len(self._queue), 0
        while idle < _IDLE_TURNS and len(self._queue) < min(self._last_batch, self.batch_cap):
            await asyncio.sleep(0)
            idle = idle + 1 if len(self._queue) == seen else 0
            seen = len(self._queue)

    def _take(self) -> list[_Waiting[Command, Outcome]]:
        batch: list[_Waiting[Command, Outcome]] = []
        while self._queue and len(batch) < self.batch_cap:
            waiting = self._queue.popleft()
            if not waiting.answer.done():  # if it is done, the caller went away before its command was taken
                batch.append(waiting)
        return batch

    async def _run(self, batch: list[_Waiting[Command, Outcome]]) -> None:
        try:
            outcomes = await self.run([waiting.command for waiting in batch])
        except Exception as error:
            with suppress(Exception):  # a log that cannot be written must not stop the batch, either
                log.exception("a batch failed", commands=len(batch))
            outcomes = [OutcomeUnknownError(f"a batch failed: {type(error).__name__}")] * len(batch)
        again = []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, GoAgain):
                waiting.rounds += 1
                if waiting.rounds < self.rounds_cap:
                    again.append(waiting)
                    continue
                outcome = _kept_changing()  # noqa: PLW2901
            if waiting.answer.done():
                continue
            if isinstance(outcome, Exception):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)
        self._queue.extendleft(reversed(again))  # they came first, so they stay first


def _kept_changing() -> UnavailableError:
    return UnavailableError(
        "the order changed each time before it could be cancelled; it was not cancelled; send the request again"
    )

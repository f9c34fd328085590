"""Runs many commands in one transaction, without a timer that delays any of them.

A batch is the commands that queued up while the last batch was written, so a single caller waits for no other. Each
process has one flight at a time: a second flight makes smaller batches that meet on the same rows (measured). But a
flight that takes long, because another transaction holds one of its orders or because its outcome is being settled, is
overtaken.

If all callers were in one batch, the database would wait while they are answered, and they would wait while the
database works. So many callers form two groups: the database writes for one while the other is answered. What was
decided for a group is committed before the next group takes off, so nothing is decided twice at the same time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import structlog

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.actions.metrics import NULL_METRICS, MetricsHook

Command = TypeVar("Command")
Outcome = TypeVar("Outcome")
_Given_contra = TypeVar("_Given_contra", contravariant=True)

log = structlog.get_logger()

_IDLE_TURNS: Final = 3
_TURNS_TO_TAKE_OFF: Final = (
    2  # of the event loop: in the first, the flight runs its statement, which is sent at its end
)
_ANSWERS_AT_ONCE: Final = 64  # then the event loop reads and writes: an answer takes some 25 µs


class GoAgain:
    """Stands for an outcome if an order changed in between: the command must run again, on a fresh view."""


GO_AGAIN: Final = GoAgain()


class Waiter(Protocol[_Given_contra]):
    """Waits for an outcome. A future is one; the others are told without a task, and raise nothing."""

    def done(self) -> bool:
        """Return whether nothing is waited for any more."""
        ...

    def set_result(self, outcome: _Given_contra, /) -> None:
        """Take the outcome."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Take the error that there is instead of an outcome."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Command, Outcome]):
    command: Command
    answer: Waiter[Outcome]
    since_s: float  # by the event loop's clock
    rounds: int = 0


@dataclass(eq=False)
class GroupCommit(Generic[Command, Outcome]):
    """Runs commands in batches. `run` returns, for each command of a batch, an outcome, an exception, or GO_AGAIN.

    `batch_cap` and `queue_cap` count commands. A command that waits for a flight longer than `queue_limit_s` is
    answered 503, because nothing of it was begun. `rounds_cap` is how often a command may run before it is answered
    503: three is enough, because a round is lost only if another request changes the very same order. `flights` batches
    are written at once, and besides them up to `overtaken_cap` flights that take longer than `slow_s` seconds.
    `groups_from` is from how many callers on these form two groups, which needs `flights` to be 1; None means never.
    """

    run: Callable[[Sequence[Command]], Awaitable[Sequence[Outcome | Exception | GoAgain]]]
    batch_cap: int = 512
    queue_cap: int = 10_000
    queue_limit_s: float = 5.0
    rounds_cap: int = 3
    flights: int = 1
    slow_s: float = 0.25
    overtaken_cap: int = 0
    groups_from: int | None = None
    metrics: MetricsHook = NULL_METRICS
    _queue: deque[_Waiting[Command, Outcome]] = field(default_factory=deque)
    _flying: "set[asyncio.Task[None]]" = field(default_factory=set)
    _overtaken: "set[asyncio.Task[None]]" = field(default_factory=set)
    _answering: "set[asyncio.Task[None]]" = field(default_factory=set)  # flights that have landed, beside the next one
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
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.enqueue(command, answer)
        return await answer

    def enqueue(self, command: Command, answer: Waiter[Outcome]) -> None:
        """Do as `submit`, but tell the outcome to `answer`, later, instead of returning it.

        Raises `UnavailableError`, as `submit` does.
        """
        if self._closing:
            raise UnavailableError("this node is stopping; the order was not cancelled; send the request again")
        if len(self._queue) >= self.queue_cap:
            self.metrics.turned_away()
            said = f"{self.queue_cap} cancellations are waiting already"
            raise UnavailableError(f"{said}; the order was not cancelled; send the request again")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Command, Outcome] = _Waiting(command, answer, loop.time())
        self._queue.append(waiting)
        if self._expiry is None:
            self._expiry = loop.call_later(self.queue_limit_s, self._expire)
        if len(self._flying) < self.flights:
            self._take_off()

    async def close(self) -> None:
        """Take no more commands, and finish those that were taken."""
        self._closing = True
        while under_way := self._flying | self._overtaken | self._answering:
            await asyncio.wait(under_way)
        if self._expiry is not None:
            self._expiry.cancel()

    def _take_off(self, *, at_once: bool = False) -> None:
        flight = asyncio.create_task(self._fly(at_once=at_once), name="group commit")
        self._flying.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flying.discard(flight)
        self._overtaken.discard(flight)
        self._answering.discard(flight)
        if self._slow:
            self._overtake(self._slow.pop())
        if self._queue and len(self._flying) < self.flights:  # commands came while the last flight was ending
            self._take_off()

    async def _fly(self, *, at_once: bool) -> None:
        flight = asyncio.current_task()
        assert flight is not None
        while self._queue and flight in self._flying:
            room = self._room()
            if not at_once:
                await self._let_them_come(room if self._has_two_groups() else self._last_batch)
            batch, at_once = self._take(room), False
            if batch:
                self._last_batch = len(batch)
                slow = asyncio.get_running_loop().call_later(self.slow_s, self._overtake, flight)
                try:
                    with self.metrics.batch([waiting.command for waiting in batch]):
                        outcomes = await self._run(batch)
                finally:
                    slow.cancel()
                    self._slow.discard(flight)
                if flight in self._flying and self._has_two_groups() and 2 * len(self._queue) >= len(batch):
                    await self._let_the_next_take_off(flight)
                await self._answer(outcomes)
            await asyncio.sleep(0)  # let the answers be sent before anything else is written

    def _has_two_groups(self) -> bool:
        return self.groups_from is not None and self.flights == 1 and self._callers() >= self.groups_from

    def _callers(self) -> int:
        """Return about how many callers there are: those that wait, and those of the last batch, who come back."""
        return self._last_batch + len(self._queue)

    def _room(self) -> int:
        """Return how many commands the next batch may have."""
        return min((self._callers() + 1) // 2, self.batch_cap) if self._has_two_groups() else self.batch_cap

    async def _let_the_next_take_off(self, flight: "asyncio.Task[None]") -> None:
        """Send the statement of the other group before this group, which has landed, is answered."""
        self._flying.discard(flight)
        self._answering.add(flight)
        self._take_off(at_once=True)
        for _ in range(_TURNS_TO_TAKE_OFF):
            await asyncio.sleep(0)

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
                late = "the database is too slow; the cancellation was not started; send the request again"
                _tell(waiting.answer, UnavailableError(late))
        self._expiry = None
        if self._queue:
            self._expiry = loop.call_at(self._queue[0].since_s + self.queue_limit_s, self._expire)

    async def _let_them_come(self, wanted: int) -> None:
        """Let more commands come while the queue has fewer than `wanted` and the event loop brings more.

        Otherwise the first one or two callers that come back after a batch form a batch of their own, and all other
        callers wait for its flush to the disk: half of all batches were like that (measured). Three turns without a
        command end the wait, because a request takes two turns from the socket to here. Waiting for more than the last
        batch had would leave a separate database idle although that many commands are there (a tenth fewer a second,
        measured).
        """
        seen, idle = len(self._queue), 0
        while idle < _IDLE_TURNS and len(self._queue) < min(wanted, self.batch_cap):
            await asyncio.sleep(0)
            idle = idle + 1 if len(self._queue) == seen else 0
            seen = len(self._queue)

    def _take(self, room: int) -> list[_Waiting[Command, Outcome]]:
        batch: list[_Waiting[Command, Outcome]] = []
        while self._queue and len(batch) < room:
            waiting = self._queue.popleft()
            if not waiting.answer.done():  # if it is done, the caller went away before its command was taken
                batch.append(waiting)
        return batch

    async def _run(
        self, batch: list[_Waiting[Command, Outcome]]
    ) -> list[tuple[_Waiting[Command, Outcome], Outcome | Exception]]:
        """Return what each caller is to be answered. Commands that go again are back in the queue then."""
        try:
            outcomes = await self.run([waiting.command for waiting in batch])
        except Exception as error:
            with suppress(Exception):  # a log that cannot be written must not stop the batch, either
                log.exception("a batch failed", commands=len(batch))
            outcomes = [OutcomeUnknownError(f"a batch failed: {type(error).__name__}")] * len(batch)
        again, answers = [], []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, GoAgain):
                answers.append((waiting, outcome))
                continue
            waiting.rounds += 1
            if waiting.rounds < self.rounds_cap:
                again.append(waiting)
            else:
                answers.append((waiting, _kept_changing()))
        self._queue.extendleft(reversed(again))  # they came first, so they stay first
        return answers

    async def _answer(self, answers: Sequence[tuple[_Waiting[Command, Outcome], Outcome | Exception]]) -> None:
        for number, (waiting, outcome) in enumerate(answers, start=1):
            if not waiting.answer.done():
                _tell(waiting.answer, outcome)
            if number % _ANSWERS_AT_ONCE == 0:
                await asyncio.sleep(0)


def _tell(answer: Waiter[Outcome], outcome: Outcome | Exception) -> None:
    try:
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
    except Exception:  # a bug of one waiter, or a log that cannot be written, must leave nobody without an answer
        with suppress(Exception):
            log.exception("an outcome could not be told")
        with suppress(Exception):
            if not answer.done():
                answer.set_exception(OutcomeUnknownError("the outcome could not be told"))


def _kept_changing() -> UnavailableError:
    return UnavailableError(
        "the order changed each time before it could be cancelled; it was not cancelled; send the request again"
    )

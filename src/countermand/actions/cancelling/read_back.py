"""Cancels orders and, for callers that show the order, reads the order back afterwards.

On PostgreSQL, the statement that cancels a ticket order nearly always returns the order, and then nothing is read back.
Orders are read back in batches of their own, beside the next batch of cancellations, so callers that show nothing do
not wait for them. An order that is read back is cancelled already: if the read fails, the outcome stays, without a
view.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelledWithHistory, CancelOutcome
from countermand.actions.cancelling.group_commit import GroupCommit, Waiter
from countermand.actions.cancelling.load import CancellingLoad
from countermand.actions.cancelling.ports import CancellationStore, CancelOrder
from countermand.actions.errors import CountermandError, NotFoundError, UnavailableError
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.read_orders import read_history
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown
from countermand.actions.ports import Snapshots
from countermand.domain.orders.order import OrderId

log = structlog.get_logger()

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """Reads batches of cancelled orders. While the database is not available, it waits, up to `limit_s` seconds."""

    store: CancellationStore
    limit_s: float = 10.0

    async def __call__(self, order_ids: Sequence[OrderId]) -> Sequence[OrderView | TicketOrderRows | Exception]:
        """Return a view, or an exception, for each order."""
        try:
            views = await self._read(list(set(order_ids)))
        except CountermandError as error:
            return [error] * len(order_ids)
        gone = NotFoundError("there is no such order")
        return [views.get(order_id, gone) for order_id in order_ids]

    async def _read(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView | TicketOrderRows]:
        return await _read_when_available(lambda: self.store.views(order_ids), self.limit_s)


@dataclass(frozen=True, kw_only=True)
class ReadBackWithHistory:
    """Reads one cancelled order with its history, for an operator. Waits for the database as `ReadBack` does."""

    store: Snapshots[OrderReading]
    limit_s: float = 10.0

    async def __call__(self, order_id: OrderId) -> CancelledWithHistory:
        """Return the outcome with the order's view and history. Raises the errors of `actions/errors.py`."""
        view, history = await _read_when_available(lambda: read_history(self.store, order_id), self.limit_s)
        return CancelledWithHistory(order_id=order_id, shown=view, history=history)


@dataclass(frozen=True, kw_only=True)
class CancelAndShow:
    """Puts commands and orders into batches. Each method waits for the outcome, and raises as `GroupCommit.submit`.

    `load` measures how long the batches of commands take.
    """

    commit: GroupCommit[CancelOrder, CancelOutcome]
    read_back: GroupCommit[OrderId, OrderView | TicketOrderRows]
    read_back_with_history: Callable[[OrderId], Awaitable[CancelledWithHistory]]
    load: CancellingLoad = field(default_factory=CancellingLoad)

    @property
    def waiting(self) -> int:
        """The number of cancellations that wait for their batch."""
        return self.commit.waiting

    def at_a_time(self) -> float:
        """Return how many cancellations wait now, or were under way lately, on average."""
        return self.commit.waiting + self.load.average()

    def submit(self, command: CancelOrder) -> Awaitable[CancelOutcome]:
        """Cancel, and return the outcome without a view."""
        return self.commit.submit(command)

    def enqueue(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        """Do as `submit`, but tell the outcome to `answer` instead of returning it. Raises as `GroupCommit.enqueue`."""
        self.commit.enqueue(command, answer)

    async def submit_and_show(self, command: CancelOrder) -> CancelOutcome:
        """Cancel, and return the outcome with the order `shown` after the commit, if the order can be read."""
        answer: asyncio.Future[CancelOutcome] = asyncio.get_running_loop().create_future()
        self.enqueue_and_show(command, answer)
        return await answer

    def enqueue_and_show(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        """Do as `submit_and_show`, but tell the outcome to `answer`. Raises as `GroupCommit.enqueue`."""
        self.commit.enqueue(command, _ReadsBack(self.read_back, answer))

    async def submit_and_show_history(self, command: CancelOrder) -> CancelOutcome:
        """Cancel, and return `CancelledWithHistory`, if the order can be read."""
        outcome = await self.commit.submit(command)
        if not isinstance(outcome, Cancelled):
            return outcome
        try:
            return await self.read_back_with_history(outcome.order_id)
        except CountermandError as error:
            return _unseen(outcome, error)

    async def close(self) -> None:
        """Accept no more commands, and finish those that were accepted."""
        await self.commit.close()
        await self.read_back.close()


@dataclass(slots=True)
class _ReadsBack:
    """Waits for the outcome of a cancellation. It has a cancelled order read, unless the outcome shows it already."""

    read_back: GroupCommit[OrderId, OrderView | TicketOrderRows]
    answer: Waiter[CancelOutcome]

    def done(self) -> bool:
        return self.answer.done()

    def set_exception(self, error: Exception, /) -> None:
        self.answer.set_exception(error)

    def set_result(self, outcome: CancelOutcome, /) -> None:
        if not isinstance(outcome, Cancelled) or outcome.shown is not None:
            self.answer.set_result(outcome)
            return
        try:
            self.read_back.enqueue(outcome.order_id, _Shows(outcome, self.answer))
        except CountermandError as error:
            self.answer.set_result(_unseen(outcome, error))


@dataclass(slots=True)
class _Shows:
    """Waits for an order that is cancelled already, so an order that cannot be read is no error."""

    outcome: Cancelled
    answer: Waiter[CancelOutcome]

    def done(self) -> bool:
        return self.answer.done()

    def set_exception(self, error: Exception, /) -> None:
        if isinstance(error, CountermandError):
            self.answer.set_result(_unseen(self.outcome, error))
        else:
            self.answer.set_exception(error)

    def set_result(self, order: OrderView | TicketOrderRows, /) -> None:
        if isinstance(order, TicketOrderRows) or is_shown(order):
            self.answer.set_result(Cancelled(order_id=self.outcome.order_id, shown=order))
        else:
            self.answer.set_result(self.outcome)


def _unseen(outcome: Cancelled, error: CountermandError) -> Cancelled:
    with suppress(Exception):  # a log that cannot be written must not take the outcome from its caller
        log.warning("a cancelled order could not be read back", order_id=str(outcome.order_id), reason=str(error))
    return outcome


async def _read_when_available(read: Callable[[], Awaitable[Found]], limit_s: float) -> Found:
    """Read; while the database is not available, wait and read again. After `limit_s`, raise `UnavailableError`."""
    with suppress(UnavailableError):
        return await read()  # nearly always enough; the loop below costs more than a small batch
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_delay(limit_s),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    ):
        with attempt:
            return await read()
    raise AssertionError("unreachable: the loop returns or raises")

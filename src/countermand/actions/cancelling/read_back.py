"""Cancel, and show the order as it stands afterwards to those who want to see it.

Orders are read back in batches of their own, beside the next batch of cancellations: whoever only wants a yes does not
wait for what others want to see. An order that is read back is cancelled by then: where the reading fails, the outcome
stands, and what it should show is left out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelledWithHistory, CancelOutcome
from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.cancelling.ports import CancellationStore, CancelOrder
from countermand.actions.errors import CountermandError, NotFoundError, UnavailableError
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.read_orders import read_history
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown
from countermand.actions.ports import Snapshots
from countermand.domain.orders.order import OrderId

log = structlog.get_logger()

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """Runs batches of orders to be read. They are cancelled: a database that is away is waited for, up to `limit_s`."""

    store: CancellationStore
    limit_s: float = 10.0

    async def __call__(self, order_ids: Sequence[OrderId]) -> Sequence[OrderView | Exception]:
        """One view, or exception, for each."""
        try:
            views = await self._read(list(set(order_ids)))
        except CountermandError as error:
            return [error] * len(order_ids)
        gone = NotFoundError("there is no such order")
        return [views.get(order_id, gone) for order_id in order_ids]

    async def _read(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        return await _read_when_available(lambda: self.store.views(order_ids), self.limit_s)


@dataclass(frozen=True, kw_only=True)
class ReadBackWithHistory:
    """Reads one cancelled order with its history, for an operator. Waits for the database as `ReadBack` does."""

    store: Snapshots[OrderReading]
    limit_s: float = 10.0

    async def __call__(self, order_id: OrderId) -> CancelledWithHistory:
        """The outcome with its view and its history. Raises our errors."""
        view, history = await _read_when_available(lambda: read_history(self.store, order_id), self.limit_s)
        return CancelledWithHistory(order_id=order_id, view=view, history=history)


@dataclass(frozen=True, kw_only=True)
class CancelAndShow:
    """The ways into both kinds of batches. Each waits for the outcome, and raises as `GroupCommit.submit` does."""

    commit: GroupCommit[CancelOrder, CancelOutcome]
    read_back: GroupCommit[OrderId, OrderView]
    read_back_with_history: Callable[[OrderId], Awaitable[CancelledWithHistory]]

    @property
    def waiting(self) -> int:
        """How many cancellations wait to be taken."""
        return self.commit.waiting

    def submit(self, command: CancelOrder) -> Awaitable[CancelOutcome]:
        """Cancel, and show nothing."""
        return self.commit.submit(command)

    async def submit_and_show(self, command: CancelOrder) -> CancelOutcome:
        """Cancel; the outcome has the order's `view` as it stands afterwards, unless that cannot be read."""
        outcome = await self.commit.submit(command)
        if not isinstance(outcome, Cancelled):
            return outcome
        try:
            view = await self.read_back.submit(outcome.order_id)
        except CountermandError as error:
            return _unseen(outcome, error)
        return replace(outcome, view=view) if is_shown(view) else outcome

    async def submit_and_show_history(self, command: CancelOrder) -> CancelOutcome:
        """Cancel; the outcome is `CancelledWithHistory`."""
        outcome = await self.commit.submit(command)
        if not isinstance(outcome, Cancelled):
            return outcome
        try:
            return await self.read_back_with_history(outcome.order_id)
        except CountermandError as error:
            return _unseen(outcome, error)

    async def close(self) -> None:
        """Take nothing more, and finish what was taken."""
        await self.commit.close()
        await self.read_back.close()


def _unseen(outcome: Cancelled, error: CountermandError) -> Cancelled:
    log.warning("a cancelled order could not be read back", order_id=outcome.order_id, reason=str(error))
    return outcome


async def _read_when_available(read: Callable[[], Awaitable[Found]], limit_s: float) -> Found:
    """Read; while the database is away, wait and read again, up to `limit_s`. Then raises `UnavailableError`."""
    with suppress(UnavailableError):
        return await read()  # nearly always; what follows costs more than a small batch
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_delay(limit_s),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    ):
        with attempt:
            return await read()
    raise AssertionError("unreachable: the loop returns or raises")

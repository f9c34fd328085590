"""Cancel, and show the order as it stands afterwards to those who want to see it.

Orders are read back in batches of their own, beside the next batch of cancellations: whoever only wants a yes does not
wait for what others want to see.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.errors import CountermandError, NotFoundError, UnavailableError
from countermand.actions.ports import CancellationStore, CancelOrder, OrderView, is_shown
from countermand.domain.orders.order import OrderId

log = structlog.get_logger()


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
        with suppress(UnavailableError):
            return await self.store.views(order_ids)  # nearly always; what follows costs more than a small batch
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            stop=stop_after_delay(self.limit_s),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        ):
            with attempt:
                return await self.store.views(order_ids)
        raise AssertionError("unreachable: the loop returns or raises")


@dataclass(frozen=True, kw_only=True)
class CancelAndShow:
    """The way into both kinds of batches."""

    commit: GroupCommit[CancelOrder, CancelOutcome]
    read_back: GroupCommit[OrderId, OrderView]

    @property
    def waiting(self) -> int:
        """How many cancellations wait to be taken."""
        return self.commit.waiting

    async def submit(self, command: CancelOrder) -> CancelOutcome:
        """Wait for the command's outcome. Raises as `GroupCommit.submit` does.

        The order is cancelled by the time it is read: where that fails, or this version cannot read
        the order's details, the outcome stands, and its view is left out.
        """
        outcome = await self.commit.submit(command)
        if not (command.wants_order and isinstance(outcome, Cancelled)):
            return outcome
        try:
            view = await self.read_back.submit(outcome.order_id)
        except CountermandError as error:
            log.warning("a cancelled order could not be read back", order_id=outcome.order_id, reason=str(error))
            return outcome
        return replace(outcome, view=view) if is_shown(view) else outcome

    async def close(self) -> None:
        """Take nothing more, and finish what was taken."""
        await self.commit.close()
        await self.read_back.close()

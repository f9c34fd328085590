"""The lock around everything that a process writes to SQLite. Batches of cancellations go before other writers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from countermand.actions.errors import UnavailableError

_BATCHES_IN_A_ROW: Final = 4  # then a transaction that waits has its turn: a stream of batches must not starve it
_TOO_LONG: Final = "other requests were writing for too long; nothing was done; send the request again"

_Queue = deque["asyncio.Future[None]"]


class WriteLock:
    """Implements a lock with two queues. The one of batches goes first, the one of transactions is never starved.

    A writer waits for at most `limit_s` seconds, and then gets `UnavailableError`. Within a queue, writers take their
    turns in the order in which they came. The lock passes from one writer to the next without being free in between,
    so that no newcomer overtakes those that wait.
    """

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._is_held = False
        self._batches: _Queue = deque()
        self._transactions: _Queue = deque()
        self._in_a_row = 0  # batches since the last transaction

    @asynccontextmanager
    async def for_batch(self) -> AsyncIterator[float]:
        """Hold the lock for a batch of cancellations or refusals. Yields how many seconds are left of the limit."""
        left_s = await self._acquire(self._batches)
        self._in_a_row += 1
        try:
            yield left_s
        finally:
            self._release()

    @asynccontextmanager
    async def for_transaction(self) -> AsyncIterator[float]:
        """Hold the lock for any other transaction. Yields how many seconds are left of the limit."""
        left_s = await self._acquire(self._transactions)
        self._in_a_row = 0
        try:
            yield left_s
        finally:
            self._release()

    async def _acquire(self, queue: _Queue) -> float:
        if not self._is_held:  # so nobody waits, either
            self._is_held = True
            return self._limit_s
        loop = asyncio.get_running_loop()
        asked_at, turn = loop.time(), loop.create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._limit_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the lock came at the very moment at which the writer gave up
                self._release()
            else:
                with suppress(ValueError):  # the last writer passed it over already
                    queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise UnavailableError(_TOO_LONG) from error
            raise
        return self._limit_s - (loop.time() - asked_at)

    def _release(self) -> None:
        """Pass the lock to the next writer, or free it."""
        starving = self._in_a_row >= _BATCHES_IN_A_ROW
        queues = (self._transactions, self._batches) if starving else (self._batches, self._transactions)
        for queue in queues:
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._is_held = False

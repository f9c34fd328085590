"""Runs a database probe with a timeout. Concurrent callers share one running probe."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlightProbe(Generic[Answer]):
    """Calls `ask` and returns its answer within `limit_s` seconds, or raises `TimeoutError`.

    A call while a probe is still running waits for that probe instead of starting another: a database that hangs gets
    one probe, not one more with every scrape. The probe is cancelled at the limit, but no caller waits for the
    cancellation to finish, because that may hang, too.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]], *, limit_s: float) -> None:
        self._ask, self._limit_s = ask, limit_s
        self._asking: asyncio.Future[Answer] | None = None

    async def __call__(self) -> Answer:
        """Return the probe's answer. Raises `TimeoutError` after `limit_s` seconds, and what `ask` raises."""
        ends_at_s = asyncio.get_running_loop().time() + self._limit_s
        while True:
            asking = self._asking
            if asking is None or asking.done():
                asking = self._asking = asyncio.ensure_future(self._ask())
                asking.add_done_callback(_heard)
            await asyncio.wait({asking}, timeout=ends_at_s - asyncio.get_running_loop().time())
            if not asking.done():
                asking.cancel()
                raise TimeoutError
            if not asking.cancelled():
                return asking.result()
            # An earlier caller had cancelled this probe, so it has no answer for this caller: start a new one.


def _heard(asked: "asyncio.Future[Answer]") -> None:
    """Retrieve the error of a probe whose callers are all gone, so that asyncio does not log it."""
    if not asked.cancelled():
        asked.exception()

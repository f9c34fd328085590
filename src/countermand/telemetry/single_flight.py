"""How is the database asked something by those who must answer in time, whatever the database does?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlightProbe(Generic[Answer]):
    """A question that is answered within `limit_s` seconds, or raises `TimeoutError`.

    Asked again while it is still being answered, it is not asked twice: a database that hangs gets one question, and
    not one more with every scrape. Nobody waits for the question to be taken back, as that may hang, too.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]], *, limit_s: float) -> None:
        self._ask, self._limit_s = ask, limit_s
        self._asking: asyncio.Future[Answer] | None = None

    async def __call__(self) -> Answer:
        """Ask."""
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
            # Somebody before us gave it up, and only now it has ended: that was no answer to us.


def _heard(asked: "asyncio.Future[Answer]") -> None:
    """Where all who asked are gone, an error is nobody's."""
    if not asked.cancelled():
        asked.exception()

"""Keeps a crowd that wants one thing from taking every connection to the database.

A transaction that waits for a locked row has a connection for as long as it waits. Here the others of its crowd wait
before they take one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from countermand.actions.errors import UnavailableError


class Bulkhead:
    """Limits how many changes are made at once, by a share of the store's `connections`.

    At most two thirds are for changes, so that reads, tokens and probes keep the others. Half are for what takes
    places of products off the stock, or changes products: `stock`. A fifth is for changes that name the same
    thing, such as one product. No share is less than one connection. A change waits for at most `limit_s` seconds.
    """

    def __init__(self, *, connections: int, limit_s: float) -> None:
        self._limit_s = limit_s
        self._changes = asyncio.Semaphore(max(1, connections * 2 // 3))
        self._stock = asyncio.Semaphore(max(1, connections // 2))
        self._of_each = max(1, connections // 5)
        self._named: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()  # how many wait for a name or have it

    @asynccontextmanager
    async def room(self, names: Sequence[str], *, stock: bool = False) -> AsyncIterator[None]:
        """Wait until a change of the things with these names may begin. Raises `UnavailableError` at the limit."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._limit_s):
                    # By name, so that nobody waits in a circle; the names first, so that a crowd fills no share.
                    for name in sorted(set(names)):
                        await held.enter_async_context(self._one_of(name))
                    if stock:
                        await held.enter_async_context(self._stock)
                    await held.enter_async_context(self._changes)
            except TimeoutError as error:
                raise UnavailableError(
                    "too many other requests for the same thing are waiting; nothing was done; send the request again"
                ) from error
            yield

    @asynccontextmanager
    async def _one_of(self, name: str) -> AsyncIterator[None]:
        self._users[name] += 1
        try:
            async with self._named.setdefault(name, asyncio.Semaphore(self._of_each)):
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._named[name]

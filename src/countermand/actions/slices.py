"""Divides long work on the event loop into slices, so that cancellations and other requests go on in between.

A list can have tens of thousands of rows. Without slices, the conversion of such a list would hold the event loop for
seconds. All long work of a process takes turns: however many requests do such work, at most one slice runs in each turn
of the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

Item = TypeVar("Item")

SLICE_S: Final = 0.004
_SMALL_ITEMS: Final = 64  # items between two looks at the clock, where each item takes some microseconds
_turns: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]" = WeakKeyDictionary()


class Slices:
    """Measures the slices of one piece of work. The work calls `pause` often; short work never waits."""

    def __init__(self) -> None:
        self._began_s = perf_counter()

    async def pause(self) -> None:
        """End the slice if it has lasted for `SLICE_S` seconds: let the event loop take its other steps first."""
        if perf_counter() - self._began_s < SLICE_S:
            return
        loop = asyncio.get_running_loop()
        turn = _turns.get(loop) or _turns.setdefault(loop, asyncio.Lock())
        async with turn:
            await asyncio.sleep(0)
        self._began_s = perf_counter()


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield items that the caller converts in some microseconds each, and pause from time to time."""
    slices = Slices()
    for number, item in enumerate(items):
        if number % _SMALL_ITEMS == 0:
            await slices.pause()
        yield item

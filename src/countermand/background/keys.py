"""Reads key sets again, so that a withdrawn key stops counting."""

import asyncio
from collections.abc import Awaitable, Callable

from countermand.background.rounds import stops_within


async def refresh_keys(refresh: Callable[[], Awaitable[None]], every_s: float, stopping: asyncio.Event) -> None:
    """Keys are read again, so that a withdrawn one stops counting."""
    while not await stops_within(every_s, stopping):
        await refresh()

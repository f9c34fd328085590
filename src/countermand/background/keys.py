"""Reads key sets again and again, so that a withdrawn key is no longer accepted."""

import asyncio
from collections.abc import Awaitable, Callable

from countermand.background.rounds import stops_within


async def refresh_keys(refresh: Callable[[], Awaitable[None]], every_s: float, stopping: asyncio.Event) -> None:
    """Call `refresh` every `every_s` seconds until the service stops."""
    while not await stops_within(every_s, stopping):
        await refresh()

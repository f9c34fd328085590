"""Gives the events of the outbox their positions in the feed, so that a read of the feed finds little to do.

It begins with the first read of the feed: where nobody reads it, no event costs anything more.
"""

import asyncio
from typing import Final

import structlog

from countermand.actions.ordering.event_feed import EventFeed
from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within

log = structlog.get_logger()
_NUMBER_EVERY_S: Final = 5.0
DELETED_AT_ONCE: Final = 1000


async def number_events(feed: EventFeed, stopping: asyncio.Event) -> None:
    """Give positions to new events every few seconds, and check the next part of the outbox.

    Positions whose events were deleted are deleted, too. Several nodes may do this at the same time.
    """
    pause_s = _NUMBER_EVERY_S
    while not await stops_within(pause_s, stopping):
        pause_s = _NUMBER_EVERY_S
        try:
            if not await feed.has_begun():
                continue
            if await feed.number() or await feed.forget_deleted(DELETED_AT_ONCE):
                pause_s = SWEEP_PAUSE_S
            else:
                await feed.check()
        except DATABASE_ERRORS as error:
            log.warning("events have no position in the feed for now", reason=str(error))

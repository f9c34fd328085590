"""Posts the tallies of requests to the metrics, twice a second."""

import asyncio
from typing import Final

from countermand.background.rounds import stops_within
from countermand.telemetry.assembly import Telemetry

_POST_EVERY_S: Final = 0.5


async def post_counts(telemetry: Telemetry, stopping: asyncio.Event) -> None:
    """Post the tallies, because a scrape of another worker must see the numbers of this process, too."""
    while not await stops_within(_POST_EVERY_S, stopping):
        telemetry.counts.post()

"""Goes through all orders step by step, for tasks that put right what nodes of older versions wrote."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within

log = structlog.get_logger()
_AGAIN_AFTER_S: Final = 600.0  # old nodes may have changed more orders, and other nodes may have failed
_RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one step: the number of the last order that it saw, or None if there was no further order.

    `found` counts the orders that needed the work, and could be worked on.
    """

    last: int | None
    found: int


async def go_through_orders(
    take_step: Callable[[int], Awaitable[Step]],
    stopping: asyncio.Event,
    report_unfinished: Callable[[bool], None],
    *,
    on_failure: str,
) -> None:
    """Take steps from the first order to the last, and repeat that until a whole round finds nothing.

    `take_step` gets the number of the order that the step before saw last. The log says `on_failure` if the database
    fails; the step is taken again after some seconds.
    """
    after, found, pause_s = 0, 0, 0.0
    report_unfinished(True)
    while not await stops_within(pause_s, stopping):
        try:
            step = await take_step(after)
        except DATABASE_ERRORS as error:
            log.warning(on_failure, reason=str(error))
            pause_s = _RETRY_AFTER_S
            continue
        found += step.found
        if step.last is not None:
            after, pause_s = step.last, SWEEP_PAUSE_S
        elif found:
            after, found, pause_s = 0, 0, _AGAIN_AFTER_S
        else:
            report_unfinished(False)
            return

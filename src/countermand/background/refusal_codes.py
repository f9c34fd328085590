"""Fills the codes of refusals that nodes from before schema 8 recorded, a limited number at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.decide_again import codes_of, policies_of
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.background.rounds import DATABASE_ERRORS, SWEEP_PAUSE_S, stops_within
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.refusals import RefusalPlace
from countermand.storage.store import SqlStore

log = structlog.get_logger()
LOOKED_AT_ONCE: Final = 300
_AGAIN_AFTER_S: Final = 600.0  # old nodes may have recorded more refusals
_RETRY_AFTER_S: Final = 5.0
# A refusal is written some time after its instant, and the clocks of two nodes differ.
_WRITTEN_WITHIN: Final = timedelta(hours=1)
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one step: the place of the last refusal that it saw, or None if there was no further refusal."""

    last: RefusalPlace | None
    filled: int


def beginning(at: datetime = _EVER) -> RefusalPlace:
    """Return the place before all refusals from an instant on."""
    return at, OrderId(0), CommandId("")


async def fill_some(store: SqlStore, archive: PolicyArchive, after: RefusalPlace) -> Step:
    """Fill the codes of the next refusals after a place, and store the place that was reached, in one transaction.

    The codes of a refusal stay empty if its policy is not known.
    """
    async with store.snapshot() as reading:
        seen = await reading.refusals_after(after, LOOKED_AT_ONCE)
    if not seen:
        return Step(last=None, filled=0)
    empty = [refusal for refusal in seen if refusal.codes is None]
    policies = await policies_of(archive, empty)
    found = {
        (refusal.command.order_id, refusal.command.command_id): codes
        for refusal in empty
        if (codes := codes_of(refusal, policies)) is not None
    }
    last = seen[-1].decided_at, seen[-1].command.order_id, seen[-1].command.command_id
    async with store.transaction() as tx:
        if found:
            await tx.fill_codes(found)
        await tx.move_codes_progress(last)
    return Step(last=last, filled=len(found))


async def place_to_go_on(store: SqlStore) -> RefusalPlace:
    """Return the place where a node that starts goes on: before the refusals that may have been written since."""
    async with store.snapshot() as reading:
        reached = await reading.codes_progress()
    return beginning() if reached is None else _shortly_before(reached)


def _shortly_before(at: datetime) -> RefusalPlace:
    return beginning(max(_EVER, at - _WRITTEN_WITHIN))


async def fill_codes(
    store: SqlStore,
    archive: PolicyArchive,
    stopping: asyncio.Event,
    report_unfinished: Callable[[bool], None] = lambda _: None,
) -> None:
    """Go through all refusals once, and then again and again through those that were recorded since.

    A node that starts goes on where the nodes before it were.

    Each step commits by itself, so a crash loses nothing, and several nodes may do this at the same time.
    """
    after: RefusalPlace | None = None
    filled, pause_s = 0, 0.0
    report_unfinished(True)
    while not await stops_within(pause_s, stopping):
        try:
            after = await place_to_go_on(store) if after is None else after
            step = await fill_some(store, archive, after)
        except DATABASE_ERRORS as error:
            log.warning("empty codes of refusals stay for now", reason=str(error))
            pause_s = _RETRY_AFTER_S
            continue
        filled += step.filled
        if step.last is not None:
            after, pause_s = step.last, SWEEP_PAUSE_S
        else:
            report_unfinished(filled > 0)
            filled = 0
            after, pause_s = _shortly_before(after[0]), _AGAIN_AFTER_S

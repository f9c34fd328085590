"""Writes when clients called last, at most once an hour for each client."""

import asyncio
from typing import Final

import structlog

from countermand.actions.ports import SharedClock
from countermand.background.rounds import DATABASE_ERRORS, stops_within
from countermand.identity.client_uses import WRITTEN_EVERY, ClientUses
from countermand.storage.repositories.clients import SqlClients

log = structlog.get_logger()
_WRITE_EVERY_S: Final = 60.0
_AT_ONCE: Final = 100


async def write_uses(uses: ClientUses, clients: SqlClients, shared_clock: SharedClock, stopping: asyncio.Event) -> None:
    """Write the uses every minute. What cannot be written is written later."""
    while not await stops_within(_WRITE_EVERY_S, stopping):
        try:
            await write_now(uses, clients, shared_clock)
        except DATABASE_ERRORS as error:
            log.warning("the last use of clients is not written for now", reason=str(error))


async def write_now(uses: ClientUses, clients: SqlClients, shared_clock: SharedClock) -> None:
    """Write the uses that are due. Without any, ask nothing of the database."""
    if not uses.any:
        return
    now = await shared_clock()
    due = list(uses.due(now).items())
    for start in range(0, len(due), _AT_ONCE):
        some = dict(due[start : start + _AT_ONCE])
        uses.written(some, await clients.write_last_uses(some, now, every=WRITTEN_EVERY))

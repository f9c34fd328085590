"""Consumers that a client keeps, so that its orders can name them; each change of one makes a revision of its own.

An order keeps what was said of its consumer when it was placed, so a revision changes no order.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from countermand.actions.catalogue.ports import Condition, Page
from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.ports import Store, Transaction
from countermand.actions.ticketing.ports import KnownConsumer, TicketingReading
from countermand.domain.client import ClientId


async def keep_consumer(tx: Transaction, client_id: ClientId, given: Mapping[str, Any], now: datetime) -> KnownConsumer:
    """Keep a consumer. With a `uid`, a revision of that one: its fields, with those that are given over them.

    Raises `ConflictError` with the code `consumer_unknown` where the uid is not one of the client's own.
    """
    known = await _known(tx, client_id, given)
    if known is not None and not _changes(given):
        return known
    details = {**(known.details if known is not None else {}), **_changes(given)}
    kept = KnownConsumer(uid=secrets.token_hex(16), client_id=client_id, created_at=now, details=details)
    await tx.insert_consumer(kept)
    return kept


async def consumer_of_order(
    tx: Transaction, client_id: ClientId, given: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """What an order keeps of its consumer: as given, or, with a `uid`, of the one that is known. Raises as above.

    The `ip` is the order's own, and no revision.
    """
    if "uid" not in given:
        return given
    kept = await keep_consumer(tx, client_id, {name: value for name, value in given.items() if name != "ip"}, now)
    ip = {"ip": given["ip"]} if "ip" in given else {}
    return {"uid": kept.uid, **kept.details, **ip}


async def seen_consumer(reading: TicketingReading, client_id: ClientId, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same for a bill, which keeps nothing."""
    known = await _known(reading, client_id, given)
    return {**(known.details if known is not None else {}), **_changes(given)}


async def read_consumer(store: Store, uid: str, *, owner: ClientId) -> KnownConsumer:
    """A client's own consumer. Raises `NotFoundError`, be it another's or nobody's."""
    async with store.snapshot() as reading:
        found = await reading.consumer(uid)
    if found is None or found.client_id != owner:
        raise NotFoundError("there is no such consumer")
    return found


async def list_consumers(
    store: Store, owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[KnownConsumer]:
    """A client's own consumers, oldest first."""
    async with store.snapshot() as reading:
        return await reading.consumers_listed(owner, conditions, offset=offset, at_most=at_most)


async def _known(reading: TicketingReading, client_id: ClientId, given: Mapping[str, Any]) -> KnownConsumer | None:
    if "uid" not in given:
        return None
    known = await reading.consumer(given["uid"])
    if known is None or known.client_id != client_id:
        raise ConflictError("consumer_unknown", "consumer.uid names no consumer of yours")
    return known


def _changes(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "uid"}

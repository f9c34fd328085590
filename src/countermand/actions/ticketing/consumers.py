"""Stores consumers, so that a client's orders can name them. Each change of a consumer makes a revision of its own.

An order keeps what its consumer was when it was placed, so a revision changes no order.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import UNSET, structs

from countermand.actions.catalogue.ports import Condition, Page
from countermand.actions.errors import ConflictError, NotFoundError, UnavailableError
from countermand.actions.ports import Store, Transaction
from countermand.actions.ticketing.ports import KnownConsumer, TicketingReading
from countermand.domain.client import ClientId
from countermand.domain.ticketing.consumer import Consumer


async def keep_consumer(tx: Transaction, client_id: ClientId, given: Consumer, now: datetime) -> KnownConsumer:
    """Store a consumer. With a `uid`, store a revision of that consumer: the given fields replace its own.

    Raises `ConflictError` with the code `consumer_unknown` if the uid is not one of the client's own.
    """
    known = await _known(tx, client_id, given)
    before, changes = _details(known), given.without("uid")
    if known is not None and changes == Consumer():
        return known
    details = before.revised(changes)
    kept = KnownConsumer(uid=secrets.token_hex(16), client_id=client_id, created_at=now, details=details)
    await tx.insert_consumer(kept, revises=known)
    return kept


async def consumer_of_order(tx: Transaction, client_id: ClientId, given: Consumer, now: datetime) -> Consumer:
    """Return what an order keeps of its consumer: the given fields or, with a `uid`, those of a stored consumer.

    The `ip` belongs to the order, and makes no revision. Raises as `keep_consumer` does.
    """
    if given.uid is UNSET:
        return given
    kept = await keep_consumer(tx, client_id, given.without("ip"), now)
    return structs.replace(_details(kept), uid=kept.uid, ip=given.ip)


async def seen_consumer(reading: TicketingReading, client_id: ClientId, given: Consumer) -> Consumer:
    """Return the same for a bill, which stores nothing."""
    return _details(await _known(reading, client_id, given)).revised(given.without("uid"))


async def read_consumer(store: Store, uid: str, *, owner: ClientId) -> KnownConsumer:
    """Return a client's own consumer.

    Raises `NotFoundError` if it does not exist, is another client's, or cannot be read by this version.
    """
    async with store.snapshot() as reading:
        found = await reading.consumer(uid)
    if found is None or found.client_id != owner or found.details is None:
        raise NotFoundError("there is no such consumer")
    return found


async def list_consumers(
    store: Store, owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[KnownConsumer]:
    """Return a page of a client's own consumers, oldest first."""
    async with store.snapshot() as reading:
        found = await reading.consumers_listed(owner, conditions, offset=offset, at_most=at_most)
    return replace(found, items=[one for one in found.items if one.details is not None])


async def _known(reading: TicketingReading, client_id: ClientId, given: Consumer) -> KnownConsumer | None:
    if given.uid is UNSET:
        return None
    known = await reading.consumer(given.uid)
    if known is None or known.client_id != client_id:
        raise ConflictError("consumer_unknown", "consumer.uid is not the uid of one of your consumers")
    return known


def _details(known: KnownConsumer | None) -> Consumer:
    """Return what is stored of a consumer. Raises `UnavailableError` if this version cannot read it."""
    if known is None:
        return Consumer()
    if known.details is None:
        said = "a newer version than this node's wrote the consumer"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")
    return known.details

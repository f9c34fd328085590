"""Stores and reads the consumers of a client, which its orders can name. Each change of a consumer makes a revision.

An order stores its consumer's details at the time of the order, so a revision changes no order.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import UNSET, structs

from countermand.actions.catalogue.ports import Condition, Page
from countermand.actions.errors import ConflictError, NotFoundError, UnavailableError
from countermand.actions.ports import Snapshots
from countermand.actions.ticketing.ports import ConsumerLists, ConsumerReading, ConsumerWriting, KnownConsumer
from countermand.domain.client import ClientId
from countermand.domain.ticketing.consumer import Consumer


async def keep_consumer(tx: ConsumerWriting, client_id: ClientId, given: Consumer, now: datetime) -> KnownConsumer:
    """Store a consumer and return it. With a `uid`, store a revision of that consumer, with the given fields replaced.

    Raises `ConflictError` with the code `consumer_unknown` if the uid is not that of a consumer of the client.
    """
    known = await _known(tx, client_id, given)
    before, changes = _details(known), given.without("uid")
    if known is not None and changes == Consumer():
        return known
    details = before.revised(changes)
    kept = KnownConsumer(uid=secrets.token_hex(16), client_id=client_id, created_at=now, details=details)
    await tx.insert_consumer(kept, revises=known)
    return kept


async def consumer_of_order(tx: ConsumerWriting, client_id: ClientId, given: Consumer, now: datetime) -> Consumer:
    """Return the consumer that an order stores: as given, or, with a `uid`, the stored consumer, revised.

    The `ip` belongs to the order and makes no revision. Raises as `keep_consumer` does.
    """
    if given.uid is UNSET:
        return given
    kept = await keep_consumer(tx, client_id, given.without("ip"), now)
    return structs.replace(_details(kept), uid=kept.uid, ip=given.ip)


async def seen_consumer(reading: ConsumerReading, client_id: ClientId, given: Consumer) -> Consumer:
    """Return the same for a bill, and store nothing. Raises as `keep_consumer` does."""
    return _details(await _known(reading, client_id, given)).revised(given.without("uid"))


async def read_consumer(store: Snapshots[ConsumerReading], uid: str, *, owner: ClientId) -> KnownConsumer:
    """Return a client's own consumer. Raises `NotFoundError`, also for a consumer that this version cannot read."""
    async with store.snapshot() as reading:
        found = await reading.consumer(uid)
    if found is None or found.client_id != owner or found.details is None:
        raise NotFoundError("there is no such consumer")
    return found


async def list_consumers(
    store: Snapshots[ConsumerLists], owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[KnownConsumer]:
    """Return a page of a client's own consumers, oldest first."""
    async with store.snapshot() as reading:
        found = await reading.consumers_listed(owner, conditions, offset=offset, at_most=at_most)
    return replace(found, items=[one for one in found.items if one.details is not None])


async def _known(reading: ConsumerReading, client_id: ClientId, given: Consumer) -> KnownConsumer | None:
    if given.uid is UNSET:
        return None
    known = await reading.consumer(given.uid)
    if known is None or known.client_id != client_id:
        raise ConflictError("consumer_unknown", "consumer.uid is not the uid of one of your consumers")
    return known


def _details(known: KnownConsumer | None) -> Consumer:
    """Return a consumer's stored details. Raises `UnavailableError` if this version cannot read them."""
    if known is None:
        return Consumer()
    if known.details is None:
        said = "a newer version than this node's wrote the consumer"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")
    return known.details

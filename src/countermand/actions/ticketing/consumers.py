"""Consumers that a client keeps, so that its orders can name them; each change of one makes a revision of its own.

An order keeps what was said of its consumer when it was placed, so a revision changes no order.
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
    """Keep a consumer. With a `uid`, a revision of that one: its fields, with those that are given over them.

    Raises `ConflictError` with the code `consumer_unknown` where the uid is not one of the client's own.
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
    """What an order keeps of its consumer: as given, or, with a `uid`, of the one that is known. Raises as above.

    The `ip` is the order's own, and no revision.
    """
    if given.uid is UNSET:
        return given
    kept = await keep_consumer(tx, client_id, given.without("ip"), now)
    return structs.replace(_details(kept), uid=kept.uid, ip=given.ip)


async def seen_consumer(reading: ConsumerReading, client_id: ClientId, given: Consumer) -> Consumer:
    """The same for a bill, which keeps nothing."""
    return _details(await _known(reading, client_id, given)).revised(given.without("uid"))


async def read_consumer(store: Snapshots[ConsumerReading], uid: str, *, owner: ClientId) -> KnownConsumer:
    """A client's own consumer. Raises `NotFoundError`, be it another's, nobody's, or one that cannot be read here."""
    async with store.snapshot() as reading:
        found = await reading.consumer(uid)
    if found is None or found.client_id != owner or found.details is None:
        raise NotFoundError("there is no such consumer")
    return found


async def list_consumers(
    store: Snapshots[ConsumerLists], owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[KnownConsumer]:
    """A client's own consumers, oldest first."""
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
    """What is kept of a consumer. Raises `UnavailableError` where this version cannot read it."""
    if known is None:
        return Consumer()
    if known.details is None:
        said = "a newer version than this node's wrote the consumer"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")
    return known.details

"""Stores and reads the consumers of a client, which its orders can name. Each change of a consumer makes a revision.

An order keeps what its consumer was when it was placed, so a revision changes no order. Every function that loads a
stored consumer takes the whole client, because a browser application may not load one: anybody can read its token.
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
from countermand.domain.client import Client
from countermand.domain.ticketing.consumer import Consumer


async def keep_consumer(tx: ConsumerWriting, client: Client, given: Consumer, now: datetime) -> KnownConsumer:
    """Store a consumer. With a `uid`, store a revision of that consumer: the given fields replace its own.

    Raises `ConflictError` with the codes `consumer_unknown` if the uid is not one of the client's own, and
    `consumer_not_for_browsers` if a browser application gives a uid.
    """
    known = await _known(tx, client, given)
    before, changes = _details(known), given.without("uid")
    if known is not None and changes == Consumer():
        return known
    details = before.revised(changes)
    kept = KnownConsumer(uid=secrets.token_hex(16), client_id=client.id, created_at=now, details=details)
    await tx.insert_consumer(kept, revises=known)
    return kept


async def consumer_of_order(tx: ConsumerWriting, client: Client, given: Consumer, now: datetime) -> Consumer:
    """Return what an order keeps of its consumer: the given fields or, with a `uid`, those of a stored consumer.

    The `ip` belongs to the order and makes no revision. Raises as `keep_consumer` does.
    """
    if given.uid is UNSET:
        return given
    kept = await keep_consumer(tx, client, given.without("ip"), now)
    return structs.replace(_details(kept), uid=kept.uid, ip=given.ip)


async def seen_consumer(reading: ConsumerReading, client: Client, given: Consumer) -> Consumer:
    """Return the same for a bill, which stores nothing. Raises as `keep_consumer` does."""
    return _details(await _known(reading, client, given)).revised(given.without("uid"))


async def read_consumer(store: Snapshots[ConsumerReading], uid: str, *, owner: Client) -> KnownConsumer:
    """Return a client's own consumer.

    Raises `NotFoundError` if it does not exist, is another client's, or cannot be read by this version, and
    `ConflictError` as `keep_consumer` does.
    """
    _check_may_load(owner)
    async with store.snapshot() as reading:
        found = await reading.consumer(uid)
    if found is None or found.client_id != owner.id or found.details is None:
        raise NotFoundError("there is no such consumer")
    return found


async def list_consumers(
    store: Snapshots[ConsumerLists], owner: Client, conditions: Sequence[Condition], *, offset: int, at_most: int
) -> Page[KnownConsumer]:
    """Return a page of a client's own consumers, oldest first. Raises `ConflictError` as `keep_consumer` does."""
    _check_may_load(owner)
    async with store.snapshot() as reading:
        found = await reading.consumers_listed(owner.id, conditions, offset=offset, at_most=at_most)
    return replace(found, items=[one for one in found.items if one.details is not None])


def _check_may_load(client: Client) -> None:
    if client.in_browser:
        raise ConflictError(
            "consumer_not_for_browsers",
            "a browser application's token does not allow stored consumers; give the consumer's fields, without uid",
        )


async def _known(reading: ConsumerReading, client: Client, given: Consumer) -> KnownConsumer | None:
    if given.uid is UNSET:
        return None
    _check_may_load(client)
    known = await reading.consumer(given.uid)
    if known is None or known.client_id != client.id:
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

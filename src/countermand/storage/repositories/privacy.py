"""Finds and changes the texts about persons, step by step, and records the requests about persons."""

import hashlib
import hmac
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Column, ColumnElement, Table, case, func, insert, null, select, tuple_, update

from countermand.actions.errors import TakenError, UnavailableError
from countermand.actions.privacy.ports import Key, OrderAhead, Place, RequestKind, Scanned, StoredText
from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import holding_tickets
from countermand.domain.privacy import Person
from countermand.storage.repositories.feed import digest_of_row
from countermand.storage.repositories.personal_texts import buyer_is, names_in, parts_about, without_person
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.sql_types import Column as AnyColumn
from countermand.storage.sql_types import Row
from countermand.storage.store import SqlStore
from countermand.storage.tables.appointments import appointment_tasks
from countermand.storage.tables.cancelling import (
    approvals,
    cancellations,
    idempotency_keys,
    outbox,
    refusals,
    undone_cancellations,
)
from countermand.storage.tables.catalogue import events, products
from countermand.storage.tables.columns import instant, instant_or_none, micros
from countermand.storage.tables.delivering import deliveries, delivery_attempts
from countermand.storage.tables.orders import order_details, order_lines, orders, payment_corrections
from countermand.storage.tables.privacy import privacy_keys, privacy_requests
from countermand.storage.tables.tickets import consumers

LOOKED_AT_ONCE: Final = 1000
_ORDERS_AT_ONCE: Final = 200
_KEY: Final = 1
# The records of who asked, and from where; with the column of the channel that the request came over.
_ASKED: Final[Mapping[Table, Column[str]]] = {
    cancellations: cancellations.c.door,
    refusals: refusals.c.door,
    outbox: outbox.c.channel,
    payment_corrections: payment_corrections.c.channel,
    undone_cancellations: undone_cancellations.c.door,
}
_ESCAPE: Final = "!"


@dataclass(frozen=True, kw_only=True)
class _Column:
    """The column of a place. Its table's primary key begins with the order's id if `of_order`."""

    text: Column[str]
    client_id: Column[int]
    stored_at: Column[int]
    of_order: bool

    @property
    def table(self) -> Table:
        table = self.text.table
        assert isinstance(table, Table)
        return table


COLUMNS: Final[Mapping[Place, _Column]] = {
    Place.ORDERS: _Column(
        text=order_details.c.details, client_id=orders.c.client_id, stored_at=orders.c.created_at, of_order=True
    ),
    Place.CONSUMERS: _Column(
        text=consumers.c.details, client_id=consumers.c.client_id, stored_at=consumers.c.created_at, of_order=False
    ),
    Place.CANCELLATION_REASONS: _Column(
        text=cancellations.c.reason,
        client_id=cancellations.c.client_id,
        stored_at=cancellations.c.decided_at,
        of_order=True,
    ),
    Place.REFUSAL_REASONS: _Column(
        text=refusals.c.reason, client_id=refusals.c.client_id, stored_at=refusals.c.decided_at, of_order=True
    ),
    Place.UNDONE_REASONS: _Column(
        text=undone_cancellations.c.reason,
        client_id=undone_cancellations.c.client_id,
        stored_at=undone_cancellations.c.decided_at,
        of_order=True,
    ),
    Place.RESTORE_REASONS: _Column(
        text=undone_cancellations.c.undone_reason,
        client_id=undone_cancellations.c.undone_client_id,
        stored_at=undone_cancellations.c.undone_at,
        of_order=True,
    ),
    Place.CORRECTION_REASONS: _Column(
        text=payment_corrections.c.reason,
        client_id=payment_corrections.c.client_id,
        stored_at=payment_corrections.c.recorded_at,
        of_order=True,
    ),
    Place.APPROVAL_REASONS: _Column(
        text=approvals.c.reason, client_id=approvals.c.client_id, stored_at=approvals.c.asked_at, of_order=True
    ),
    Place.EVENTS: _Column(
        text=outbox.c.details, client_id=outbox.c.client_id, stored_at=outbox.c.recorded_at, of_order=True
    ),
    Place.APPOINTMENT_TASKS: _Column(
        text=appointment_tasks.c.failure,
        client_id=appointment_tasks.c.client_id,
        stored_at=appointment_tasks.c.asked_at,
        of_order=True,
    ),
    Place.STORED_ANSWERS: _Column(
        text=idempotency_keys.c.answer,
        client_id=idempotency_keys.c.client_id,
        stored_at=idempotency_keys.c.created_at,
        of_order=False,
    ),
}


class SqlPrivacy:
    """Implements `PersonalTexts`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def scan(self, place: Place, person: Person, after: Key | None) -> Scanned:
        """See `PersonalTexts.scan`. A step reads a limited number of rows along the primary key."""
        it = COLUMNS[place]
        keys = list(it.table.primary_key.columns)
        may_mention = func.lower(it.text).like(_pattern(person.email), escape=_ESCAPE)
        text = case((may_mention, it.text), else_=null()).label("found")
        looked_at = select(*keys, text, it.client_id.label("whose"), it.stored_at.label("since"))
        if it.client_id.table is not it.table:
            looked_at = looked_at.join_from(it.table, it.client_id.table, orders.c.id == order_details.c.order_id)
        if after is not None:
            looked_at = looked_at.where(_behind(keys, after))
        async with self._store.snapshot() as reading:
            rows = await reading.rows(looked_at.order_by(*keys).limit(LOOKED_AT_ONCE))
            bought = [row["order_id"] for row in rows if place is Place.ORDERS and _is_bought_by(row, person)]
            addresses = await self._buyers_addresses(reading, bought) if bought else {}
        texts = []
        for row in rows:
            if row["found"] is not None and (parts := parts_about(row["found"], person)):
                key = tuple(row[column.name] for column in keys)
                order_id = OrderId(row[keys[0].name]) if it.of_order else None
                texts.append(
                    StoredText(
                        place=place,
                        key=key,
                        parts=[*parts, *({"caller_address": one} for one in addresses.get(order_id, ()))],
                        names=names_in(row["found"]) | ({str(key[0])} if place is Place.CONSUMERS else set()),
                        client_id=ClientId(row["whose"]),
                        stored_at=instant(row["since"]),
                        order_id=order_id,
                    )
                )
        last = None if len(rows) < LOOKED_AT_ONCE else tuple(rows[-1][column.name] for column in keys)
        return Scanned(texts=texts, last=last)

    async def forget(self, place: Place, key: Key, person: Person) -> bool:
        """See `PersonalTexts.forget`."""
        it = COLUMNS[place]
        columns = list(it.table.primary_key.columns)
        is_it = [column == value for column, value in zip(columns, key, strict=True)]
        async with self._store.transaction() as tx:
            rows = await tx.rows(select(*columns, it.text.label("found")).where(*is_it).with_for_update())
            made = without_person(rows[0]["found"], person) if rows and rows[0]["found"] is not None else None
            if made is None:
                return False
            if place is Place.EVENTS:
                await _keep_digest(tx, is_it)
            await tx.run(update(it.table).where(*is_it).values({it.text.name: made}))
            if it.of_order:  # what waits to be sent again is made again, and receivers may have answered what they got
                of_order, asked = deliveries.c.order_id == key[0], delivery_attempts.c.order_id == key[0]
                await tx.run(update(deliveries).where(of_order).values(body=None, headers=None))
                await tx.run(update(delivery_attempts).where(asked).values(answer=None))
            if place is Place.ORDERS:
                order_id = OrderId(rows[0]["order_id"])
                if _is_bought_by(rows[0], person):
                    for table in _ASKED:
                        its = (table.c.order_id == order_id, self._from_a_buyer(table))
                        await tx.run(update(table).where(*its).values(address=None))
                await tx.renew_handles([order_id])  # so that no search finds the order by what was forgotten
        return True

    def _from_a_buyer(self, table: Table) -> ColumnElement[bool]:
        """Whether a record's address may be a buyer's: browsers ask over these contracts, and over no others."""
        return _ASKED[table].in_(holding_tickets(self._store.kinds)) & table.c.address.is_not(None)

    async def _buyers_addresses(
        self, reading: SqlTransaction, order_ids: Sequence[int]
    ) -> Mapping[int | None, Sequence[str]]:
        """Return the addresses that the buyers of these orders may have asked from."""
        found: dict[int | None, dict[str, None]] = defaultdict(dict)
        for table in _ASKED:
            its = (table.c.order_id.in_(order_ids), self._from_a_buyer(table))
            for row in await reading.rows(select(table.c.order_id, table.c.address).where(*its).distinct()):
                found[row["order_id"]][row["address"]] = None
        return {order_id: list(addresses) for order_id, addresses in found.items()}

    async def orders_ahead(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderAhead]:
        """See `PersonalTexts.orders_ahead`. An event without any instant counts until the end of its sale."""
        found: dict[OrderId, OrderAhead] = {}
        ends = func.max(func.coalesce(events.c.ends_at, events.c.starts_at, events.c.sale_ends_at)).label("ends")
        tickets_for = order_lines.join(products, products.c.uid == order_lines.c.product_uid).join(
            events, events.c.uid == products.c.event_uid
        )
        for start in range(0, len(order_ids), _ORDERS_AT_ONCE):
            some = order_ids[start : start + _ORDERS_AT_ONCE]
            of_some = order_lines.c.order_id.in_(some)
            per_order = select(order_lines.c.order_id, ends).select_from(tickets_for).where(of_some)
            async with self._store.snapshot() as reading:
                rows = await reading.rows(per_order.group_by(order_lines.c.order_id))
                last = {row["order_id"]: row["ends"] for row in rows}
                for order_id, order in (await reading.orders(some)).items():
                    at = last.get(order_id)
                    found[order_id] = OrderAhead(order=order, event_ends_at=instant_or_none(at))
        return found

    async def begin_request(
        self, request_id: str, kind: RequestKind, person: Person, actor: Actor, now: datetime
    ) -> None:
        """See `PersonalTexts.begin_request`."""
        key = await self._hmac_key(now)
        hashed = hmac.new(bytes.fromhex(key), person.email.casefold().encode(), hashlib.sha256).hexdigest()
        row = {
            "id": request_id,
            "kind": kind.value,
            "person_hmac": hashed,
            "requested_at": micros(now),
            "client_id": actor.client_id,
            "staff_id": actor.staff_id,
            "acting_as": actor.acting_as,
            "counts": "{}",
        }
        async with self._store.transaction() as tx:
            await tx.run(insert(privacy_requests).values(row))

    async def count_request(self, request_id: str, counts: Mapping[str, int], finished_at: datetime | None) -> None:
        """See `PersonalTexts.count_request`."""
        finished = None if finished_at is None else micros(finished_at)
        values = {"finished_at": finished, "counts": json.dumps(dict(counts), sort_keys=True)}
        async with self._store.transaction() as tx:
            await tx.run(update(privacy_requests).where(privacy_requests.c.id == request_id).values(values))

    async def empty_log(self) -> None:
        """See `PersonalTexts.empty_log`."""
        with suppress(UnavailableError):  # everything is forgotten and recorded already
            await self._store.empty_log()

    async def _hmac_key(self, now: datetime) -> str:
        """Return the key of the hashes; the first request makes it. Of two nodes at once, one makes it."""
        query = select(privacy_keys.c.hmac_key).where(privacy_keys.c.number == _KEY)
        async with self._store.snapshot() as reading:
            rows = await reading.rows(query)
        if rows:
            return str(rows[0]["hmac_key"])
        row = {"number": _KEY, "hmac_key": secrets.token_hex(32), "created_at": micros(now)}
        try:
            async with self._store.transaction() as tx:
                await tx.run(insert(privacy_keys).values(row))
        except TakenError as error:
            if error.constraint != "pk_privacy_keys":
                raise
        return await self._hmac_key(now)


async def _keep_digest(tx: SqlTransaction, is_it: Sequence[ColumnElement[bool]]) -> None:
    """Store the digest of an event before its details are replaced, so that its id stays the same."""
    (row,) = await tx.rows(select(outbox.c.recorded_at, outbox.c.details, outbox.c.digest).where(*is_it))
    await tx.run(update(outbox).where(*is_it).values(digest=digest_of_row(row)))


def _is_bought_by(row: Row, person: Person) -> bool:
    return row["found"] is not None and buyer_is(row["found"], person)


def _pattern(email: str) -> str:
    """Return a LIKE pattern that every text with the address matches, in lower case, escaped in JSON or not.

    `lower` of SQLite knows ASCII alone, so any other character matches any text; Python compares again.
    """
    made = "".join(_in_pattern(one) for one in email.lower())
    return f"%{made}%"


def _in_pattern(character: str) -> str:
    if not character.isascii() or character in '"\\/':
        return "%"
    return f"{_ESCAPE}{character}" if character in ("%", "_", _ESCAPE) else character


def _behind(keys: Sequence[AnyColumn], after: Key) -> ColumnElement[bool]:
    return keys[0] > after[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*after)

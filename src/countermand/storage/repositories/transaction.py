"""Reads and writes of one transaction, in SQLAlchemy Core."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, Integer, func, insert, select, text, tuple_, update

from countermand.actions.catalogue.ports import Offer, Reserved
from countermand.actions.idempotency import IdempotencyKey, KeptAnswer
from countermand.actions.ordering.history import REFUSALS_SHOWN, History
from countermand.actions.ordering.new_order import NewOrder
from countermand.actions.ordering.ports import OrdersWanted
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_events import OrderEvent, place_in_version
from countermand.storage.prepared import Prepared, argument
from countermand.storage.repositories.appointments import AppointmentRows
from countermand.storage.repositories.approvals import ApprovalRows
from countermand.storage.repositories.catalogue import CatalogueRows
from countermand.storage.repositories.corrections import CorrectionRows
from countermand.storage.repositories.decisions import DecisionRows, refusal_of, undone_cancellation_of
from countermand.storage.repositories.deliveries import DeliveryRows
from countermand.storage.repositories.desk_lists import DeskListRows
from countermand.storage.repositories.endpoints import EndpointRows
from countermand.storage.repositories.facts import columns_of_order
from countermand.storage.repositories.feed import FeedRows
from countermand.storage.repositories.idempotency_keys import fingerprints_of
from countermand.storage.repositories.new_orders import reserved_of, rows_of
from countermand.storage.repositories.offers import OfferNames
from countermand.storage.repositories.order_search import OrderSearchRows
from countermand.storage.repositories.payments import PaymentRows
from countermand.storage.repositories.refunds import RefundRows
from countermand.storage.repositories.refusals import RefusalRows
from countermand.storage.repositories.rows import (
    actor_columns,
    client_of,
    order_named,
    order_of,
    orders_named,
    outbox_record_of,
    written,
)
from countermand.storage.repositories.seats import SeatRows
from countermand.storage.repositories.tickets import TicketingRows
from countermand.storage.repositories.totals import TotalRows
from countermand.storage.sql_types import Column
from countermand.storage.tables.appointments import appointment_tasks
from countermand.storage.tables.cancelling import outbox, policies, refusals, undone_cancellations
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import instant_or_none, micros
from countermand.storage.tables.orders import orders
from countermand.storage.tables.schema import NEWEST_NOTE
from countermand.storage.tables.tickets import tickets

_KEPT_ANSWER: Final = """
SELECT fingerprint, message_fingerprint, answer, undone_at FROM idempotency_keys WHERE client_id = $1 AND key = $2
"""
_KEEP_ANSWER: Final = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, message_fingerprint, created_at, answer)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_OF_ORDER: Final = argument("of_order", BigInteger)
_ORDER: Final = Prepared(order_named(_OF_ORDER))
_LOCKED_ORDER: Final = Prepared(order_named(_OF_ORDER).with_for_update(key_share=True, of=orders))
_CHANGE_ORDER: Final = Prepared(
    update(orders)
    .where(orders.c.id == _OF_ORDER, orders.c.version == argument("of_version", Integer))
    .returning(orders.c.version),
    ("version", "state", "appointment_starts_at", "first_payment_at", "refunded_version"),
)
_OF_EVENT: Final = (
    *("order_id", "order_version", "kind", "recorded_at", "details"),
    *("client_id", "channel", "staff_id", "acting_as", "address"),
)


@cache
def _append(events: int) -> Prepared:
    """Return the statement that puts so many events into the outbox."""
    rows = [{name: argument(f"{name}_{number}", outbox.c[name].type) for name in _OF_EVENT} for number in range(events)]
    return Prepared(insert(outbox).values(rows))


class SqlTransaction(
    AppointmentRows,
    ApprovalRows,
    CatalogueRows,
    CorrectionRows,
    DecisionRows,
    DeliveryRows,
    DeskListRows,
    EndpointRows,
    FeedRows,
    OrderSearchRows,
    PaymentRows,
    RefundRows,
    RefusalRows,
    SeatRows,
    TicketingRows,
    TotalRows,
):
    """Implements every protocol of a transaction that the actions name, on one connection."""

    # reading

    async def order(self, order_id: OrderId) -> Order | None:
        """See `OrderReading.order`."""
        row = await self._prepared_one(_ORDER, {"of_order": order_id})
        return None if row is None else order_of(row, self._kinds)

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """See `OrderReading.orders`."""
        found = await self.rows(orders_named().where(orders.c.id.in_(order_ids)))
        return {OrderId(row["id"]): order_of(row, self._kinds) for row in found}

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """See `OrderViews.views`."""
        return await (await self._at_once(self._direct.view_rows(order_ids))).views(self._kinds)

    async def orders_of(self, client_id: ClientId, wanted: OrdersWanted, at_most: int) -> Sequence[OrderId]:
        """See `OrderLists.orders_of`. Along one index, which has them in this order."""
        newest = (orders.c.created_at.desc(), orders.c.id.desc())
        found = select(orders.c.id).where(orders.c.client_id == client_id).order_by(*newest).limit(at_most)
        if wanted.states is not None:
            found = found.where(orders.c.state.in_([state.value for state in wanted.states]))
        if wanted.created_from is not None:
            found = found.where(orders.c.created_at >= micros(wanted.created_from))
        if wanted.created_before is not None:
            found = found.where(orders.c.created_at < micros(wanted.created_before))
        if wanted.before is not None:
            created_at, order_id = wanted.before
            found = found.where(tuple_(orders.c.created_at, orders.c.id) < tuple_(micros(created_at), order_id))
        if wanted.has_visit is not None:
            found = found.where(_is_there(orders.c.appointment_starts_at, is_there=wanted.has_visit))
        if wanted.has_payment is not None:
            found = found.where(_is_there(orders.c.first_payment_at, is_there=wanted.has_payment))
        return [OrderId(row["id"]) for row in await self.rows(found)]

    async def history(self, order_id: OrderId) -> History:
        """See `OrderReading.history`."""
        told = sorted(
            await self.rows(select(outbox).where(outbox.c.order_id == order_id)),
            key=lambda row: (row["order_version"], place_in_version(row["kind"])),
        )
        refused = await self.rows(
            select(refusals)
            .where(refusals.c.order_id == order_id)
            .order_by(refusals.c.decided_at.desc())
            .limit(REFUSALS_SHOWN)
        )
        cancelled = await self.cancellation(order_id)
        undone = [
            undone_cancellation_of(row)
            for row in await self.rows(
                select(undone_cancellations)
                .where(undone_cancellations.c.order_id == order_id)
                .order_by(undone_cancellations.c.order_version)
            )
        ]
        paid = await self.payments_of(order_id)
        corrections = await self.corrections_of(order_id) if paid else ()  # each one answers a payment
        clients_of = {row["client_id"] for row in (*told, *refused)}
        clients_of |= {one.actor.client_id for one in corrections} | {one.actor.client_id for one in undone}
        clients_of |= {one.record.actor.client_id for one in undone}
        clients_of |= set() if cancelled is None else {cancelled.actor.client_id}
        owner = select(orders.c.client_id).where(orders.c.id == order_id).scalar_subquery()
        who = await self.rows(select(clients).where(clients.c.id.in_(clients_of) | (clients.c.id == owner)))
        return History(
            events=tuple(outbox_record_of(row) for row in told),
            refusals=tuple(refusal_of(row) for row in reversed(refused)),
            cancellation=cancelled,
            undone=tuple(undone),
            payments=tuple(paid),
            corrections=tuple(corrections),
            clients={ClientId(row["id"]): client_of(row) for row in who},
        )

    async def oldest_pending_task(self) -> datetime | None:
        """Return since when the oldest task about an appointment waits for its answer, or None."""
        waiting = select(func.min(appointment_tasks.c.asked_at).label("at"))
        row = await self._one(waiting.where(appointment_tasks.c.state == text("'pending'")))
        return None if row is None else instant_or_none(row["at"])

    async def policy_content(self, version: PolicyVersion) -> Mapping[str, object] | None:
        """See `PolicyContents.policy_content`."""
        row = await self._one(select(policies.c.content).where(policies.c.version == version))
        return None if row is None else json.loads(row["content"])

    async def kept_answer(self, client_id: ClientId, key: str) -> KeptAnswer | None:
        """See `KeptAnswers.kept_answer`."""
        (row,) = await self._at_once(self._direct.rows(_KEPT_ANSWER, client_id, key)) or (None,)
        if row is None:
            return None
        return KeptAnswer(
            fingerprints=fingerprints_of(row),
            answer=None if row["answer"] is None else row["answer"].encode(),
            is_undone=row["undone_at"] is not None,
        )

    # writing

    async def lock_order(self, order_id: OrderId) -> Order | None:
        """See `OrderLock.lock_order`. SQLite knows no row locks: there the transaction holds the one write lock."""
        row = await self._prepared_one(_LOCKED_ORDER, {"of_order": order_id})
        return None if row is None else order_of(row, self._kinds)

    async def next_number(self, counter: str) -> int:
        """See `NumberSource.next_number`."""
        (number,) = await self.next_numbers(counter)
        return number

    async def next_numbers(self, *counters: str) -> Sequence[int]:
        """See `NumberSource.next_numbers`."""
        return await self._at_once(self._direct.next_numbers(counters))

    async def offer(
        self, product_uids: Sequence[str], voucher_codes: Sequence[str], method_uids: Sequence[str]
    ) -> Offer:
        """See `OfferReading.offer`."""
        rows, _ = await self._at_once(self._direct.offer_rows(OfferNames(product_uids, voucher_codes, method_uids)))
        return rows.offer()

    async def offer_and_number(
        self, counter: str, product_uids: Sequence[str], voucher_codes: Sequence[str], method_uids: Sequence[str]
    ) -> tuple[Offer, int]:
        """See `NumberedOffers.offer_and_number`."""
        named = OfferNames(product_uids, voucher_codes, method_uids)
        rows, number = await self._at_once(self._direct.offer_rows(named, counter))
        assert number is not None, "the counter was counted up"
        return rows.offer(), number

    async def insert_order(self, new: NewOrder) -> Reserved:
        """See `OrderInsertion.insert_order`."""
        rows = rows_of(new, self._kinds)
        taken = await self._at_once(self._direct.insert_new(rows))
        self.wrote_events |= bool(new.events)
        return reserved_of(taken, rows.places)

    async def change_order(self, order: Order, facts: OrderFacts) -> Order:
        """See `OrderChange.change_order`."""
        of_order = {"of_order": order.id, "of_version": order.version}
        changed = await self._prepared_one(_CHANGE_ORDER, of_order | columns_of_order(facts, order.version + 1))
        assert changed is not None, "the order was locked, so no other transaction changed it"
        return replace(order, version=order.version + 1, facts=facts)

    async def release_tickets(self, order_id: OrderId) -> None:
        """See `TicketRelease.release_tickets`."""
        released = await self.rows(
            update(tickets)
            .where(tickets.c.order_id == order_id, tickets.c.valid)
            .values(valid=False, released=True)
            .returning(tickets.c.product_uid)
        )
        uids = [row["product_uid"] for row in released]
        for uid in sorted(set(uids)):
            await self._execute(
                update(products)
                .where(products.c.uid == uid)
                .values(availability=products.c.availability + uids.count(uid))
            )

    async def append_events(self, order: Order, actor: Actor, events: Sequence[OrderEvent], now: datetime) -> None:
        """See `OrderEventWriting.append_events`."""
        given: dict[str, object] = {}
        for number, event in enumerate(events):
            row = {
                "order_id": order.id,
                "order_version": order.version,
                "kind": event.kind.value,
                "recorded_at": micros(now),
                "details": written(event.details),
                **actor_columns(actor),
            }
            given |= {f"{name}_{number}": value for name, value in row.items()}
        await self._prepared(_append(len(events)), given)
        self.wrote_events = True

    async def claim_key(self, client_id: ClientId, key: str) -> None:
        """See `KeptAnswers.claim_key`."""
        named = hashlib.sha256(f"countermand idempotency key {client_id} {key}".encode()).digest()
        await self._at_once(self._direct.claim(int.from_bytes(named[:8], signed=True)))

    async def keep_answer(self, client_id: ClientId, key: IdempotencyKey, answer: bytes, now: datetime) -> None:
        """See `KeptAnswers.keep_answer`."""
        given = (client_id, key.key, key.fingerprints.request, key.fingerprints.message, micros(now), answer.decode())
        await self._at_once(self._direct.rows(_KEEP_ANSWER, *given))

    async def known_policies(self) -> frozenset[PolicyVersion]:
        """Return the versions of all policies that were ever in force."""
        return frozenset(PolicyVersion(row["version"]) for row in await self.rows(select(policies.c.version)))

    async def keep_policy(self, policy: Policy, now: datetime) -> None:
        """Store a policy. Raises `TakenError` if it is already stored."""
        await self._execute(
            insert(policies).values(
                version=policy.version,
                contract=policy.contract,
                content=written(policy.content),
                first_used_at=micros(now),
            )
        )

    async def schema(self) -> tuple[int, int]:
        """Return the number of the database's schema, and of the oldest code that works with it."""
        row = await self._one(NEWEST_NOTE)
        return (0, 0) if row is None else (row["number"], row["oldest_code"])


def _is_there(column: Column, *, is_there: bool) -> ColumnElement[bool]:
    return column.is_not(None) if is_there else column.is_(None)

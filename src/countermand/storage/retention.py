"""Deletes old rows.

The rules are about order events and their deliveries, attempts to deliver them, refusals, approvals, cancellations and
those that were undone, idempotency keys, used assertions and retired signing keys.

Each call deletes a limited number of rows in a short transaction, so that no request waits long for it. Several nodes
may do it at the same time.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Column, ColumnElement, Table, delete, exists, func, select, tuple_

from countermand.storage.store import SqlStore
from countermand.storage.tables.cancelling import (
    approvals,
    cancellations,
    idempotency_keys,
    outbox,
    refusals,
    undone_cancellations,
)
from countermand.storage.tables.clients import signing_keys, used_assertions
from countermand.storage.tables.columns import micros
from countermand.storage.tables.delivering import deliveries, delivery_attempts, delivery_head, endpoints


@dataclass(frozen=True, kw_only=True, eq=False)
class RetentionRule:
    """Names a table whose rows are kept for a while, and the column with the instant from which a row's age counts."""

    name: str  # for people
    table: Table
    since: Column[int]
    but: ColumnElement[bool] | None = None  # a predicate for the rows that are kept, however old they are

    def older(self, before: datetime) -> ColumnElement[bool]:
        """Return a predicate for the rows from before an instant.

        A row with NULL in `since` is never old: an undelivered order event, or a signing key that is not retired.
        """
        is_old = self.since < micros(before)
        return is_old if self.but is None else is_old & ~self.but


IDEMPOTENCY_KEYS: Final = RetentionRule(
    name="idempotency keys", table=idempotency_keys, since=idempotency_keys.c.created_at
)
_WAITS: Final = exists().where(
    deliveries.c.order_id == outbox.c.order_id,
    deliveries.c.order_version == outbox.c.order_version,
    deliveries.c.kind == outbox.c.kind,
    deliveries.c.state == "pending",
)
_HAS_LISTENERS: Final = exists().where(endpoints.c.removed_at.is_(None)) & (
    outbox.c.recorded_at >= select(delivery_head.c.dispatch_from).scalar_subquery()
)
# `delivered_at` is when the event was handed to its endpoints; it is kept until the last of them is done with it.
DELIVERED_ORDER_EVENTS: Final = RetentionRule(
    name="delivered order events", table=outbox, since=outbox.c.delivered_at, but=_WAITS
)
# Events that no endpoint will ever get, because there was none.
UNHEARD_ORDER_EVENTS: Final = RetentionRule(
    name="order events without an endpoint",
    table=outbox,
    since=outbox.c.recorded_at,
    but=outbox.c.delivered_at.is_not(None) | _HAS_LISTENERS,
)
DELIVERIES: Final = RetentionRule(name="deliveries", table=deliveries, since=deliveries.c.ended_at)
ATTEMPTS: Final = RetentionRule(name="attempts to deliver", table=delivery_attempts, since=delivery_attempts.c.at)
REFUSALS: Final = RetentionRule(name="refusals", table=refusals, since=refusals.c.decided_at)
APPROVALS: Final = RetentionRule(name="approvals", table=approvals, since=approvals.c.asked_at)
USED_ASSERTIONS: Final = RetentionRule(
    name="used assertions", table=used_assertions, since=used_assertions.c.expires_at
)
RETIRED_KEYS: Final = RetentionRule(name="retired signing keys", table=signing_keys, since=signing_keys.c.retired_at)
CANCELLATIONS: Final = RetentionRule(name="cancellations", table=cancellations, since=cancellations.c.decided_at)
UNDONE_CANCELLATIONS: Final = RetentionRule(
    name="undone cancellations", table=undone_cancellations, since=undone_cancellations.c.decided_at
)


async def forget(store: SqlStore, kept: RetentionRule, before: datetime, *, at_most: int) -> int:
    """Delete up to `at_most` rows from before an instant, and return their number.

    Rows that another node is deleting are skipped.
    """
    key = list(kept.table.primary_key.columns)
    some = select(*key).where(kept.older(before)).limit(at_most).with_for_update(skip_locked=True)
    async with store.transaction() as tx:
        return await tx.run(delete(kept.table).where(tuple_(*key).in_(some)))


async def count_old(store: SqlStore, kept: RetentionRule, before: datetime) -> int:
    """Return the number of rows from before an instant."""
    async with store.snapshot() as reading:
        (row,) = await reading.rows(select(func.count().label("old")).where(kept.older(before)))
    return int(row["old"])

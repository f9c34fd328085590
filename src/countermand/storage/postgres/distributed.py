"""Cancels a batch on PostgreSQL with separate statements in one transaction: an experiment towards Citus.

Citus does not accept a data-modifying WITH over several shards. These statements do not work on Citus yet, either: see
docs/scaling.md, step 8.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.metrics import MetricsHook
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_events import OrderEventKind, appointment_cancelled, order_cancelled, refund_due
from countermand.domain.orders.order_kind import OrderKinds, holding_tickets
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import CANCELLED_WITHOUT_REASON, CorrectionKind, RefundState
from countermand.storage.due_sql import kept_amounts, numbered, owing
from countermand.storage.postgres.connections import PooledConnection
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered
from countermand.storage.postgres.statements import ACTIVE, KEEP, as_columns, policy_predicate
from countermand.storage.repositories.idempotency_keys import key_columns
from countermand.storage.repositories.rows import written
from countermand.storage.tables.columns import instant

# Each statement names its orders by number, and the rows that a statement returns go to the next as arrays. A row that
# was read first is written only if its version is still the same.
# A policy need not look at the instant `$1`, but PostgreSQL must know the type of every parameter.
_SEE: Final = """
SELECT o.id AS order_id, o.version, o.contract, o.client_id, o.state, o.appointment_starts_at, o.first_payment_at,
       CASE WHEN o.refunded_version = o.version THEN true END AS refunded_in_full
FROM orders AS o WHERE o.id = ANY($2::bigint[]) AND $1::bigint IS NOT NULL AND ({predicate})"""
_CANCEL: Final = f"""
UPDATE orders AS o SET state = '{OrderState.CANCELLED}', appointment_starts_at = NULL, version = o.version + 1,
                       refunded_version = o.refunded_version + 1
WHERE o.id = ANY($1::bigint[]) AND o.version = ($2::integer[])[array_position($1::bigint[], o.id)]
RETURNING o.id"""
_DO_NOT_WAIT: Final = "SET LOCAL lock_timeout = '20ms'"
_RECORD: Final = """
INSERT INTO cancellations (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                           state, appointment_starts_at, first_payment_at, refunded_in_full, reason, staff_id,
                           acting_as, address)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::bigint[], $10::bigint[], $11::boolean[], $12::text[], $13::text[], $14::text[],
                     $15::text[])"""
_APPEND_EVENTS: Final = """
INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                    address)
SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[])"""
_RELEASE_APPOINTMENTS: Final = f"""
UPDATE appointments SET state = '{AppointmentState.CANCELLED}', cancelled_at = $1, cancelled_from = state
WHERE order_id = ANY($2::bigint[]) AND state IN ({ACTIVE})
RETURNING order_id, id, starts_at, ends_at"""
_RELEASE_TICKETS: Final = """
UPDATE tickets SET valid = false, released = true WHERE order_id = ANY($1::bigint[]) AND valid
RETURNING product_uid"""
_GIVE_BACK: Final = "UPDATE products SET availability = availability + $2 WHERE uid = $1"

_KEPT_AMOUNTS: Final = kept_amounts("unnest($1::bigint[]) AS b (order_id)")
_OWE: Final = f"""
INSERT INTO payment_corrections (order_id, number, kind, amount_minor, currency, state, reason, recorded_at,
                                 client_id, channel, staff_id, acting_as, address)
SELECT b.order_id, b.number, '{CorrectionKind.REFUND}', b.minor, b.currency, '{RefundState.DUE}', b.reason,
       $11::bigint, b.client_id, b.channel, b.staff_id, b.acting_as, b.address
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::text[],
            $9::text[], $10::text[])
    AS b (order_id, number, minor, currency, reason, client_id, channel, staff_id, acting_as, address)"""


class CancelApart:
    """Cancels a batch with the statements above, in one transaction or, with `skip_held`, in one for each order."""

    def __init__(self, policies: Policies, kinds: OrderKinds, metrics: MetricsHook) -> None:
        self._policies = policies
        self._holding_tickets = holding_tickets(kinds)
        self._owing = owing(policies.by_contract.values(), kinds)
        self._metrics = metrics
        self._see = _SEE.format(predicate=policy_predicate(policies.by_contract.values()))

    async def __call__(
        self,
        connection: PooledConnection,
        commands: Sequence[CancelOrder],
        now: int,
        skip_held: bool,  # noqa: FBT001
    ) -> Mapping[CommandId, None]:
        """Cancel the batch. It locks rows in the usual order: orders, appointments, tickets, products, each by key."""
        if not skip_held:
            return dict.fromkeys(await self._part(connection, commands, now))
        cancelled: frozenset[CommandId] = frozenset()
        for command in commands:  # SKIP LOCKED does not work over shards, so each order is tried with a short wait
            try:
                cancelled |= await self._part(connection, [command], now, _DO_NOT_WAIT)
            except asyncpg.LockNotAvailableError:
                continue
            except DRIVER_ERRORS as error:
                if not cancelled or is_unanswered(error):
                    raise
                break  # the orders before it are committed, so no error may say that nothing was done
        return dict.fromkeys(cancelled)

    async def _part(
        self, connection: PooledConnection, commands: Sequence[CancelOrder], now: int, first: str | None = None
    ) -> frozenset[CommandId]:
        with self._metrics.statement("cancel in parts"):
            async with connection.transaction():
                if first is not None:
                    await connection.execute(first)
                seen = await connection.fetch(self._see, now, sorted({c.order_id for c in commands}))
                rows = {row["order_id"]: row for row in seen}
                mine = {
                    c.order_id: c
                    for c in commands
                    if c.order_id in rows and (c.on_behalf or rows[c.order_id]["client_id"] == c.client_id)
                }
                ids = sorted(mine)
                versions = [rows[order_id]["version"] for order_id in ids]
                cancelled = {row["id"] for row in await connection.fetch(_CANCEL, ids, versions)}
                won = [(mine[order_id], rows[order_id]) for order_id in ids if order_id in cancelled]
                if won:
                    await self._finish(connection, won, now)
        return frozenset(command.command_id for command, _ in won)

    async def _finish(
        self, connection: PooledConnection, won: Sequence[tuple[CancelOrder, asyncpg.Record]], now: int
    ) -> None:
        """Write everything that a cancellation changes besides the order's row. Unneeded statements are left out."""
        records, keys = [], []
        told: list[tuple[object, ...]] = []
        for command, row in won:
            policy = self._policies.by_contract[ContractName(row["contract"])]
            client_id, channel, *who = command.actor
            placed = (client_id, row["contract"], channel, policy.version)
            facts = (row["state"], row["appointment_starts_at"], row["first_payment_at"], row["refunded_in_full"])
            records.append((command.order_id, command.command_id, now, *placed, *facts, command.reason, *who))
            details = written(order_cancelled(row["state"], command.reason).details)
            about = (command.order_id, row["version"] + 1)
            told.append(_event(about, OrderEventKind.ORDER_CANCELLED, now, command.actor, details))
            if command.idempotency is not None:
                key = command.idempotency
                keys.append((*key_columns(command.client_id, key), now, command.order_id, True, *[None] * 5))
        by_order = {command.order_id: (row["version"] + 1, command.actor) for command, row in won}
        if with_visit := [c.order_id for c, row in won if row["appointment_starts_at"] is not None]:
            for visit in await connection.fetch(_RELEASE_APPOINTMENTS, now, with_visit):
                version, actor = by_order[visit["order_id"]]
                about = (visit["order_id"], version)
                details = _visit_details(visit)
                told.append(_event(about, OrderEventKind.APPOINTMENT_CANCELLED, now, actor, details))
        paid = ((c, row) for c, row in won if row["first_payment_at"] is not None)
        if may_keep := {c.order_id: c for c, row in paid if row["contract"] in self._owing}:
            told += await self._owe(connection, may_keep, by_order, now)
        await connection.execute(_RECORD, *as_columns(records))
        await connection.execute(_APPEND_EVENTS, *as_columns(told))
        if keys:
            await connection.execute(KEEP, *as_columns(keys))
        if with_tickets := [c.order_id for c, row in won if row["contract"] in self._holding_tickets]:
            released = await connection.fetch(_RELEASE_TICKETS, with_tickets)
            given_back = Counter(row["product_uid"] for row in released)
            await connection.executemany(_GIVE_BACK, sorted(given_back.items()))

    async def _owe(
        self,
        connection: PooledConnection,
        commands: Mapping[OrderId, CancelOrder],
        by_order: Mapping[OrderId, tuple[int, Actor]],
        now: int,
    ) -> list[tuple[object, ...]]:
        """Write what must be paid back, as refunds that are due, and return their events."""
        due = numbered(await connection.fetch(_KEPT_AMOUNTS, list(commands)))
        rows, told = [], []
        for of, each in due.items():
            reason, (version, actor) = commands[of].reason, by_order[of]
            said = CANCELLED_WITHOUT_REASON if reason is None else reason
            rows += [(of, number, one.minor, one.currency, said, *actor) for number, one in each]
            details = written(refund_due([one for _, one in each], reason).details)
            told.append(_event((of, version), OrderEventKind.REFUND_DUE, now, actor, details))
        if rows:
            await connection.execute(_OWE, *as_columns(rows), now)
        return told


def _event(about: tuple[int, int], kind: OrderEventKind, now: int, actor: Actor, details: str) -> tuple[object, ...]:
    client_id, channel, staff_id, acting_as, address = actor
    return (*about, kind.value, now, client_id, details, staff_id, acting_as, channel, address)


def _visit_details(row: asyncpg.Record) -> str:
    appointment = Appointment(
        id=AppointmentId(row["id"]),
        state=AppointmentState.CANCELLED,
        starts_at=instant(row["starts_at"]),
        ends_at=instant(row["ends_at"]),
    )
    return written(appointment_cancelled(appointment).details)

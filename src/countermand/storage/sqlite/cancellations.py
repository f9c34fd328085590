"""Runs the statements of the cancellation path on SQLite: on one connection, on the event loop, behind one lock.

A thread would cost a fifth of the throughput (measured), because it shares the interpreter lock with the event loop. A
commit blocks the loop for one fsync; the commands that arrive meanwhile are the next batch. A batch is passed to SQLite
as one JSON document.
"""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import BigInteger, func, literal_column, select, text
from sqlalchemy.dialects import sqlite

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancelOrder, Kept, RefusalRecord
from countermand.actions.errors import OutcomeUnknownError
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.domain.appointments.appointment import (
    ACTIVE_APPOINTMENT_STATES,
    Appointment,
    AppointmentId,
    AppointmentState,
)
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import OrderEventKind, appointment_cancelled, refund_due
from countermand.domain.orders.order_kind import OrderKinds, holding_tickets
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import CANCELLED_WITHOUT_REASON, CorrectionKind, RefundState
from countermand.storage.driver import as_unforeseen
from countermand.storage.due_sql import kept_amounts, numbered, owing
from countermand.storage.policy_sql import as_text, policies_predicate
from countermand.storage.repositories.decisions import codes_column
from countermand.storage.repositories.facts import columns_of_decision
from countermand.storage.repositories.idempotency_keys import kept_of, key_columns
from countermand.storage.repositories.rows import ViewRows, order_of, view_queries, written
from countermand.storage.sql_types import Query
from countermand.storage.sqlite.checkpoints import Checkpoints
from countermand.storage.sqlite.errors import DRIVER_ERRORS, is_undone, our_error, retry_while_busy, translated
from countermand.storage.sqlite.file import OpenFile, connect
from countermand.storage.sqlite.ticket_rows import TicketRowReads
from countermand.storage.sqlite.write_lock import WriteLock
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.orders import orders

_ACTIVE: Final = ", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))

_CANCEL: Final = """
INSERT INTO cancellations (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                           state, appointment_starts_at, first_payment_at, refunded_in_full, reason, staff_id,
                           acting_as, address)
SELECT o.id, json_extract(b.value, '$[1]'), :now, json_extract(b.value, '$[2]'), o.contract,
       json_extract(b.value, '$[4]'), CASE o.contract {versions} END, o.state, o.appointment_starts_at,
       o.first_payment_at, CASE WHEN o.refunded_version = o.version THEN true END, json_extract(b.value, '$[5]'),
       json_extract(b.value, '$[6]'), json_extract(b.value, '$[7]'), json_extract(b.value, '$[8]')
FROM json_each(:batch) AS b CROSS JOIN orders AS o ON o.id = json_extract(b.value, '$[0]')
WHERE (json_extract(b.value, '$[3]') OR o.client_id = json_extract(b.value, '$[2]')) AND ({predicate})
RETURNING order_id, command_id, contract, state, appointment_starts_at, first_payment_at, reason
"""
_OWE: Final = f"""
INSERT INTO payment_corrections (order_id, number, kind, amount_minor, currency, state, reason, recorded_at,
                                 client_id, staff_id, acting_as, channel, address)
SELECT c.order_id, json_extract(b.value, '$[1]'), '{CorrectionKind.REFUND}', json_extract(b.value, '$[2]'),
       json_extract(b.value, '$[3]'), '{RefundState.DUE}', coalesce(c.reason, '{CANCELLED_WITHOUT_REASON}'),
       c.decided_at, c.client_id, c.staff_id, c.acting_as, c.door, c.address
FROM json_each(:due) AS b CROSS JOIN cancellations AS c ON c.order_id = json_extract(b.value, '$[0]')
"""
_KEPT_AMOUNTS: Final = kept_amounts("(SELECT value AS order_id FROM json_each(:ids)) AS b")
_CANCEL_ORDERS: Final = f"""
UPDATE orders SET state = '{OrderState.CANCELLED}', appointment_starts_at = NULL, version = version + 1,
                  refunded_version = refunded_version + 1
WHERE id IN (SELECT value FROM json_each(:ids))
"""
_APPEND_CANCELLED: Final = f"""
INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                    address)
SELECT c.order_id, o.version, '{OrderEventKind.ORDER_CANCELLED}', c.decided_at, c.client_id,
       json_object('from', c.state, 'reason', c.reason), c.staff_id, c.acting_as, c.door, c.address
FROM json_each(:ids) AS b CROSS JOIN cancellations AS c ON c.order_id = b.value JOIN orders AS o ON o.id = b.value
"""
_RELEASE_APPOINTMENTS: Final = f"""
UPDATE appointments SET state = '{AppointmentState.CANCELLED}', cancelled_at = :now, cancelled_from = state
WHERE order_id IN (SELECT value FROM json_each(:ids)) AND state IN ({_ACTIVE})
RETURNING order_id, id, starts_at, ends_at
"""
_APPEND: Final = """
INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                    address)
SELECT c.order_id, o.version, :kind, c.decided_at, c.client_id,
       json_extract(b.value, '$[1]'), c.staff_id, c.acting_as, c.door, c.address
FROM json_each(:events) AS b CROSS JOIN cancellations AS c ON c.order_id = json_extract(b.value, '$[0]')
JOIN orders AS o ON o.id = c.order_id
"""
_RELEASE_TICKETS: Final = """
UPDATE tickets SET valid = 0, released = 1
WHERE order_id IN (SELECT value FROM json_each(:ids)) AND valid
RETURNING product_uid
"""
_GIVE_BACK: Final = "UPDATE products SET availability = availability + ? WHERE uid = ?"
_KEEP: Final = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, message_fingerprint, created_at, order_id, cancelled,
                              policy_version, state, appointment_starts_at, first_payment_at, refunded_in_full)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_REFUSE: Final = """
INSERT INTO refusals (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                      state, appointment_starts_at, first_payment_at, refunded_in_full, reason, codes, staff_id,
                      acting_as, address)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COMMITTED: Final = """
SELECT command_id FROM cancellations WHERE order_id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT command_id FROM undone_cancellations WHERE order_id IN (SELECT value FROM json_each(:ids))
"""
_KEPT: Final = """
SELECT k.* FROM json_each(:keys) AS b CROSS JOIN idempotency_keys AS k
ON k.client_id = json_extract(b.value, '$[0]') AND k.key = json_extract(b.value, '$[1]')
"""

_Run = Callable[..., sqlite3.Cursor]


class SqliteCancellations:
    """Implements `CancellationStore`.

    `write_lock` is the process's only lock around everything that writes, and `checkpoints` are all its checkpoints.
    """

    def __init__(
        self,
        path: Path,
        policies: Policies,
        kinds: OrderKinds,
        write_lock: WriteLock,
        checkpoints: Checkpoints,
        *,
        metrics: MetricsHook = NULL_METRICS,
    ) -> None:
        self._metrics = metrics
        self._kinds = kinds
        self._holding_tickets = holding_tickets(kinds)
        self._connection = connect(path)
        self._file = OpenFile(path)
        self._write_lock = write_lock
        self._checkpoints = checkpoints
        in_force = policies.by_contract
        self._owing = owing(in_force.values(), kinds)
        versions = " ".join(f"WHEN '{contract}' THEN '{policy.version}'" for contract, policy in in_force.items())
        predicate = policies_predicate(in_force.values(), orders.alias("o"), literal_column(":now", BigInteger))
        self._cancel = _CANCEL.format(versions=versions, predicate=as_text(predicate, sqlite.dialect()))
        member: Query = select(literal_column("value")).select_from(func.json_each(text(":ids")))
        self._views = {name: _text(query) for name, query in view_queries(lambda column: column.in_(member)).items()}
        self._ticket_orders = TicketRowReads(kinds)

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def cancel(
        self,
        commands: Sequence[CancelOrder],
        now: datetime,
        *,
        skip_held: bool = False,  # noqa: ARG002 - on SQLite a writer locks the whole database, so all others wait
    ) -> Mapping[CommandId, None]:
        """See `CancellationStore.cancel`. The guarded statement inserts the cancellations; the others follow them."""
        if not commands:
            return {}
        batch = _json(
            [
                [c.order_id, c.command_id, client_id, c.on_behalf, channel, c.reason, *who]
                for c in commands
                for client_id, channel, *who in [c.actor]
            ]
        )
        async with self._transaction() as run:
            with self._metrics.statement("cancel"):
                won = run(self._cancel, {"now": micros(now), "batch": batch}).fetchall()
                if won:
                    self._finish(run, won, micros(now))
                    self._keep(commands, {row["command_id"]: row for row in won}, micros(now))
        return dict.fromkeys([CommandId(row["command_id"]) for row in won])

    async def committed(self, commands: Sequence[CancelOrder]) -> frozenset[CommandId]:
        """See `CancellationStore.committed`."""
        ids = {command.command_id for command in commands}
        found = self._read(_COMMITTED, ids=_json([command.order_id for command in commands]))
        return frozenset(CommandId(row["command_id"]) for row in found if row["command_id"] in ids)

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """See `CancellationStore.orders`."""
        found = self._read(self._views["orders"], ids=_json(order_ids))
        return {OrderId(row["id"]): order_of(row, self._kinds) for row in found}

    async def kept(self, keys: Sequence[tuple[ClientId, str]]) -> Mapping[tuple[ClientId, str], Kept]:
        """See `CancellationStore.kept`."""
        found = self._read(_KEPT, keys=_json(keys)) if keys else []
        return {(ClientId(row["client_id"]), row["key"]): kept_of(row) for row in found}

    async def refuse(self, refusals: Sequence[RefusalRecord]) -> None:
        """See `CancellationStore.refuse`."""
        rows, keys = [], []
        for refusal in refusals:
            command, at = refusal.command, micros(refusal.decided_at)
            decided = (refusal.policy_version, *columns_of_decision(refusal.facts).values())
            client_id, channel, *who = command.actor
            placed = (client_id, refusal.contract, channel)
            why = (command.reason, codes_column(refusal.codes))
            rows.append((command.order_id, command.command_id, at, *placed, *decided, *why, *who))
            if command.idempotency is not None:
                key = command.idempotency
                keys.append((*key_columns(command.client_id, key), at, command.order_id, False, *decided))
        async with self._transaction():
            self._connection.executemany(_REFUSE, rows)
            self._insert_keys(keys)

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView | TicketOrderRows]:
        """See `CancellationStore.views`."""
        with translated():
            views: dict[OrderId, OrderView | TicketOrderRows] = {
                **self._ticket_orders(self._connection, _json(order_ids))
            }
        if rest := [order_id for order_id in order_ids if order_id not in views]:
            views |= await self._whole_views(rest)
        return views

    async def _whole_views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        ids = _json(order_ids)
        rows = ViewRows(**{name: self._read(query, ids=ids) for name, query in self._views.items()})
        return await rows.views(self._kinds)

    def _finish(self, run: _Run, won: Sequence[sqlite3.Row], now: int) -> None:
        """Write everything that a cancellation changes besides its own row. Unneeded statements are left out."""
        ids = _json([row["order_id"] for row in won])
        run(_CANCEL_ORDERS, {"ids": ids})
        run(_APPEND_CANCELLED, {"ids": ids})
        if with_visit := [row["order_id"] for row in won if row["appointment_starts_at"] is not None]:
            released = run(_RELEASE_APPOINTMENTS, {"ids": _json(with_visit), "now": now}).fetchall()
            visits = _json([_visit(row) for row in released])
            run(_APPEND, {"events": visits, "kind": OrderEventKind.APPOINTMENT_CANCELLED})
        if with_tickets := [row["order_id"] for row in won if row["contract"] in self._holding_tickets]:
            released = run(_RELEASE_TICKETS, {"ids": _json(with_tickets)}).fetchall()
            given_back = Counter(row["product_uid"] for row in released)
            self._connection.executemany(_GIVE_BACK, sorted((n, uid) for uid, n in given_back.items()))
        if paid := [row for row in won if row["first_payment_at"] is not None and row["contract"] in self._owing]:
            self._owe(run, {OrderId(row["order_id"]): row["reason"] for row in paid})

    def _owe(self, run: _Run, reasons: Mapping[OrderId, str | None]) -> None:
        """Write what must be paid back, as refunds that are due."""
        due = numbered(run(_KEPT_AMOUNTS, {"ids": _json(list(reasons))}))
        if not due:
            return
        refunds = [(of, number, one.minor, one.currency) for of, each in due.items() for number, one in each]
        events = [(of, written(refund_due([one for _, one in each], reasons[of]).details)) for of, each in due.items()]
        run(_OWE, {"due": _json(refunds)})
        run(_APPEND, {"events": _json(events), "kind": OrderEventKind.REFUND_DUE})

    def _keep(self, commands: Sequence[CancelOrder], won: Mapping[str, sqlite3.Row], now: int) -> None:
        keys = [
            (*key_columns(c.client_id, c.idempotency), now, c.order_id, True, *[None] * 5)
            for c in commands
            if c.idempotency is not None and c.command_id in won
        ]
        self._insert_keys(keys)

    def _insert_keys(self, keys: Sequence[tuple[object, ...]]) -> None:
        self._connection.executemany(_KEEP, keys)

    def _read(self, statement: str, **parameters: object) -> list[sqlite3.Row]:
        with translated():
            return self._connection.execute(statement, parameters).fetchall()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[_Run]:
        """Open a write transaction. Its body awaits nothing, so that a batch holds the lock only briefly."""
        self._file.check()
        async with self._write_lock.for_batch() as limit_s:  # the limit is for the whole wait, our own lock's included
            with translated():
                await retry_while_busy(self._begin, limit_s=limit_s)
            before = self._connection.total_changes
            try:
                with translated():
                    yield self._connection.execute
            except BaseException:
                with as_unforeseen(DRIVER_ERRORS):
                    self._connection.rollback()
                raise
            self._commit()
            self._checkpoints.committed(self._connection.total_changes - before)

    async def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except DRIVER_ERRORS as error:
            ours = our_error(error)
            if not (is_undone(error) or self._connection.in_transaction):
                raise OutcomeUnknownError("the disk failed while the database committed") from error
            # The disk was full, or the transaction is still open: nothing was written.
            with as_unforeseen(DRIVER_ERRORS):
                self._connection.rollback()
            raise ours or error from error


def _json(batch: Sequence[object]) -> str:
    return msgspec.json.encode(batch).decode()


def _visit(row: sqlite3.Row) -> tuple[int, str]:
    appointment = Appointment(
        id=AppointmentId(row["id"]),
        state=AppointmentState.CANCELLED,
        starts_at=instant(row["starts_at"]),
        ends_at=instant(row["ends_at"]),
    )
    return row["order_id"], written(appointment_cancelled(appointment).details)


def _text(query: Query) -> str:
    return str(query.compile(dialect=sqlite.dialect(paramstyle="named")))

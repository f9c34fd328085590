"""The set-based statements of the cancellation path, on PostgreSQL: one statement, one round trip for a whole batch."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg
import msgspec
from sqlalchemy import Select, any_, literal_column
from sqlalchemy.dialects import postgresql

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.errors import CountermandError, OutcomeUnknownError, UnavailableError
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.actions.ports import CancelOrder, KeptOutcome, OrderView, Policies, RefusalRecord
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.client import ClientId
from countermand.domain.contract import Contract
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import OrderEventKind, appointment_cancelled, order_cancelled
from countermand.storage.driver import as_unforeseen
from countermand.storage.postgres import statements
from countermand.storage.postgres.connections import PostgresAddress, connect
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered, our_error
from countermand.storage.repositories.rows import ViewRows, facts_columns, kept_of, order_of, view_queries, written
from countermand.storage.tables.columns import instant, micros

_Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
_Pool: TypeAlias = "asyncpg.pool.Pool[asyncpg.Record]"
_Backend = tuple[int, datetime]  # a server process: its number, and when it began

# Pinned, as the batch's size is all that varies: a plan made for each batch costs more than running it (a lone
# cancellation took 0.57 ms instead of 0.16), and one made while the tables were small must not read them whole later.
PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
}
_HELD_LIMIT_S: Final = 1.0  # whoever changes an order holds it for some milliseconds
_UNLIMITED: Final = 1_000_000_000


class PostgresCancellations:
    """Fulfils `CancellationStore`. `distributed`: a batch runs in parts, an experiment towards several servers."""

    def __init__(
        self,
        address: PostgresAddress,
        policies: Policies,
        *,
        connections: int,
        distributed: bool = False,
        metrics: MetricsHook = NULL_METRICS,
    ) -> None:
        self._policies = policies
        self._in_force = list(policies.by_contract.values())
        self._busy_limit_s = address.busy_limit_s
        self._metrics = metrics
        self._backends: dict[int, _Backend] = {}
        self._cut_off: WeakKeyDictionary[CancelOrder, _Backend] = WeakKeyDictionary()  # while anybody asks for it
        self._cancel_batch = self._in_parts if distributed else self._at_once
        self._statements = {
            (with_keys, skip_held): statements.cancel_batch(self._in_force, with_keys=with_keys, skip_held=skip_held)
            for with_keys in (False, True)
            for skip_held in (False, True)
        }
        self._see = statements.SEE.format(predicate=statements.policy_predicate(self._in_force))
        views = view_queries(lambda column: column == any_(literal_column("$1::bigint[]")))
        self._orders = _text(views["orders"])
        self._views = " UNION ALL ".join(
            f"SELECT '{name}', coalesce(json_agg(r), '[]')::text FROM ({_text(query)}) AS r"
            for name, query in views.items()
        )
        held_limit_s = min(_HELD_LIMIT_S, address.busy_limit_s)
        pool: dict[str, Any] = {
            "connect": connect,
            "min_size": 0,
            "max_size": connections,
            "max_queries": _UNLIMITED,
            "init": self._met,
            "reset": _nothing_to_reset,
        }
        options = address.connect_options(**PLANS, lock_timeout=f"{held_limit_s * 1000:.0f}")
        self._pool: _Pool = asyncpg.create_pool(**options, **pool)

    async def open(self) -> None:
        """Make ready to connect. Connections are made when they are needed."""
        await self._pool

    async def close(self) -> None:
        """Give the connections back. Those at whose other end nobody is left are dropped."""
        try:
            async with asyncio.timeout(self._busy_limit_s):
                await self._pool.close()
        except DRIVER_ERRORS:
            self._pool.terminate()

    async def cancel(
        self, commands: Sequence[CancelOrder], now: datetime, *, skip_held: bool = False
    ) -> frozenset[CommandId]:
        """See `CancellationStore.cancel`."""
        if not commands:
            return frozenset()
        async with self._connection() as connection:
            backend = self._backends[connection.get_server_pid()]
            try:
                return await self._cancel_batch(connection, commands, micros(now), skip_held)
            except DRIVER_ERRORS as error:
                if is_unanswered(error):
                    _hang_up(connection)
                    self._cut_off.update(dict.fromkeys(commands, backend))
                    raise OutcomeUnknownError("the database went away while it cancelled") from error
                raise our_error(error) or error from error

    async def committed(self, commands: Sequence[CancelOrder]) -> frozenset[CommandId]:
        """See `CancellationStore.committed`. Asked once nobody can be committing any more, so that it is final."""
        backends = {self._cut_off[command] for command in commands if command in self._cut_off}
        async with self._reading() as connection:
            for backend in backends:
                if await connection.fetchval(statements.END_BACKEND, *backend) is False:
                    raise OutcomeUnknownError("the database is still busy with the batch")
            async with connection.transaction():
                ids = [command.command_id for command in commands]
                found = await connection.fetch(statements.COMMITTED, [c.order_id for c in commands], ids)
                await connection.execute(statements.VOUCH)
        return frozenset(CommandId(row["command_id"]) for row in found)

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """See `CancellationStore.orders`."""
        async with self._reading() as connection:
            with self._metrics.statement("orders"):
                found = await connection.fetch(self._orders, order_ids)
        return {OrderId(row["id"]): order_of(row) for row in found}

    async def kept(self, keys: Sequence[tuple[ClientId, str]]) -> Mapping[tuple[ClientId, str], KeptOutcome | str]:
        """See `CancellationStore.kept`."""
        if not keys:
            return {}
        async with self._reading() as connection:
            with self._metrics.statement("kept"):
                found = await connection.fetch(statements.KEPT, *_columns(keys))
        return {(ClientId(row["client_id"]), row["key"]): kept_of(row) for row in found}

    async def refuse(self, refusals: Sequence[RefusalRecord]) -> None:
        """See `CancellationStore.refuse`."""
        rows, keys = [], []
        for refusal in refusals:
            command, at = refusal.command, micros(refusal.decided_at)
            decided = (refusal.policy_version, *facts_columns(refusal.facts).values())
            placed = (command.client_id, refusal.contract.value, command.door.value)
            rows.append((command.order_id, command.command_id, at, *placed, *decided, command.reason))
            if command.idempotency is not None:
                key = command.idempotency
                keys.append((command.client_id, key.key, key.fingerprint, at, command.order_id, False, *decided))
        async with self._connection() as connection:
            try:
                with self._metrics.statement("refuse"):
                    if not keys:
                        await connection.execute(statements.REFUSE, *_columns(rows))
                        return
                    async with connection.transaction():
                        await connection.execute(statements.REFUSE, *_columns(rows))
                        await connection.execute(statements.KEEP, *_columns(keys))
            except DRIVER_ERRORS as error:
                if is_unanswered(error):
                    _hang_up(connection)
                    raise OutcomeUnknownError("the database went away while it recorded refusals") from error
                raise our_error(error) or error from error

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """See `CancellationStore.views`. One statement, so one round trip and one snapshot."""
        async with self._reading() as connection:
            with self._metrics.statement("views"):
                found = await connection.fetch(self._views, order_ids)
        return ViewRows(**{name: msgspec.json.decode(rows) for name, rows in found}).views()

    async def _at_once(
        self,
        connection: _Connection,
        commands: Sequence[CancelOrder],
        now: int,
        skip_held: bool,  # noqa: FBT001
    ) -> frozenset[CommandId]:
        batch = [(c.order_id, c.command_id, c.client_id, c.on_behalf, c.door.value, c.reason) for c in commands]
        keys = [
            (c.command_id, c.idempotency.key, c.idempotency.fingerprint) for c in commands if c.idempotency is not None
        ]
        with self._metrics.statement("cancel"):
            statement = self._statements[bool(keys), skip_held]
            found = await connection.fetch(statement, now, *_columns(batch), *_columns(keys))
        return frozenset(CommandId(row[0]) for row in found)

    async def _in_parts(
        self,
        connection: _Connection,
        commands: Sequence[CancelOrder],
        now: int,
        skip_held: bool,  # noqa: FBT001
    ) -> frozenset[CommandId]:
        """The same apart, in the same order of locks: orders, appointments, tickets, products, each by its number."""
        if not skip_held:
            return await self._part(connection, commands, now)
        cancelled: frozenset[CommandId] = frozenset()
        for command in commands:  # no shard skips what is locked: so each is tried, and not waited for
            try:
                cancelled |= await self._part(connection, [command], now, statements.DO_NOT_WAIT)
            except asyncpg.LockNotAvailableError:
                continue
            except DRIVER_ERRORS as error:
                if not cancelled or is_unanswered(error):
                    raise
                break  # the others are committed, each by itself: they cannot be told that nothing was done
        return cancelled

    async def _part(
        self, connection: _Connection, commands: Sequence[CancelOrder], now: int, first: str | None = None
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
                cancelled = {row["id"] for row in await connection.fetch(statements.CANCEL, ids, versions)}
                won = [(mine[order_id], rows[order_id]) for order_id in ids if order_id in cancelled]
                if won:
                    await self._finish(connection, won, now)
        return frozenset(command.command_id for command, _ in won)

    async def _finish(
        self, connection: _Connection, won: Sequence[tuple[CancelOrder, asyncpg.Record]], now: int
    ) -> None:
        """Everything a cancellation changes besides the order's own row. What a batch does not need is left out."""
        records, keys = [], []
        told: list[tuple[Any, ...]] = []
        for command, row in won:
            policy = self._policies.by_contract[Contract(row["contract"])]
            placed = (command.client_id, row["contract"], command.door.value, policy.version)
            facts = (row["state"], row["appointment_starts_at"], row["first_payment_at"])
            records.append((command.order_id, command.command_id, now, *placed, *facts, command.reason))
            details = written(order_cancelled(row["state"], command.reason).details)
            about = (command.order_id, row["version"] + 1)
            told.append((*about, OrderEventKind.ORDER_CANCELLED.value, now, command.client_id, details))
            if command.idempotency is not None:
                key = command.idempotency
                keys.append((command.client_id, key.key, key.fingerprint, now, command.order_id, True, *[None] * 4))
        by_order = {command.order_id: (row["version"] + 1, command.client_id) for command, row in won}
        if with_visit := [c.order_id for c, row in won if row["appointment_starts_at"] is not None]:
            for visit in await connection.fetch(statements.RELEASE_APPOINTMENTS, now, with_visit):
                version, client_id = by_order[visit["order_id"]]
                about = (visit["order_id"], version)
                told.append((*about, OrderEventKind.APPOINTMENT_CANCELLED.value, now, client_id, _visit_details(visit)))
        await connection.execute(statements.RECORD, *_columns(records))
        await connection.execute(statements.APPEND_EVENTS, *_columns(told))
        if keys:
            await connection.execute(statements.KEEP, *_columns(keys))
        if with_tickets := [c.order_id for c, row in won if row["contract"] == Contract.SHOPPING]:
            released = await connection.fetch(statements.RELEASE_TICKETS, with_tickets)
            given_back = Counter(row["product_uid"] for row in released)
            await connection.executemany(statements.GIVE_BACK, sorted(given_back.items()))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """A connection of the pool. Raises `UnavailableError` where none can be had: certainly nothing done."""
        try:
            connection = await self._pool.acquire(timeout=self._busy_limit_s)
        except DRIVER_ERRORS as error:
            ours = our_error(error)
            unavailable = UnavailableError("no connection to the database")
            raise ours if isinstance(ours, CountermandError) else unavailable from error
        try:
            yield connection
        except UnavailableError as error:
            if isinstance(error.__cause__, asyncpg.ReadOnlySQLTransactionError):
                await self._pool.expire_connections()  # another server may take writes by now
            raise
        finally:
            with as_unforeseen(DRIVER_ERRORS):
                await self._pool.release(connection)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[_Connection]:
        async with self._connection() as connection:
            try:
                yield connection
            except DRIVER_ERRORS as error:
                if is_unanswered(error):
                    _hang_up(connection)
                raise our_error(error) or error from error

    async def _met(self, connection: _Connection) -> None:
        """Remember which server process a connection speaks to: should it be cut off, that one has the answer."""
        row = await connection.fetchrow(statements.BACKEND)
        assert row is not None, "a backend sees itself"
        # Under the number that the connection itself goes by: a pooler in between has its own.
        self._backends[connection.get_server_pid()] = (row["pid"], row["backend_start"])


def _hang_up(connection: _Connection) -> None:
    """Let go of a connection that may still be at work. One that the driver saw end is out of our hands already."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _nothing_to_reset(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What we run leaves nothing behind in a session; asking for a reset would cost a round trip a batch."""


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _visit_details(row: asyncpg.Record) -> str:
    appointment = Appointment(
        id=AppointmentId(row["id"]),
        state=AppointmentState.CANCELLED,
        starts_at=instant(row["starts_at"]),
        ends_at=instant(row["ends_at"]),
    )
    return written(appointment_cancelled(appointment).details)


def _text(query: Select[Any]) -> str:
    return str(query.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]

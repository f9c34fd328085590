"""Runs the statements of the cancellation path on PostgreSQL: one statement and one round trip for a whole batch."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg
import msgspec
from sqlalchemy import any_, literal_column
from sqlalchemy.dialects import postgresql

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancelOrder, Kept, RefusalRecord
from countermand.actions.errors import CountermandError, OutcomeUnknownError, UnavailableError
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_kind import OrderKinds
from countermand.storage.driver import as_unforeseen
from countermand.storage.postgres import statements
from countermand.storage.postgres.connections import PooledConnection, PostgresAddress, connect
from countermand.storage.postgres.distributed import CancelApart
from countermand.storage.postgres.errors import DRIVER_ERRORS, is_unanswered, our_error
from countermand.storage.postgres.ticket_rows import read_ticket_orders, ticket_orders
from countermand.storage.repositories.decisions import codes_column
from countermand.storage.repositories.facts import columns_of_decision
from countermand.storage.repositories.idempotency_keys import kept_of, key_columns
from countermand.storage.repositories.rows import ViewRows, order_of, view_queries
from countermand.storage.sql_types import Query
from countermand.storage.tables.columns import micros

_Pool: TypeAlias = "asyncpg.pool.Pool[asyncpg.Record]"
_Backend = tuple[int, datetime]  # a server process: its number, and the instant at which it began

# Plans are pinned, because only the batch's size varies: a plan for each batch costs more than running it (a lone
# cancellation took 0.57 ms instead of 0.16), and a plan from when the tables were small must not scan them later.
PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
}
_HELD_LIMIT_S: Final = 1.0  # a transaction that changes an order holds its row for some milliseconds
_UNLIMITED: Final = 1_000_000_000


class PostgresCancellations:
    """Implements `CancellationStore`. For `distributed`, see `distributed.py`."""

    def __init__(
        self,
        address: PostgresAddress,
        policies: Policies,
        kinds: OrderKinds,
        *,
        connections: int,
        distributed: bool = False,
        metrics: MetricsHook = NULL_METRICS,
    ) -> None:
        self._kinds = kinds
        self._busy_limit_s = address.busy_limit_s
        self._metrics = metrics
        self._backends: dict[int, _Backend] = {}
        self._cut_off: WeakKeyDictionary[CancelOrder, _Backend] = WeakKeyDictionary()  # while a caller waits for it
        self._cancel_batch = CancelApart(policies, kinds, metrics) if distributed else self._at_once
        in_force = policies.by_contract.values()
        self._statements = {form: statements.cancel_batch(in_force, kinds, form) for form in statements.BATCH_FORMS}
        views = view_queries(lambda column: column == any_(literal_column("$1::bigint[]")))
        self._orders = _text(views["orders"])
        self._views = " UNION ALL ".join(
            f"SELECT '{name}', coalesce(json_agg(r), '[]')::text FROM ({_text(query)}) AS r"
            for name, query in views.items()
        )
        self._ticket_orders = read_ticket_orders(kinds)
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
        """Prepare the pool. Connections are made when they are needed."""
        await self._pool

    async def close(self) -> None:
        """Close the connections. A connection whose server does not answer is dropped."""
        try:
            async with asyncio.timeout(self._busy_limit_s):
                await self._pool.close()
        except DRIVER_ERRORS:
            self._pool.terminate()

    async def cancel(
        self, commands: Sequence[CancelOrder], now: datetime, *, skip_held: bool = False
    ) -> Mapping[CommandId, TicketOrderRows | None]:
        """See `CancellationStore.cancel`."""
        if not commands:
            return {}
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
        """See `CancellationStore.committed`. The answer is final, because the batch's server process is ended first."""
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
        return {OrderId(row["id"]): order_of(row, self._kinds) for row in found}

    async def kept(self, keys: Sequence[tuple[ClientId, str]]) -> Mapping[tuple[ClientId, str], Kept]:
        """See `CancellationStore.kept`."""
        if not keys:
            return {}
        async with self._reading() as connection:
            with self._metrics.statement("kept"):
                found = await connection.fetch(statements.KEPT, *statements.as_columns(keys))
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
        async with self._connection() as connection:
            try:
                with self._metrics.statement("refuse"):
                    if not keys:
                        await connection.execute(statements.REFUSE, *statements.as_columns(rows))
                        return
                    async with connection.transaction():
                        await connection.execute(statements.REFUSE, *statements.as_columns(rows))
                        await connection.execute(statements.KEEP, *statements.as_columns(keys))
            except DRIVER_ERRORS as error:
                if is_unanswered(error):
                    _hang_up(connection)
                    raise OutcomeUnknownError("the database went away while it recorded refusals") from error
                raise our_error(error) or error from error

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView | TicketOrderRows]:
        """See `CancellationStore.views`. Each kind of order takes one statement, which sees one snapshot."""
        async with self._reading() as connection:
            with self._metrics.statement("views"):
                found = await connection.fetch(self._ticket_orders, order_ids)
        views: dict[OrderId, OrderView | TicketOrderRows] = {
            OrderId(rows.order_id): rows for rows in (await ticket_orders(found)).values() if rows is not None
        }
        if rest := [order_id for order_id in order_ids if order_id not in views]:
            views |= await self._whole_views(rest)
        return views

    async def _whole_views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        async with self._reading() as connection:
            with self._metrics.statement("views"):
                found = await connection.fetch(self._views, order_ids)
        return await ViewRows(**{name: msgspec.json.decode(rows) for name, rows in found}).views(self._kinds)

    async def _at_once(
        self,
        connection: PooledConnection,
        commands: Sequence[CancelOrder],
        now: int,
        skip_held: bool,  # noqa: FBT001
    ) -> Mapping[CommandId, TicketOrderRows | None]:
        batch = [
            (c.order_id, c.command_id, client_id, c.on_behalf, channel, c.reason, staff_id, acting_as, address)
            for c in commands
            for client_id, channel, staff_id, acting_as, address in [c.actor]
        ]
        keys = [
            (c.command_id, key.key, key.fingerprints.request, key.fingerprints.message)
            for c in commands
            if (key := c.idempotency) is not None
        ]
        with self._metrics.statement("cancel"):
            arguments = (now, *statements.as_columns(batch), *statements.as_columns(keys))
            form = statements.form_for(commands, skip_held=skip_held)
            statement = self._statements[form]
            if not skip_held:
                found = await connection.fetch(statement, *arguments)
            else:
                async with connection.transaction():
                    await connection.execute(statements.HARDLY_WAIT)
                    found = await connection.fetch(statement, *arguments)
        if form.with_orders:
            return {CommandId(command_id): rows for command_id, rows in (await ticket_orders(found)).items()}
        return dict.fromkeys([CommandId(row[0]) for row in found])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PooledConnection]:
        """Lend a connection of the pool. Raises `UnavailableError` if there is none: certainly nothing was done."""
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
                await self._pool.expire_connections()  # by now another server may accept writes
            raise
        finally:
            with as_unforeseen(DRIVER_ERRORS):
                await self._pool.release(connection)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[PooledConnection]:
        async with self._connection() as connection:
            try:
                yield connection
            except DRIVER_ERRORS as error:
                if is_unanswered(error):
                    _hang_up(connection)
                raise our_error(error) or error from error

    async def _met(self, connection: PooledConnection) -> None:
        """Remember the server process of a connection: if the connection is cut off, that process must be ended."""
        row = await connection.fetchrow(statements.BACKEND)
        assert row is not None, "a server process sees itself"
        # The key is the number that the driver knows, because a pooler in between has numbers of its own.
        self._backends[connection.get_server_pid()] = (row["pid"], row["backend_start"])


def _hang_up(connection: PooledConnection) -> None:
    """Drop a connection that may still be at work. The driver has already dropped a connection that it saw end."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _nothing_to_reset(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Do nothing: these statements leave nothing in a session, and a reset would cost a round trip per batch."""


def _text(query: Query) -> str:
    return str(query.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]

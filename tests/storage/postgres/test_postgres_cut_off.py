"""A batch whose connection was cut off: done, certainly not done, or not yet known; and never a fourth."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import CountermandError, OutcomeUnknownError, UnavailableError
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import migrate
from own_postgres import OwnPostgres
from support.elsewhere import elsewhere
from support.postgres import a_connection, a_database, until, until_waiting
from support.wire import Wire, a_wire
from support.world import World, a_world

OUR_BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'countermand'"
)
IN_PARTS = pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])


@asynccontextmanager
async def on_a_wire(
    folder: Path, **settings: object
) -> AsyncIterator[tuple[World, Wire, "asyncpg.Connection[asyncpg.Record]"]]:
    """A node on a wire to its database, and a connection past it."""
    with a_database() as url:
        async with a_wire(url) as wire, a_world(folder, database_url=wire.url, **settings) as world:
            past = await asyncpg.connect(url)
            try:
                yield world, wire, past
            finally:
                await past.close()


@IN_PARTS
async def test_what_was_committed_before_the_cut_is_found_and_is_a_success(tmp_path: Path, *, in_parts: bool):
    async with on_a_wire(tmp_path, database_distributed=in_parts) as (world, wire, past):
        me = await world.connect_client()
        granted = [await world.service_order(me) for _ in range(3)]
        refused = await world.service_order(me)
        await world.cancel(me, refused, key="the statement is prepared")
        # The answer to what commits is lost; what a batch in parts says before, it needs to hear the answers to.
        wire.deafen_at(b"COMMIT;" if in_parts else b"")
        commands = [world.command(me, order_id, key=f"{order_id}") for order_id in [*granted, refused]]
        running = asyncio.create_task(run_when_told(world, commands))
        await until(past, "SELECT count(*) = 4 FROM cancellations")
        assert not running.done()
        wire.cut()
        answers = await running
        assert [type(answer) for answer in answers] == [Cancelled] * 3 + [NotCancelled]
        assert len(await world.rows("cancellations")) == 4
        assert len(await world.rows("refusals")) == 1
        # Under its key, each is what was answered.
        assert isinstance(await world.cancel(me, granted[0], key=f"{granted[0]}"), Cancelled)


@IN_PARTS
async def test_what_was_still_running_is_ended_first_and_then_certainly_not_done(tmp_path: Path, *, in_parts: bool):
    async with on_a_wire(tmp_path, database_distributed=in_parts) as (world, wire, past):
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(3)]
        async with past.transaction():
            await past.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", ids[1])
            running = asyncio.create_task(run_when_told(world, [world.command(me, o, key=f"{o}") for o in ids]))
            (backend,) = await until_waiting(past)
            wire.cut()
            answers = await running
            # Answered, though the order is still held: nobody waits in the database any more who could do it later.
            await past.execute("SELECT pg_stat_clear_snapshot()")
            assert backend not in [row["pid"] for row in await past.fetch(OUR_BACKENDS)]
        assert [type(answer) for answer in answers] == [UnavailableError] * 3
        assert {row["state"] for row in await world.rows("orders")} == {"submitted"}
        for table in ("cancellations", "refusals", "idempotency_keys"):
            assert await world.rows(table) == []
        answers = await run_when_told(world, [world.command(me, o, key=f"{o}") for o in ids])
        assert {type(answer) for answer in answers} == {Cancelled}


@IN_PARTS
async def test_a_backend_that_an_administrator_ends_has_done_nothing_and_a_repeat_works(
    tmp_path: Path, *, in_parts: bool
):
    async with a_world(tmp_path, "postgres", database_distributed=in_parts) as world, a_connection(world) as other:
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(2)]
        async with other.transaction():
            await other.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", ids[1])
            running = asyncio.create_task(run_when_told(world, [world.command(me, order_id) for order_id in ids]))
            (backend,) = await until_waiting(other)
            await other.execute("SELECT pg_terminate_backend($1)", backend)
            assert [type(answer) for answer in await running] == [UnavailableError] * 2
        assert await world.rows("cancellations") == []
        answers = await run_when_told(world, [world.command(me, order_id) for order_id in ids])
        assert {type(answer) for answer in answers} == {Cancelled}


async def test_a_backend_that_is_gone_before_the_batch_is_sent_costs_nobody_an_order(postgres_world: World):
    world = postgres_world
    me = await world.connect_client()
    first, second = await world.service_order(me), await world.service_order(me)
    await world.cancel(me, first)
    async with a_connection(world) as other:
        for row in await other.fetch(OUR_BACKENDS):
            await other.execute("SELECT pg_terminate_backend($1, 5000)", row["pid"])
    answers = [(await world.service.commit.run([world.command(me, second)]))[0] for _ in range(2)]
    assert type(answers[0]) in {Cancelled, UnavailableError}  # the driver may hear of it before or after it sends
    assert type(answers[1]) in {Cancelled, NotCancelled}
    assert len(await world.rows("cancellations")) == 2


async def test_a_batch_whose_outcome_nobody_can_tell_leaves_nothing_behind_in_the_node(tmp_path: Path):
    async with on_a_wire(tmp_path, settle_limit_s=0.1) as (world, wire, past):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        store = world.database.cancellations
        async with past.transaction():
            await past.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
            running = asyncio.create_task(run_when_told(world, [world.command(me, order_id)]))
            (backend,) = await until_waiting(past)
            os.kill(backend, signal.SIGSTOP)  # it does not end when it is told to
            try:
                wire.cut()
                assert [type(answer) for answer in await running] == [OutcomeUnknownError]
            finally:
                os.kill(backend, signal.SIGCONT)
        del running
        gc.collect()
        assert len(store._cut_off) == 0


async def test_anothers_cancellation_that_happened_meanwhile_is_not_taken_for_ours(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire, past):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        async with a_world(tmp_path, database_url=wire.past) as other:
            async with past.transaction():
                await past.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
                ours = asyncio.create_task(run_when_told(world, [world.command(me, order_id)]))
                await until_waiting(past)
                theirs = asyncio.create_task(run_when_told(other, [other.command(me, order_id)]))
                await until_waiting(past, 2)
                wire.cut()
                assert [type(answer) for answer in await ours] == [UnavailableError]
            assert [type(answer) for answer in await theirs] == [Cancelled]
        assert [type(answer) for answer in await run_when_told(world, [world.command(me, order_id)])] == [NotCancelled]


# what is not the cancellation of a batch


async def test_a_transaction_whose_commit_was_lost_is_unknown_and_done_or_not_whole(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire, past):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        await asyncio.sleep(0.5)  # at its start the service forgets what is old, which commits, too, and is through now
        wire.deafen_at(b"COMMIT;")
        paying = asyncio.create_task(world.pay(order_id, "psp-1"))
        await until(past, "SELECT count(*) = 1 FROM payments")
        wire.cut()
        with pytest.raises(OutcomeUnknownError):
            await paying
        await world.pay(order_id, "psp-1")  # the same again: found, and not paid twice
        assert len(await world.rows("payments")) == 1
        assert [row["kind"] for row in await world.rows("outbox")].count("payment.recorded") == 1


async def test_a_transaction_cut_off_before_its_commit_has_done_nothing(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire, past):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        async with past.transaction():
            await past.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
            paying = asyncio.create_task(world.pay(order_id, "psp-1"))
            await until_waiting(past)
            wire.cut()
            with pytest.raises(CountermandError):
                await paying
        assert await world.rows("payments") == await world.rows("payment_references") == []
        # The server, which does not know that nobody is there, holds the order for the abandoned transaction a while.
        await past.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({OUR_BACKENDS}) AS ours")
        await world.pay(order_id, "psp-1")
        assert len(await world.rows("payments")) == 1


async def test_a_read_that_was_cut_off_is_503_and_the_next_one_finds_a_new_connection(tmp_path: Path):
    async with on_a_wire(tmp_path) as (world, wire, _):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        store = world.database.cancellations
        await store.orders([order_id])
        wire.deafen()
        reading = asyncio.create_task(store.orders([order_id]))
        await asyncio.sleep(0.05)
        wire.cut()
        with pytest.raises(UnavailableError):
            await reading
        assert list(await store.orders([order_id])) == [order_id]
        assert [row["state"] for row in await world.rows("orders")] == ["submitted"]


# what needs a server of its own


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnPostgres]:
    with OwnPostgres({"shared_buffers": "16MB", "wal_level": "replica"}) as server:
        yield server


@asynccontextmanager
async def on(
    server: OwnPostgres, folder: Path, name: str
) -> AsyncIterator[tuple[World, "asyncpg.Connection[asyncpg.Record]"]]:
    """A node on a server of the test's own, and another connection to its database."""
    server.create_database(name)
    elsewhere(migrate, PostgresAddress(url=server.url(name)))
    async with a_world(folder, database_url=server.url(name)) as world, a_connection(world) as other:
        yield world, other


async def test_nothing_is_said_for_good_while_the_backend_that_was_cut_off_lives(
    own_server: OwnPostgres, tmp_path: Path
):
    async with on(own_server, tmp_path, "stopped") as (world, other):
        me = await world.connect_client()
        command = world.command(me, await world.service_order(me))
        store = world.database.cancellations
        async with other.transaction():
            await other.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", command.order_id)
            running = asyncio.create_task(store.cancel([command], world.clock()))
            (backend,) = await until_waiting(other)
            os.kill(backend, signal.SIGSTOP)  # it hears nothing, not even that it should end
            try:
                for connection in [holder._con for holder in store._pool._holders if holder._con is not None]:
                    connection.terminate()
                with pytest.raises(OutcomeUnknownError):
                    await running
                for _ in range(2):
                    with pytest.raises(OutcomeUnknownError):
                        await store.committed([command])
            finally:
                os.kill(backend, signal.SIGCONT)
            await until(other, f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {backend}")
            assert await store.committed([command]) == frozenset()
        assert [row["state"] for row in await world.rows("orders")] == ["submitted"]
        assert await world.rows("cancellations") == []


async def test_a_yes_waits_for_the_synchronous_standby_even_when_its_backend_is_ended_meanwhile(
    own_server: OwnPostgres, tmp_path: Path
):
    async with on(own_server, tmp_path, "replicated") as (world, other):
        me = await world.connect_client()
        first, second = await world.service_order(me), await world.service_order(me)
        with OwnPostgres.standby_of(own_server, synchronous=True) as standby:
            assert isinstance(await world.cancel(me, first), Cancelled)
            standby.stop("immediate")
            asked = asyncio.create_task(world.cancel(me, second))
            (backend,) = await until_waiting(other, event="SyncRep")
            await other.execute("SELECT pg_terminate_backend($1)", backend)
            # Its row can be seen now, and would be gone were the standby promoted: who looks for it waits, too.
            await until(other, f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {backend}")
            looking = asyncio.create_task(until_waiting(other, event="SyncRep"))
            await asyncio.wait({looking, asked}, return_when=asyncio.FIRST_COMPLETED)
            assert not asked.done()
            assert backend not in await looking
            assert await other.fetchval("SELECT count(*) FROM cancellations") == 2
            standby.start()
            assert isinstance(await asked, Cancelled)
            cancelled = standby.sql("SELECT count(*) FROM cancellations", "replicated")
            assert cancelled == "2"
        assert len(await world.rows("cancellations")) == 2


async def run_when_told(world: World, commands: list[CancelOrder]) -> list[object]:
    """One batch, with its search for an outcome that was cut off."""
    return list(await world.service.commit.run(commands))

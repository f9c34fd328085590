"""What every connection to PostgreSQL promises: a limit on every wait, and nobody's durability turned off."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import UnavailableError, UnforeseenDatabaseError
from countermand.storage.postgres.connections import APPLICATION, PostgresAddress
from countermand.storage.postgres.store import PostgresStore
from countermand.storage.schema import migrate
from own_postgres import OwnPostgres
from support.elsewhere import elsewhere
from support.postgres import a_connection, until
from support.world import World, a_world

LIMITS = {"statement_timeout": "10000", "idle_in_transaction_session_timeout": "10000", "TimeZone": "UTC", "jit": "off"}
ALL = "SELECT name, setting, source FROM pg_settings"
DURABLE = ("synchronous_commit", "fsync", "full_page_writes")


async def test_each_has_limits_and_leaves_durability_to_the_server(postgres_world: World):
    sessions: dict[str, Mapping[str, Any]] = {}
    async with postgres_world.database.cancellations._pool.acquire() as session:
        sessions["cancelling"] = {row["name"]: row for row in await session.fetch(ALL)}
    async with postgres_world.database.store.transaction() as tx:
        sessions["writing"] = {row["name"]: row for row in await tx.rows(text(ALL))}
    async with postgres_world.database.store.snapshot() as reading:
        sessions["reading"] = {row["name"]: row for row in await reading.rows(text(ALL))}
    for who, found in sessions.items():
        assert {name: found[name]["setting"] for name in LIMITS} == LIMITS, who
        assert 0 < int(found["lock_timeout"]["setting"]) <= 5000, who
        assert found["application_name"]["setting"] == APPLICATION
        assert {found[name]["source"] for name in DURABLE} & {"client", "session"} == set(), who
    # A batch that meets a held order goes on without it soon.
    assert int(sessions["cancelling"]["lock_timeout"]["setting"]) <= 1000


async def test_a_reader_has_one_view_of_everything_and_cannot_write(postgres_world: World):
    asked = (
        "SELECT current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS ro"
    )
    async with postgres_world.database.store.snapshot() as reading:
        (row,) = await reading.rows(text(asked))
    assert (row["isolation"], row["ro"]) == ("repeatable read", "on")
    async with postgres_world.database.store.transaction() as tx:
        (row,) = await tx.rows(text(asked))
    # Whoever waited for a row's lock sees the row as it is then.
    assert (row["isolation"], row["ro"]) == ("read committed", "off")

    async def writes() -> None:
        async with postgres_world.database.store.snapshot() as reading:
            await reading.run(text("DELETE FROM counters"))

    with pytest.raises(UnavailableError):
        await writes()


async def test_a_transaction_whose_failed_statement_was_passed_over_is_not_taken_for_committed(postgres_world: World):
    """PostgreSQL answers such a COMMIT without an error, and rolls back."""
    store = postgres_world.database.store
    before = await postgres_world.rows("counters")

    async def passes_over_an_error() -> None:
        async with store.transaction() as tx:
            await tx.run(text("DELETE FROM counters"))
            with pytest.raises(UnforeseenDatabaseError):
                await tx.run(text("SELECT no_such_column"))

    with pytest.raises(UnavailableError, match="nothing was done"):
        await passes_over_an_error()
    assert await postgres_world.rows("counters") == before


async def test_a_user_who_no_longer_waits_for_a_silent_server_leaves_no_connection_behind(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
):
    lending = postgres_world.database.store._lending
    async with postgres_world.database.store.transaction() as tx:
        await tx.rows(text("SELECT 1"))
    lent = list(lending._idle)
    assert lent

    async def silent(_: object) -> bool:
        await asyncio.sleep(60)
        return True

    with monkeypatch.context() as waiting:
        waiting.setattr(lending, "_works", silent)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), lending.connection():
                pass
    assert all(one.driver.is_closed() for one in lent)
    assert not set(lending._idle) & set(lent)
    async with postgres_world.database.store.transaction() as tx:
        assert len(await tx.rows(text("SELECT 1"))) == 1


async def test_a_transaction_that_was_left_open_is_ended_and_holds_nothing_for_ever(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_statement_limit_s=1.5) as world:
        me = await world.connect_client()
        order_id = await world.service_order(me)
        async with a_connection(world) as other:

            async def does_nothing_for_long() -> None:
                async with world.database.store.transaction() as tx:
                    await tx.lock_order(order_id)
                    await until(other, "SELECT count(*) = 0 FROM pg_locks WHERE relation = 'orders'::regclass")
                    await tx.order(order_id)

            with pytest.raises(UnavailableError):
                await does_nothing_for_long()
        await world.pay(order_id)
        assert len(await world.rows("payments")) == 1


async def test_when_every_connection_is_taken_one_waits_within_the_limit_and_hears_503(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_connections=1, database_busy_limit_s=0.2) as world:
        me = await world.connect_client()
        order_id = await world.service_order(me)
        async with world.database.store.transaction() as tx:
            await tx.order(order_id)
            with pytest.raises(UnavailableError):
                await world.rows("orders")
        assert len(await world.rows("orders")) == 1


async def test_when_even_a_new_connection_ends_before_it_is_used_one_hears_503_and_the_next_goes_on(
    postgres_world: World,
):
    """As while a server falls over and over."""
    store = postgres_world.database.store
    assert isinstance(store, PostgresStore)
    for lent in store._lending._idle:
        lent.driver.terminate()
    engine = store._engine.sync_engine
    ends = [0]

    def end(connection: Any, *_: object) -> None:
        ends[0] += 1
        connection.driver_connection.terminate()

    event.listen(engine, "checkout", end, insert=True)
    with pytest.raises(UnavailableError):
        await postgres_world.rows("orders")
    event.remove(engine, "checkout", end)
    assert ends[0] >= 2
    assert await postgres_world.rows("orders") == []


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
async def test_a_server_that_lives_on_but_takes_no_writes_any_more_is_left_for_the_one_that_does(
    tmp_path: Path, *, in_parts: bool
):
    with OwnPostgres({"shared_buffers": "16MB"}) as old, OwnPostgres.standby_of(old, synchronous=True) as new:
        old.create_database("shop")
        elsewhere(migrate, PostgresAddress(url=old.url("shop")))
        both = f"{old.url().rpartition('/')[0]},127.0.0.1:{new.port}/shop"
        async with a_world(tmp_path, database_url=both, database_distributed=in_parts) as world:
            me = await world.connect_client()
            first, second, third = [await world.service_order(me) for _ in range(3)]
            assert isinstance(await world.cancel(me, first), Cancelled)
            elsewhere(old.configure, {"default_transaction_read_only": "on"})
            async with world.database.cancellations._pool.acquire() as session:
                await until(session, "SELECT current_setting('transaction_read_only') = 'on'")
            elsewhere(new.promote)
            with pytest.raises(UnavailableError):
                await world.cancel(me, second)
            for order_id in (second, third):
                assert isinstance(await world.cancel(me, order_id), Cancelled)
        assert old.sql("SELECT count(*) FROM cancellations", "shop") == "1"
        assert new.sql("SELECT count(*) FROM cancellations", "shop") == "3"

"""A database whose defaults are not PostgreSQL's: what we rely on is set on each connection, or refused and said."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import Connection, text

from countermand.actions.errors import SchemaError
from countermand.bootstrap.database import address_of
from countermand.storage import schema
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import NEWEST_SCHEMA, check_schema, migrate
from countermand.storage.tables.columns import metadata
from support.elsewhere import elsewhere
from support.postgres import a_connection, a_database, administer, drop, url_of
from support.schemas import check, column, migrated_to, tables
from support.ticket_shop import a_shop, check_conservation
from support.world import World, a_world

HOSTILE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "exit_on_error": "on",
    "jit": "on",
    "statement_timeout": "0",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "0",
}
PINNED = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "exit_on_error": "off",
    "jit": "off",
    "search_path": "public",
}
ALL = "SELECT name, setting FROM pg_settings"
AT_ONCE = 12


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def given(url: str, **defaults: str) -> None:
    """From now on, a database's connections begin with these."""
    for setting, value in defaults.items():
        administer(f"ALTER DATABASE {name_of(url)} SET {setting} = {value}")


@pytest.fixture
def hostile() -> Iterator[str]:
    """The address of a migrated database."""
    with a_database() as url:
        given(url, **{name: f"'{value}'" for name, value in HOSTILE.items()})
        yield url


def pinned(found: Mapping[str, str]) -> dict[str, str]:
    return {name: found[name] for name in PINNED}


def as_mapping(rows: Any) -> dict[str, str]:
    return {row["name"]: row["setting"] for row in rows}


async def test_each_connection_of_each_kind_is_set_to_what_we_rely_on(tmp_path: Path, hostile: str):
    sessions: dict[str, Mapping[str, str]] = {}
    async with a_world(tmp_path, database_url=hostile) as world:
        async with a_connection(world) as other:
            found = as_mapping(await other.fetch(ALL))
            assert {name for name in HOSTILE if found[name] == HOSTILE[name]} == {*HOSTILE} - {"client_encoding"}
        async with world.database.cancellations._pool.acquire() as session:
            sessions["cancelling"] = as_mapping(await session.fetch(ALL))
        async with world.database.store.transaction() as tx:
            sessions["writing"] = as_mapping(await tx.rows(text(ALL)))
        async with world.database.store.snapshot() as reading:
            sessions["reading"] = as_mapping(await reading.rows(text(ALL)))
        address = await check_schema(address_of(world.settings))
        assert isinstance(address, PostgresAddress)
        alone = await address.connect()
        sessions["alone"] = as_mapping(await alone.fetch(ALL))
        await alone.close()
    for who, settings in sessions.items():
        assert pinned(settings) == PINNED, who
        assert int(settings["statement_timeout"]) == int(settings["idle_in_transaction_session_timeout"]) == 10_000, who
        assert int(settings["lock_timeout"]) == (1000 if who == "cancelling" else 5000), who


def test_a_migration_is_set_to_what_we_rely_on_and_makes_the_same_tables(monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, str] = {}
    upgrade = schema._upgrade

    def watched(connection: Connection, to: str) -> None:
        seen.update(as_mapping(connection.exec_driver_sql(ALL).mappings()))
        connection.rollback()
        upgrade(connection, to)

    monkeypatch.setattr(schema, "_upgrade", watched)
    with a_database(migrated=False) as url:
        given(url, **{name: f"'{value}'" for name, value in HOSTILE.items()})
        where = PostgresAddress(url=url)
        assert migrate(where) == (0, NEWEST_SCHEMA)
        check(where)
        assert tables(where) == {*metadata.tables, "alembic_version"}
    assert pinned(seen) == PINNED
    assert seen["statement_timeout"] == "0"  # as long as it takes


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_many_orders_and_cancellations_at_once_all_succeed(tmp_path: Path, hostile: str, isolation: str):
    given(hostile, default_transaction_isolation=f"'{isolation}'")
    async with a_world(tmp_path, database_url=hostile) as world:
        shop = await a_shop(world)
        product = await shop.product(stock=AT_ONCE + 5)
        made = await asyncio.gather(
            *(shop.order({product: 1}, consumer={"first_name": "Łukasz", "country": "NL"}) for _ in range(AT_ONCE))
        )
        assert [answer.status_code for answer in made] == [201] * AT_ONCE
        assert await shop.left() == {product: 5}
        uris = [answer.json()["_links"]["self"]["href"] for answer in made]
        ended = await asyncio.gather(
            *(shop.post("/ordercancellation/", {"order": uri, "reason": "Ö\\'; "}) for uri in uris)
        )
        assert [answer.status_code for answer in ended] == [200] * AT_ONCE
        assert await shop.left() == {product: AT_ONCE + 5}
        assert {row["reason"] for row in await world.rows("cancellations")} == {"Ö\\'; "}
        await check_conservation(world)


async def test_several_at_once_under_one_key_are_one_order_whatever_the_isolation(tmp_path: Path, hostile: str):
    async with a_world(tmp_path, database_url=hostile) as world:
        shop = await a_shop(world)
        product = await shop.product(stock=AT_ONCE)
        body = shop.body({product: 1})
        answers = await asyncio.gather(*(shop.post("/orders", body, Idempotency_Key="k") for _ in range(AT_ONCE)))
        assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
        assert await shop.left() == {product: AT_ONCE - 1}
        await check_conservation(world)


def test_a_database_that_takes_no_writes_by_an_operators_word_is_refused_in_a_sentence():
    with a_database() as url:
        given(url, default_transaction_read_only="on")
        for use in (check, migrate):
            with pytest.raises(SchemaError, match=r"takes no writes .*default_transaction_read_only"):
                use(PostgresAddress(url=url))


# encodings


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_that_cannot_hold_every_name_is_refused_and_left_as_it_is(encoding: str):
    name = f"countermand_{encoding.lower()}"
    drop(name)
    administer(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        where = PostgresAddress(url=url_of(name))
        for _ in range(2):
            for use in (check, migrate):
                with pytest.raises(SchemaError, match=f"is in {encoding}, .* ENCODING 'UTF8' TEMPLATE template0"):
                    use(where)
            if not tables(where):  # the second time as an older version has left it
                migrated_to(where, NEWEST_SCHEMA)
                assert tables(where)
    finally:
        drop(name)


# where the tables are


async def test_a_schema_that_the_operator_chose_is_where_everything_is_done(tmp_path: Path):
    odd = "Or\"ders'; x"
    with a_database(migrated=False) as url:
        await run(url, 'CREATE SCHEMA "Or""ders\'; x"')
        given(url, search_path='"Or""ders\'; x", public')
        assert await asyncio.to_thread(migrate, PostgresAddress(url=url)) == (0, NEWEST_SCHEMA)
        assert await schemas_with_tables(url) == {odd}
        async with a_world(tmp_path, database_url=url) as world:
            await places_and_cancels(world)
        assert await schemas_with_tables(url) == {odd}


async def test_the_address_may_name_the_schema(tmp_path: Path):
    with a_database() as url:
        await run(url, "CREATE SCHEMA tickets")
        named = f"{url}?search_path=tickets"
        assert await asyncio.to_thread(migrate, PostgresAddress(url=named)) == (0, NEWEST_SCHEMA)
        async with a_world(tmp_path, database_url=named) as world:
            await places_and_cancels(world)
        assert [await count(url, f"{where}.orders") for where in ("tickets", "public")] == [1, 0]


async def test_a_search_path_that_changes_meanwhile_sends_nothing_elsewhere(tmp_path: Path):
    with a_database() as url:
        await run(url, "CREATE SCHEMA elsewhere")
        await asyncio.to_thread(migrate, PostgresAddress(url=f"{url}?search_path=elsewhere"))
        async with a_world(tmp_path, database_url=url) as world:
            await places_and_cancels(world)
            given(url, search_path="elsewhere")
            await run(
                url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countermand'"
            )
            await asyncio.sleep(0.05)
            await places_and_cancels(world)
            assert (await world.http.get("/readyz")).status_code == 200
        assert [await count(url, f"{where}.orders") for where in ("public", "elsewhere")] == [2, 0]
        assert [await count(url, f"{where}.cancellations") for where in ("public", "elsewhere")] == [2, 0]


def test_a_migration_goes_on_where_the_tables_are_though_another_schema_comes_first():
    with a_database(migrated=False) as url:
        where = PostgresAddress(url=url)
        migrated_to(where, NEWEST_SCHEMA - 1)
        elsewhere(run, url, "CREATE SCHEMA first")
        given(url, search_path="first, public")
        assert migrate(where) == (NEWEST_SCHEMA - 1, NEWEST_SCHEMA)
        assert elsewhere(schemas_with_tables, url) == {"public"}
        assert column(where, "SELECT version_num FROM alembic_version") == [f"{NEWEST_SCHEMA:04}"]


def test_without_a_schema_to_make_tables_in_a_sentence_says_so():
    with a_database(migrated=False) as url:
        given(url, search_path="nowhere")
        with pytest.raises(SchemaError, match="no schema to make tables in: none that search_path names is there"):
            migrate(PostgresAddress(url=url))
        with pytest.raises(SchemaError, match="has no schema yet"):
            check(PostgresAddress(url=url))


async def places_and_cancels(world: World) -> None:
    me = await world.connect_client(f"partner {len(await world.rows('clients'))}")
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]


async def run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def count(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(f"SELECT count(*) FROM {table}")
    finally:
        await connection.close()


async def schemas_with_tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        return {row["schemaname"] for row in await connection.fetch(query)}
    finally:
        await connection.close()

"""Provides a real PostgreSQL for the tests: the server of COUNTERMAND_TEST_POSTGRES_URL, or one from a wheel.

Every test that requests a database gets its own, copied from a migrated database.
"""

import asyncio
import atexit
import functools
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import migrate
from own_postgres import OwnPostgres
from support.elsewhere import elsewhere

if TYPE_CHECKING:
    from support.world import World

NAMED = "COUNTERMAND_TEST_POSTGRES_URL"
# What is tested with this server is what the service says and does; whether a commit outlives a crash is tested with
# servers of their own, at PostgreSQL's defaults.
_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
_MEMORY = Path("/dev/shm")  # where there is one: making and dropping a database for each test is most of the work
_LIMIT_S = 30  # for what happens at once, or never
_run = f"countermand_test_{secrets.token_hex(4)}"
_numbers = itertools.count(1)


@functools.cache
def server_url() -> str:
    """The server's address, with the database to administer it from."""
    if named := os.environ.get(NAMED):
        return named
    server = OwnPostgres(_HASTY, within=_MEMORY if _MEMORY.is_dir() else None)
    server.start()
    atexit.register(server.close)
    return server.url()


def url_of(database: str) -> str:
    return urlsplit(server_url())._replace(path=f"/{database}").geturl()


@functools.cache
def template() -> str:
    """An empty database of the newest schema, made once a run."""
    name = f"{_run}_template"
    administer(f"CREATE DATABASE {name}")
    atexit.register(drop, name)
    elsewhere(migrate, PostgresAddress(url=url_of(name)))
    return name


def administer(statement: str) -> None:
    """Run a statement for the whole server, such as CREATE DATABASE."""

    async def run() -> None:
        connection = await asyncpg.connect(server_url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    elsewhere(run)


@asynccontextmanager
async def a_connection(world: "World") -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the test's own to a world's database."""
    url = world.settings.database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def until(watching: asyncpg.Connection, query: str) -> None:
    """Return once a query says true."""
    async with asyncio.timeout(_LIMIT_S):
        while True:
            await watching.execute("SELECT pg_stat_clear_snapshot()")
            if await watching.fetchval(query):
                return
            await asyncio.sleep(0.005)


async def until_waiting(watching: asyncpg.Connection, how_many: int = 1, *, event: str = "Lock") -> list[int]:
    """Return once so many backends of the database wait for such an event, a lock by default; gives their numbers."""
    query = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND $1 IN (wait_event_type, wait_event)
    """
    async with asyncio.timeout(_LIMIT_S):
        while True:
            await watching.execute("SELECT pg_stat_clear_snapshot()")
            waiting = [row["pid"] for row in await watching.fetch(query, event)]
            if len(waiting) >= how_many:
                return waiting
            await asyncio.sleep(0.005)


def drop(name: str) -> None:
    administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _make(copied: str = "") -> str:
    name = f"{_run}_{next(_numbers)}"
    administer(f"CREATE DATABASE {name}{copied}")
    return name


class _Ahead:
    """Makes the next test's database, and drops the last one's, while a test runs: a copy takes longer than many."""

    def __init__(self) -> None:
        self._hands = ThreadPoolExecutor(1)
        self._made: Future[str] | None = None

    def take(self) -> str:
        copied = f" TEMPLATE {template()} STRATEGY file_copy"
        if self._made is None:
            self._made = self._hands.submit(_make, copied)
            atexit.register(self._drop_the_last)
        name = self._made.result()
        self._made = self._hands.submit(_make, copied)
        return name

    def give_back(self, name: str) -> None:
        self._hands.submit(drop, name)

    def _drop_the_last(self) -> None:
        assert self._made is not None
        drop(self._made.result())


_ahead = _Ahead()


@contextmanager
def a_database(*, migrated: bool = True) -> Iterator[str]:
    """A database for one test; gives its address."""
    name = _ahead.take() if migrated else _make()
    try:
        yield url_of(name)
    finally:
        _ahead.give_back(name)

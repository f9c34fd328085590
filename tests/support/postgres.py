"""A real PostgreSQL for the tests: the one that COUNTERMAND_TEST_POSTGRES_URL names, or an own one from a wheel.

Every test that asks for a database gets one of its own, copied from a migrated one.
"""

import atexit
import functools
import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import migrate
from own_postgres import OwnPostgres
from support.elsewhere import elsewhere

NAMED = "COUNTERMAND_TEST_POSTGRES_URL"
# What is tested with this server is what the service says and does; whether a commit outlives a crash is tested with
# servers of their own, at PostgreSQL's defaults.
_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
_run = f"countermand_test_{secrets.token_hex(4)}"
_numbers = itertools.count(1)


@functools.cache
def server_url() -> str:
    """The server's address, with the database to administer it from."""
    if named := os.environ.get(NAMED):
        return named
    server = OwnPostgres(_HASTY)
    server.start()
    atexit.register(server.close)
    return server.url()


def url_of(database: str) -> str:
    return urlsplit(server_url())._replace(path=f"/{database}").geturl()


@functools.cache
def _template() -> str:
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


def drop(name: str) -> None:
    administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def a_database(*, migrated: bool = True) -> Iterator[str]:
    """A database for one test; gives its address."""
    name = f"{_run}_{next(_numbers)}"
    template = f" TEMPLATE {_template()} STRATEGY file_copy" if migrated else ""
    administer(f"CREATE DATABASE {name}{template}")
    try:
        yield url_of(name)
    finally:
        drop(name)

"""Shares one service among all tests of a file; each test finds it as new. Starting one takes longer than most tests.

A file uses it with `world = shared_world`, and so on. It does not suit tests that break the service, that leave
something running, or that move the clock past the limit for paying an order: the service looks for unpaid orders again
and again, so that in a long-running service they may expire in the middle of a test.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Table, delete, insert, text, update

from countermand.storage.tables.columns import metadata, micros
from countermand.storage.tables.feed import event_feed_head
from support.database_contents import contents, filled
from support.world import NOON, World, a_world

_OTHER_NUMBERS = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"  # of PostgreSQL


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """A running service, with the rows that its database had before any test."""

    world: World
    at_first: dict[Table, list[dict[str, Any]]]

    async def as_new(self) -> World:
        """The world with nothing in it that a test before has left there, at the hour at which every test begins."""
        async with self.world.database.store.transaction() as tx:
            for table in reversed(await filled(tx)):
                if table is not event_feed_head:
                    await tx.run(delete(table))
            for table, rows in self.at_first.items():
                if table is not event_feed_head:
                    await tx.run(insert(table).values(rows))
            # A background task may wait for the lock of this row, so the row is never away.
            await tx.run(update(event_feed_head).values(self.at_first[event_feed_head][0]))
            if not self.world.settings.is_sqlite:
                await tx.run(text(_OTHER_NUMBERS))
        self.world.clock.now = NOON
        self.world.http.cookies.clear()
        self.world.outside.forget()
        return self.world


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the tests of a file share. A service starts when the first test asks for it."""

    stack: AsyncExitStack
    folders: pytest.TempPathFactory
    _started: dict[str, _Shared] = field(default_factory=dict)

    async def world(self, on: str = "sqlite", **settings: Any) -> World:
        """The file's service of these settings, as new. Takes what `a_world` takes."""
        name = f"{on} {settings}"
        if name not in self._started:
            world = await self.stack.enter_async_context(a_world(self.folders.mktemp("shared"), on, **settings))
            async with world.database.store.transaction() as tx:  # the test's clock is behind the migration
                await tx.run(update(event_feed_head).values(began_at=micros(NOON)))
            rows = {
                metadata.tables[table]: its for table, its in (await contents(world, with_feed=True)).items() if its
            }
            self._started[name] = _Shared(world=world, at_first=rows)
        return await self._started[name].as_new()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services_of_the_file(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        yield Services(stack=stack, folders=tmp_path_factory)


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def shared_world(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    return await services_of_the_file.world(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def shared_sqlite_world(services_of_the_file: Services) -> World:
    return await services_of_the_file.world("sqlite")


@pytest_asyncio.fixture(loop_scope="module")
async def shared_postgres_world(services_of_the_file: Services) -> World:
    return await services_of_the_file.world("postgres")


@pytest_asyncio.fixture(params=[("front", "sqlite"), ("framework", "postgres")], ids="-".join, loop_scope="module")
async def shared_both_worlds(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    way, database = request.param
    return await services_of_the_file.world(database, with_front=way == "front")

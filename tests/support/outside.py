"""Reads a world's database from outside, as another process does: only committed rows, on either database."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import asyncpg

from support.world import World

# What either database raises where a constraint of its own is broken.
BROKEN_CONSTRAINTS = (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True)
class Outside:
    """A connection of the test's own, on which every statement is a transaction. Values are written into the SQL."""

    rows: Callable[[str], Awaitable[list[dict[str, Any]]]]

    async def column(self, query: str) -> list[Any]:
        return [next(iter(row.values())) for row in await self.rows(query)]

    async def value(self, query: str) -> Any:
        (value,) = await self.column(query)
        return value


@asynccontextmanager
async def outside(world: World) -> AsyncIterator[Outside]:
    """For as long as the block runs."""
    if world.settings.database_url is None:
        path = world.settings.database_path
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)) as file:
            file.row_factory = sqlite3.Row

            async def read(query: str) -> list[dict[str, Any]]:
                # Beside the loop: whoever has the lock, the world's own background tasks included, needs it to let go.
                return await asyncio.to_thread(lambda: [dict(row) for row in file.execute(query)])

            yield Outside(read)
        return
    connection = await asyncpg.connect(world.settings.database_url.get_secret_value())

    async def asked(query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(query)]

    try:
        yield Outside(asked)
    finally:
        await connection.close()

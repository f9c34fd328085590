"""Lends the connections of a store: each runs statements of the SQL toolkit, and statements of the driver itself.

SQLAlchemy's own pool costs more than a prepared statement does: it asks each connection whether it still works, and
changes to another stack twice (162 µs of CPU to lend a connection, 28 µs to run a statement on it, measured). So a
connection that was lent stays out of that pool, until it is no longer fit for use.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from countermand.actions.errors import UnavailableError
from countermand.storage.driver import as_unforeseen, shielded, translated_driver
from countermand.storage.postgres.errors import DRIVER_ERRORS, our_error

DriverConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_FRESH_S: Final = 0.1  # a server that restarts, or that another one replaces, takes longer
_ATTEMPTS: Final = 2
_TAKES_NO_WRITES: Final = ("default_transaction_read_only", "in_hot_standby")


@dataclass(eq=False, slots=True)
class Lent:
    """A connection: for the toolkit, and for the driver. It is lent again only if its user sets `is_idle`.

    Its user sets that when no transaction is open on it, and no statement under way.
    """

    toolkit: AsyncConnection
    driver: DriverConnection
    is_idle: bool = False
    used_at_s: float = 0.0


class Lending:
    """Lends at most `connections` connections of an engine at a time. The last one that was used is lent first.

    A user waits for at most `busy_limit_s` seconds. A connection that nobody used for a moment is asked first whether
    it still works: so a server that restarted causes no error, and one that vanished costs `connect_limit_s` seconds.
    """

    def __init__(self, engine: AsyncEngine, *, connections: int, busy_limit_s: float, connect_limit_s: float) -> None:
        self._engine = engine
        self._room = asyncio.Semaphore(connections)
        self._busy_limit_s = busy_limit_s
        self._connect_limit_s = connect_limit_s
        self._idle: list[Lent] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Lent]:
        """Lend a connection. Raises `UnavailableError` if there is none: certainly nothing was done."""
        await self._wait_for_room()
        try:
            lent = await self._usable()
            try:
                yield lent
            finally:
                if lent.is_idle and not lent.driver.is_closed():
                    lent.used_at_s = time.monotonic()
                    self._idle.append(lent)
                else:
                    await _dropped(lent)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close the idle connections, and the engine."""
        while self._idle:
            lent = self._idle.pop()
            if not await self._works(lent):
                await _dropped(lent)
                continue
            with suppress(*DRIVER_ERRORS, DBAPIError):
                await shielded(lent.toolkit.close())
        await self._engine.dispose()

    async def _wait_for_room(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._busy_limit_s):
                await self._room.acquire()
        except TimeoutError as error:
            raise UnavailableError("every connection to the database is taken") from error

    async def _usable(self) -> Lent:
        while self._idle:
            lent = self._idle.pop()
            lent.is_idle = False
            try:
                if await self._works(lent):
                    return lent
            except BaseException:  # the user waits no longer for a server that does not answer
                await self._drop(lent)
                raise
            await self._drop(lent)
        for _ in range(_ATTEMPTS):
            with translated_driver(our_error):
                lent = await _connected(self._engine)
            if not lent.driver.is_closed():
                return lent
            await _dropped(lent)
        raise UnavailableError("no connection to the database stays")

    async def _drop(self, lent: Lent) -> None:
        """End a connection, and the idle ones, which are as old."""
        await _dropped(lent)
        while self._idle:
            await _dropped(self._idle.pop())

    async def _works(self, lent: Lent) -> bool:
        if lent.driver.is_closed():
            return False
        if time.monotonic() - lent.used_at_s >= _FRESH_S:
            try:
                await lent.driver.execute("SELECT", timeout=self._connect_limit_s)
            except DRIVER_ERRORS:
                return False
        told: object = lent.driver.get_settings()  # the server reports changed settings with each answer
        return not any(getattr(told, name, "off") == "on" for name in _TAKES_NO_WRITES)  # another server may


async def _connected(engine: AsyncEngine) -> Lent:
    toolkit = await engine.connect()
    try:
        raw = await toolkit.get_raw_connection()
        assert raw.driver_connection is not None, "a new connection has the driver's"
        return Lent(toolkit, raw.driver_connection)
    except BaseException:
        await toolkit.close()
        raise


async def _dropped(lent: Lent) -> None:
    """End a connection at once: closing one whose server does not answer would take long."""
    with suppress(*DRIVER_ERRORS):
        lent.driver.terminate()
    with as_unforeseen((*DRIVER_ERRORS, DBAPIError)):
        await shielded(lent.toolkit.invalidate())
        await shielded(lent.toolkit.close())

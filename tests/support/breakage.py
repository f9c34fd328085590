"""Wraps the real cancellation store, and makes exactly those calls fail that a test names."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text

from countermand.actions.cancelling.cancel_orders import CancelOrders
from support.postgres import administer
from support.world import World

Real = Callable[..., Awaitable[Any]]
Breaks = Callable[..., Awaitable[Any]]


class Breaking:
    """Fulfils `CancellationStore` with the real one. A break gets the real call first, then what it was called with."""

    def __init__(self, real: Any, **breaks: Breaks) -> None:
        self._real = real
        self._breaks = breaks
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Real:
        real = getattr(self._real, name)

        async def call(*asked: Any, **how: Any) -> Any:
            self.calls[name] += 1
            return await (self._breaks[name](real, *asked, **how) if name in self._breaks else real(*asked, **how))

        return call


def breaking(world: World, **breaks: Breaks) -> tuple[CancelOrders, Breaking]:
    """The action on a store that breaks, and that store."""
    run = world.service.commit.run
    assert isinstance(run, CancelOrders)
    store = Breaking(run.store, **breaks)
    return replace(run, store=store, settle_limit_s=0.2), store


def instead(error: Exception, *, times: int | None = None) -> Breaks:
    """Raise, without having done anything: so many times, or always."""
    left = [times]

    async def broken(real: Real, *asked: Any, **how: Any) -> Any:
        if left[0] == 0:
            return await real(*asked, **how)
        if left[0] is not None:
            left[0] -= 1
        raise error

    return broken


def afterwards(error: Exception) -> Breaks:
    """Do it, and then raise as if nobody knew."""

    async def broken(real: Real, *asked: Any, **how: Any) -> Any:
        await real(*asked, **how)
        raise error

    return broken


async def takes_nothing(world: World, table: str, words: str, *, sqlstate: str = "23514") -> None:
    """From now on, the database refuses every new row of a table, in words of its own."""
    async with world.database.store.transaction() as tx:
        if world.settings.is_sqlite:
            refusing = f"SELECT RAISE(ABORT, '{words}')"
            await tx.run(text(f"CREATE TRIGGER deaf BEFORE INSERT ON {table} BEGIN {refusing}; END"))
            return
        raising = f"RAISE EXCEPTION '{words}' USING ERRCODE = '{sqlstate}'"
        await tx.run(text(f"CREATE FUNCTION deaf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raising}; END $$"))
        await tx.run(text(f"CREATE TRIGGER deaf BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION deaf()"))


@contextmanager
def without_its_database(world: World) -> Iterator[None]:
    """The database is away while the block runs: renamed, or closed to everybody."""
    if world.settings.database_url is None:
        path = world.settings.database_path
        away = path.with_suffix(".away")
        path.rename(away)
        try:
            yield
        finally:
            away.rename(path)
        return
    name = urlsplit(world.settings.database_url.get_secret_value()).path.removeprefix("/")
    administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    administer(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

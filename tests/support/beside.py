"""Opens another node on the database of a world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.world import World, a_world


@asynccontextmanager
async def beside(world: World) -> AsyncIterator[World]:
    """Another node on the same database."""
    if world.settings.database_url is None:
        settings: dict[str, object] = {"database_path": world.settings.database_path}
    else:
        settings = {"database_url": world.settings.database_url.get_secret_value()}
    async with a_world(world.folder, **settings) as other:
        yield other

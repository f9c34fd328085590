"""What stands in the database, whole: so that a test can say that nothing of it changed."""

from typing import Any

from countermand.storage.tables import metadata
from support.world import World

Contents = dict[str, list[dict[str, Any]]]


async def contents(world: World) -> Contents:
    """Every row of every table."""
    return {name: await world.rows(name) for name in metadata.tables}


async def counts(world: World) -> dict[str, int]:
    """How many rows each table has."""
    return {name: len(rows) for name, rows in (await contents(world)).items()}


def changed(before: Contents, after: Contents) -> set[str]:
    """The tables that are not as they were."""
    return {name for name in before if before[name] != after[name]}

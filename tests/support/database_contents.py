"""Reads the whole contents of the database, so that a test can show that nothing changed."""

import functools
from typing import Any, Final

from sqlalchemy import Select, Table, exists, select

from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import metadata
from support.world import World

Contents = dict[str, list[dict[str, Any]]]


# A background task gives events their positions, at any moment after they were written.
WRITTEN_AT_ANY_MOMENT: Final = {"event_feed", "event_feed_head"}


async def contents(world: World, *, with_feed: bool = False) -> Contents:
    """Every row of every table: equal before and after means that nothing changed.

    When a client called last is left out, because a background task writes that at some time after the call.
    """
    left_out = set() if with_feed else WRITTEN_AT_ANY_MOMENT
    async with world.database.store.snapshot() as reading:
        found: Contents = {name: [] for name in metadata.tables if name not in left_out}
        for table in (one for one in await filled(reading) if one.name in found):
            columns = [one for one in table.columns if one is not clients.c.last_used_at]
            rows = await reading.rows(select(*columns).order_by(*table.primary_key))
            found[table.name] = [dict(row) for row in rows]
    return found


async def filled(reading: SqlTransaction) -> list[Table]:
    """The tables that have rows, each after those that it points to. Asked at once, as most have none."""
    (has_rows,) = await reading.rows(_which_have_rows())
    return [table for table in metadata.sorted_tables if has_rows[table.name]]


@functools.cache
def _which_have_rows() -> Select[Any]:
    """Made once: every test that shares a world asks it."""
    return select(*(exists().select_from(table).label(table.name) for table in metadata.sorted_tables))


async def counts(world: World) -> dict[str, int]:
    """How many rows each table has."""
    return {name: len(rows) for name, rows in (await contents(world)).items()}


def changed(before: Contents, after: Contents) -> set[str]:
    """The tables that are not as they were."""
    return {name for name in before if before[name] != after[name]}

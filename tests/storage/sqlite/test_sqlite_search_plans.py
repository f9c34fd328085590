"""Statements about many rows find them by an index: SQLite would hold the only write lock while it reads a table."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import event
from sqlalchemy.engine import Engine

from countermand.actions.delivering.endpoints import Redelivery
from support.deliveries import FAILURE, SUCCESS, Deliveries
from support.shared_world import shared_sqlite_world
from support.world import World

world = shared_sqlite_world

_BIG_TABLES = ("outbox", "deliveries", "delivery_lanes", "delivery_attempts")


@contextmanager
def statements() -> Iterator[list[tuple[str, object]]]:
    """Yield the list that gets each statement that runs, with its values."""
    ran: list[tuple[str, object]] = []

    def noted(_: object, __: object, statement: str, values: object, _context: object, *many: bool) -> None:
        ran.append((statement, values[0] if many == (True,) else values))  # type: ignore[index]

    event.listen(Engine, "before_cursor_execute", noted)
    try:
        yield ran
    finally:
        event.remove(Engine, "before_cursor_execute", noted)


def scans(world: World, ran: list[tuple[str, object]]) -> set[str]:
    """Return the statements that read a whole table of events, each with the step that does it."""
    found = set()
    with closing(sqlite3.connect(world.settings.database_path)) as connection:
        for statement, values in ran:
            if not statement.startswith(("SELECT", "UPDATE", "DELETE")):
                continue
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):  # type: ignore[arg-type]
                if step.startswith("SCAN") and step.split()[1] in _BIG_TABLES:
                    found.add(f"{step}: {statement}")
    return found


async def test_handing_out_sending_and_sending_again_read_no_table_of_events_as_a_whole(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    for _ in range(3):
        await world.service_order(me)
    page = await out.endpoints._parts.feed.read(None, 1)

    async def arrive(number: int) -> None:
        world.clock.now += timedelta(seconds=1)  # events that are sent again follow each other at a limited rate
        assert len(await out.once(endpoint)) == number

    with statements() as ran:
        out.answer = lambda _: FAILURE
        await arrive(3)
        world.clock.now += timedelta(hours=2)  # so that the events are settled late
        out.answer = lambda _: SUCCESS
        await arrive(3)
        assert await out.endpoints.redeliver(endpoint.id, None, Redelivery(after=page.events[0][0])) == 2
        await arrive(2)
        out.answer = lambda _: replace(FAILURE, aborts=True)
        failed_since = world.clock()
        await world.service_order(me)
        await world.service_order(me)
        await arrive(2)
        failed = Redelivery(failed_since=failed_since, failed_until=failed_since + timedelta(minutes=1))
        assert await out.endpoints.redeliver(endpoint.id, None, failed) == 2
        await arrive(2)
        await out.endpoints.resume(endpoint.id, None)
        await arrive(2)

    assert len(ran) > 50
    assert scans(world, ran) == set()

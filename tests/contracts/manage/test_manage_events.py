"""The feed over HTTP: who reads it, with which cursors, how many events at once, and how long an answer waits."""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, insert

from countermand.domain.staff import Role
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

EVENTS = "/manage/v1/events"


async def read(world: World, caller: Caller, **query: object) -> httpx.Response:
    given = {name: str(value) for name, value in query.items()}
    return await world.http.get(EVENTS, params=given, headers=world.manage_headers(caller))


async def page_of(world: World, caller: Caller, **query: object) -> dict[str, Any]:
    answer = await read(world, caller, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_program_reads_events_a_page_at_a_time_to_the_end(world: World):
    operator, partner, shop = await world.manage_client(), await world.connect_client(), await world.shopping_client()
    service = await world.service_order(partner)
    world.clock.forward(seconds=1)
    bought = (await world.ticket_order(shop)).order
    world.clock.forward(seconds=1)
    await world.cancel(partner, service, reason="moved")
    first = await page_of(world, operator, limit=2)
    second = await page_of(world, operator, limit=2, after=first["next"])
    end = await page_of(world, operator, after=second["next"])
    assert (len(first["events"]), len(second["events"])) == (2, 1)
    assert end == {"events": [], "next": second["next"]} == await page_of(world, operator, after=end["next"])
    events = [*first["events"], *second["events"]]
    assert [one["order"] for one in events] == [f"connect-{service}", f"shopping-{bought.uid}", f"connect-{service}"]
    cancelled = events[-1]
    assert cancelled.keys() == {"position", "id", "kind", "version", "order", "occurred_at", "data"}
    assert cancelled["position"] == second["next"]
    assert cancelled["id"].startswith(f"evt_connect-{service}_2_order_cancelled_")
    assert "." not in cancelled["id"]
    assert (cancelled["kind"], cancelled["version"]) == ("order.cancelled", 2)
    assert cancelled["data"] == {"from": "submitted", "reason": "moved", "approved_by": None}
    assert cancelled["occurred_at"] == (NOON + timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    assert len({one["id"] for one in events}) == 3


async def test_every_role_reads_events(world: World):
    console = await world.manage_client(permissions=frozenset())
    for role in Role:
        assert (await read(world, await world.person(role.value, role, client=console))).status_code == 200
    assert (await read(world, console)).status_code == 403


async def test_what_a_newer_version_wrote_is_shown_as_it_is(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    row = {"order_id": order_id, "recorded_at": micros(NOON), "client_id": 1}
    newer = {"state": "submitted", "colour": ["red"]}
    async with world.database.store.transaction() as tx:
        for kind in ("order.merged", "order.placed"):
            its = {**row, "order_version": 2, "kind": kind, "details": json.dumps(newer)}
            await tx.run(insert(outbox).values(its))
    _, placed, merged = (await page_of(world, operator))["events"]
    assert (placed["kind"], placed["data"]) == ("order.placed", newer)
    assert (merged["kind"], merged["data"]) == ("order.merged", newer)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"limit": 0}, {"limit": "limit must be a whole number from 1 to 1000, not"}),
        ({"limit": 1001}, {"limit": "from 1 to 1000"}),
        ({"limit": "many"}, {"limit": "from 1 to 1000"}),
        ({"limit": "-1"}, {"limit": "from 1 to 1000"}),
        ({"limit": "1.0"}, {"limit": "from 1 to 1000"}),
        ({"limit": "²"}, {"limit": "from 1 to 1000"}),
        ({"wait": 31}, {"wait": "wait must be a whole number from 0 to 30, not"}),
        ({"wait": "9" * 5000}, {"wait": "from 0 to 30"}),
        ({"limit": "", "wait": ""}, {"limit": "from 1 to 1000", "wait": "from 0 to 30"}),
        ({"after": ""}, {"after": "after must be a position or next of an earlier answer, not"}),
        ({"after": "evt_connect-5_1_order_placed_00000000"}, {"after": "leave it out to begin at the first event"}),
        ({"after": "1-1; DROP TABLE orders"}, {"after": "nothing was read"}),
        ({"from": "1-1"}, {"from": "is no parameter of this call"}),
    ],
)
async def test_a_wrong_parameter_is_named_with_what_it_may_be(
    world: World, query: dict[str, object], fields: dict[str, str]
):
    answer = await read(world, await world.manage_client(), **query)
    assert answer.status_code == 422
    said = {one["field"]: one["message"] for one in answer.json()["errors"]}
    assert said.keys() == fields.keys()
    assert all(part in said[field] for field, part in fields.items())


@pytest.mark.parametrize("limit", [1, 1000])
async def test_the_largest_and_the_smallest_page(world: World, limit: int):
    operator, partner = await world.manage_client(), await world.connect_client()
    for _ in range(2):
        await world.service_order(partner)
    assert len((await page_of(world, operator, limit=limit))["events"]) == min(limit, 2)


async def test_a_cursor_that_leads_nowhere_is_410_and_names_the_next_one(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    old, new = [await world.service_order(partner) for _ in range(2)]
    first, second = (await page_of(world, operator))["events"]
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == old))
    gone = await read(world, operator, after=first["position"].replace("-1", "-0"))
    assert (gone.status_code, gone.json()["code"]) == (410, "feed_events_deleted")
    assert gone.json()["next"] in gone.json()["detail"]
    assert (await page_of(world, operator, after=gone.json()["next"]))["events"] == [second]
    assert second["order"] == f"connect-{new}"
    other = await read(world, operator, after="1-99")
    assert (other.status_code, other.json()["code"]) == (410, "feed_of_other_generation")
    assert other.json()["next"] == "1-0"


async def test_an_answer_waits_for_the_first_event_and_holds_no_connection_meanwhile(world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    end = (await page_of(world, operator))["next"]
    # More than there are connections to the database.
    waiting = [asyncio.create_task(page_of(world, operator, after=end, wait=30)) for _ in range(25)]
    await asyncio.sleep(0.2)
    order_id = await asyncio.wait_for(world.service_order(partner), 10)
    pages = await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert {one["order"] for page in pages for one in page["events"]} == {f"connect-{order_id}"}


async def test_an_answer_waits_no_longer_than_it_was_asked_to(world: World):
    operator = await world.manage_client()
    end = (await page_of(world, operator))["next"]
    begin = time.monotonic()
    assert await page_of(world, operator, after=end, wait=1) == {"events": [], "next": end}
    assert 1 <= time.monotonic() - begin < 5


async def test_a_service_that_stops_lets_nobody_wait(world: World, monkeypatch: pytest.MonkeyPatch):
    operator = await world.manage_client()
    end = (await page_of(world, operator))["next"]
    monkeypatch.setattr(world.service.feed, "_stopping", asyncio.Event())  # the next test waits again
    waiting = asyncio.create_task(page_of(world, operator, after=end, wait=30))
    await asyncio.sleep(0.2)
    world.service.feed.stop_waiting()
    assert await asyncio.wait_for(waiting, 5) == {"events": [], "next": end}

"""The feed of a partner: its own orders, the operator's positions, and no end before the end."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from countermand.actions.ordering import event_feed
from countermand.storage.tables.cancelling import outbox
from support.manage_calls import problem
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

EVENTS = "/partner/v1/events"


async def read(world: World, caller: Caller, **query: object) -> httpx.Response:
    given = {name: str(value) for name, value in query.items()}
    headers = {"Authorization": caller.basic if caller.key else f"Bearer {world.token(caller)}"}
    return await world.http.get(EVENTS, params=given, headers=headers)


async def page_of(world: World, caller: Caller, **query: object) -> dict[str, Any]:
    answer = await read(world, caller, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def operators_page(world: World, operator: Caller) -> dict[str, Any]:
    answer = await world.http.get("/manage/v1/events?limit=1000", headers=world.manage_headers(operator))
    return answer.json()


async def test_a_partner_reads_the_events_of_its_own_orders_at_the_positions_of_the_operators_feed(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    one, other = await world.connect_client("one"), await world.connect_client("other")
    own = await world.service_order(one)
    world.clock.forward(seconds=1)
    await world.service_order(other)
    bought = (await world.ticket_order(shop)).order
    world.clock.forward(seconds=1)
    await world.cancel(one, own, reason="moved")
    everything = await operators_page(world, operator)
    assert len(everything["events"]) == 4
    for caller, order, kinds in (
        (one, f"connect-{own}", ["order.placed", "order.cancelled"]),
        (shop, f"shopping-{bought.uid}", ["order.placed"]),
    ):
        page = await page_of(world, caller)
        assert [event["kind"] for event in page["events"]] == kinds
        assert page["next"] == everything["next"], "the next read begins at the end"
        seen = [event for event in everything["events"] if event["order"] == order]
        for event in seen:
            event["data"].pop("approved_by", None)  # names a person of the operator
        assert page["events"] == seen
        assert await page_of(world, caller, after=page["next"]) == {"events": [], "next": page["next"]}
    assert (await page_of(world, await world.connect_client("new")))["events"] == []


async def test_a_page_has_no_more_events_than_asked_and_the_next_one_goes_on_without_a_gap(world: World):
    one, other = await world.connect_client("one"), await world.connect_client("other")
    orders = []
    for _ in range(5):
        orders.append(f"connect-{await world.service_order(one)}")
        world.clock.forward(seconds=1)
        await world.service_order(other)
        world.clock.forward(seconds=1)
    found, after = [], {}
    for expected in (2, 2, 1, 0):
        page = await page_of(world, one, limit=2, **after)
        assert len(page["events"]) == expected
        found += [event["order"] for event in page["events"]]
        after = {"after": page["next"]}
    assert found == orders


async def test_a_read_looks_at_a_limited_number_of_positions_and_goes_on_after_them(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_feed, "LOOKED_AT_ONCE", 3)
    operator, one, other = await world.manage_client(), await world.connect_client("1"), await world.connect_client("2")
    for _ in range(7):
        await world.service_order(other)
        world.clock.forward(seconds=1)
    own = await world.service_order(one)
    end = (await operators_page(world, operator))["next"]
    begin = asyncio.get_running_loop().time()
    first = await page_of(world, one, wait=30)
    assert asyncio.get_running_loop().time() - begin < 25, "before the end, nobody waits"
    second = await page_of(world, one, after=first["next"])
    third = await page_of(world, one, after=second["next"])
    assert (first["events"], second["events"]) == ([], [])
    assert [event["order"] for event in third["events"]] == [f"connect-{own}"]
    assert len({first["next"], second["next"], third["next"]}) == 3
    assert third["next"] == end


async def test_an_answer_waits_for_an_event_of_the_partner_and_not_for_those_of_others(world: World):
    one, other = await world.connect_client("one"), await world.connect_client("other")
    end = (await page_of(world, one))["next"]
    waiting = asyncio.create_task(page_of(world, one, after=end, wait=30))
    await world.service_order(other)
    await asyncio.sleep(1.2)  # longer than the feed sleeps between two looks
    assert not waiting.done()
    own = await world.service_order(one)
    page = await asyncio.wait_for(waiting, 10)
    assert [event["order"] for event in page["events"]] == [f"connect-{own}"]


async def test_deleted_events_of_a_partner_are_410_and_those_of_others_are_not(world: World):
    operator, one, other = await world.manage_client(), await world.connect_client("1"), await world.connect_client("2")
    begin = (await page_of(world, one))["next"]
    kept, gone, strange, last = [await world.service_order(each) for each in (one, one, other, one)]
    everything = (await operators_page(world, operator))["events"]
    position = {event["order"]: event["position"] for event in everything}
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id.in_([gone, strange])))
    page = await page_of(world, one, after=begin)
    assert [event["order"] for event in page["events"]] == [f"connect-{kept}"]
    answer = await read(world, one, after=page["next"])
    assert problem(answer) == (410, "feed_events_deleted")
    assert answer.json()["next"] == position[f"connect-{gone}"]
    rest = await page_of(world, one, after=answer.json()["next"])
    assert [event["order"] for event in rest["events"]] == [f"connect-{last}"]


async def test_a_first_read_begins_at_the_first_event_that_is_kept(world: World):
    operator, one = await world.manage_client(), await world.connect_client()
    gone, kept = [await world.service_order(one) for _ in range(2)]
    await operators_page(world, operator)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == gone))
    assert [event["order"] for event in (await page_of(world, one))["events"]] == [f"connect-{kept}"]


@pytest.mark.parametrize(
    ("query", "named"), [({"after": "x"}, "after"), ({"limit": 0}, "limit"), ({"wait": 31}, "wait"), ({"of": 1}, "of")]
)
async def test_a_wrong_parameter_is_named(world: World, query: dict[str, object], named: str):
    answer = await read(world, await world.connect_client(), **query)
    assert problem(answer) == (422, "invalid_field")
    assert [one["field"] for one in answer.json()["errors"]] == [named]


async def test_a_cursor_of_another_database_is_410_for_a_partner_too(world: World):
    answer = await read(world, await world.connect_client(), after="1-99")
    assert problem(answer) == (410, "feed_of_other_generation")
    assert answer.json()["next"] == "1-0"

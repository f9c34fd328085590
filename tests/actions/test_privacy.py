"""A person is found wherever the address stands, exported, and forgotten, but for orders that need the person."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from countermand.actions.privacy.persons import export_person, forget_person
from countermand.actions.privacy.ports import Place
from countermand.actions.ticketing.consumers import keep_consumer
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.domain.privacy import MARKER, Person
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.repositories import privacy
from countermand.storage.tables.cancelling import idempotency_keys, outbox, refusals
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import order_details
from support.catalogue import an_event, put
from support.database_contents import changed, contents
from support.money import euros, owe
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

EMAIL, OTHER = "ann_lee@example.com", "annxlee@example.com"  # in LIKE, _ is any character
ANN = Person(EMAIL)
# The event of a cancellation has its reason.
PLACES = dict.fromkeys(Place, 1) | {Place.ORDERS: 2, Place.EVENTS: 2}


@pytest.fixture(autouse=True)
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "LOOKED_AT_ONCE", 3)


async def everywhere(world: World) -> dict[str, OrderId]:
    """A person in every place: a cancelled order, an activated one, and texts of both."""
    shop, partner = await world.shopping_client(), await world.connect_client()
    for number in range(5):  # others, so that there are several steps
        order_id = (await world.ticket_order(shop)).order.id
        await told(world, order_id, consumer={"email": OTHER, "first_name": f"{number}"})
    bought = (await world.ticket_order(shop)).order.id
    await told(world, bought, consumer={"email": EMAIL.upper(), "first_name": "Ann", "country": "NL"})
    await world.cancel(shop, bought, reason=f"{EMAIL} is ill")
    moves = (Transition.ACCEPT, Transition.START, Transition.ACTIVATE)
    service = await world.service_order(partner, moves=moves)
    await told(world, service, contactEmail=EMAIL, contactName="Ann")
    async with world.database.store.transaction() as tx:
        await keep_consumer(tx, shop.client, Consumer(email=EMAIL, first_name="Ann", country="NL"), NOON)
        await keep_consumer(tx, shop.client, Consumer(email=OTHER, first_name="Ann"), NOON)
        row = {"order_id": service, "command_id": "c" * 32, "decided_at": 1, "client_id": partner.client.id}
        row |= {"contract": "connect", "door": "connect", "policy_version": "0" * 16, "state": "submitted"}
        await tx.run(insert(refusals).values(**row, reason=f"{EMAIL} moves out"))
        its = (outbox.c.order_id == service) & (outbox.c.order_version == 1)
        await tx.run(update(outbox).where(its).values(details=json.dumps({"contact": EMAIL, "amount": 1250})))
        body = json.dumps({"consumer": {"email": EMAIL}, "total": 12.5})
        answer = json.dumps({"status": 201, "headers": [], "body": body})
        key = {"client_id": shop.client.id, "fingerprint": "f", "created_at": micros(NOON)}
        await tx.run(insert(idempotency_keys).values(**key, key="k", answer=answer))
        await tx.run(insert(idempotency_keys).values(**key, key="another", answer=answer.replace(EMAIL, OTHER)))
    await owe(world, service, euros(1), reason=f"{EMAIL} asked for it")
    return {"bought": bought, "service": service}


async def told(world: World, order_id: OrderId, **changes: Any) -> None:
    of_order = order_details.c.order_id == order_id
    (row,) = [row for row in await world.rows("order_details") if row["order_id"] == order_id]
    async with world.database.store.transaction() as tx:
        details = json.dumps(json.loads(row["details"]) | changes)
        await tx.run(update(order_details).where(of_order).values(details=details))


async def forget(world: World, *, dry_run: bool = False, even_open: bool = False, email: str = EMAIL):
    return await forget_person(
        world.database.privacy, world.clock, Person(email), client_id=None, dry_run=dry_run, even_open=even_open
    )


async def test_a_person_is_found_in_every_place_and_nobody_else_is(world: World):
    orders = await everywhere(world)
    before = await contents(world)
    entries = await export_person(world.database.privacy, world.clock, ANN, client_id=None)
    counted = {place: sum(one.stored.place is place for one in entries) for place in Place}
    assert counted == PLACES
    assert OTHER not in str(entries)
    assert {one.order.id for one in entries if one.order is not None} == set(orders.values())
    (buyer,) = [one for one in entries if one.stored.place is Place.ORDERS and one.stored.order_id == orders["bought"]]
    assert buyer.stored.parts == [{"email": EMAIL.upper(), "first_name": "Ann", "country": "NL"}]
    assert changed(before, await contents(world)) <= {"privacy_keys", "privacy_requests"}


async def test_a_dry_run_counts_what_would_be_forgotten_and_changes_nothing(world: World):
    await everywhere(world)
    before = await contents(world)
    planned = await forget(world, dry_run=True)
    assert (planned.request_id, dict(planned.counts), planned.left) == (None, PLACES, ())
    assert changed(before, await contents(world)) == set()


async def test_a_person_is_forgotten_everywhere_and_a_repeat_finds_nothing(world: World):
    orders = await everywhere(world)
    before = await contents(world)
    forgotten = await forget(world)
    assert (dict(forgotten.counts), forgotten.left) == (PLACES, ())
    after = await contents(world)
    said = str(after).lower()
    assert EMAIL not in said
    assert OTHER in said
    tables = {"order_details", "consumers", "cancellations", "refusals", "outbox", "idempotency_keys"}
    tables |= {"payment_corrections"}
    assert changed(before, after) == tables | {"order_search", "privacy_keys", "privacy_requests"}
    for table, rows in before.items():
        if table in tables:
            pairs = zip(rows, after[table], strict=True)
            columns = {name for old, new in pairs for name in old if old[name] != new[name]}
            assert len(columns) == 1, table
    (details,) = [row for row in after["order_details"] if row["order_id"] == orders["bought"]]
    kept = json.loads(details["details"])
    assert kept["consumer"] == {"email": MARKER, "first_name": MARKER}
    assert kept["grand_total_minor"] == 2500
    again = await forget(world)
    assert (dict(again.counts), again.left) == ({}, ())
    assert changed(after, await contents(world)) == {"privacy_requests"}
    assert await export_person(world.database.privacy, world.clock, ANN, client_id=None) == []


async def test_the_record_has_a_keyed_hash_of_the_address_and_counts_and_not_the_address(world: World):
    await everywhere(world)
    for email in (EMAIL, EMAIL.upper(), OTHER):
        await forget(world, email=email, even_open=True)
        world.clock.forward(seconds=1)
    records = sorted(await world.rows("privacy_requests"), key=lambda row: row["requested_at"])
    hashes = [row["person_hmac"] for row in records]
    assert (hashes[0] == hashes[1], hashes[0] == hashes[2]) == (True, False)
    assert len(await world.rows("privacy_keys")) == 1
    assert "example.com" not in str(records)
    assert [row["kind"] for row in records] == ["forget"] * 3
    assert all(row["finished_at"] is not None for row in records)
    assert json.loads(records[0]["counts"]) == {place.value: number for place, number in PLACES.items()} | {
        "left_orders": 0
    }


async def test_orders_that_are_open_or_before_their_event_are_left_unless_told(world: World):
    shop, partner = await world.shopping_client(), await world.connect_client()
    pending = (await world.ticket_order(shop)).order.id
    ahead, over = await paid_order(world, shop, days=1), await paid_order(world, shop, days=-1)
    visited = await world.service_order(partner, appointment_in=timedelta(days=1))
    cancelled = await world.service_order(partner)
    await world.cancel(partner, cancelled)
    for order_id in (pending, ahead, over):
        await told(world, order_id, consumer={"email": EMAIL})
    for order_id in (visited, cancelled):
        await told(world, order_id, contactEmail=EMAIL)
    forgotten = await forget(world)
    assert {one.order.id for one in forgotten.left} == {pending, ahead, visited}
    assert {one.order.id: one.why for one in forgotten.left}[ahead].startswith("its event")
    assert dict(forgotten.counts) == {Place.ORDERS: 2}
    rows = {row["order_id"]: EMAIL in row["details"] for row in await world.rows("order_details")}
    assert rows == {pending: True, ahead: True, visited: True, over: False, cancelled: False}
    told_to = await forget(world, even_open=True)
    assert (dict(told_to.counts), told_to.left) == ({Place.ORDERS: 3}, ())
    assert EMAIL not in str(await world.rows("order_details"))
    view = await world.cancel(shop, pending)  # the order lives on
    assert type(view).__name__ == "Cancelled"


async def paid_order(world: World, shop: Caller, *, days: int) -> OrderId:
    """A completed order for an event that ends in so many days."""
    order = (await world.ticket_order(shop, paid=True)).order.id
    ends = world.clock() + timedelta(days=days)
    event = an_event(starts_at=ends - timedelta(hours=1), ends_at=ends)
    await put(world, event)
    (line,) = [row for row in await world.rows("order_lines") if row["order_id"] == order]
    async with world.database.store.transaction() as tx:
        await tx.run(update(products).where(products.c.uid == line["product_uid"]).values(event_uid=event.uid))
    return order


async def test_two_requests_at_once_forget_each_text_once(world: World):
    await everywhere(world)
    both = await asyncio.gather(forget(world), forget(world))
    totals = {place: sum(one.counts.get(place, 0) for one in both) for place in Place}
    assert totals == PLACES
    assert EMAIL not in str(await contents(world)).lower()
    assert len(await world.rows("privacy_keys")) == 1

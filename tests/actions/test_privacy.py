"""A person is found wherever the address stands, exported, and forgotten, but for orders that need the person."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import String, insert, update

from countermand.actions.privacy import persons
from countermand.actions.privacy.persons import Entry, Forgotten, export_person, forget_person
from countermand.actions.privacy.ports import Key, PersonalTexts, Place, RequestKind, Scanned
from countermand.actions.ticketing.consumers import keep_consumer
from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.domain.privacy import MARKER, Person
from countermand.domain.staff_id import StaffId
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.repositories import privacy
from countermand.storage.repositories.privacy import COLUMNS, SqlPrivacy
from countermand.storage.tables.appointments import appointment_tasks
from countermand.storage.tables.cancelling import (
    approvals,
    cancellations,
    idempotency_keys,
    outbox,
    refusals,
    undone_cancellations,
)
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.columns import metadata, micros
from countermand.storage.tables.orders import order_details, payment_corrections
from support.catalogue import an_event, put
from support.database_contents import changed, contents
from support.money import euros, owe
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

EMAIL, OTHER = "ann_lee@example.com", "annxlee@example.com"  # in LIKE, _ is any character
ANN = Person(EMAIL)
# The event of a cancellation has its reason.
ADMIN = Actor(ClientId(7), MANAGE, StaffId("kim"), acting_as=StaffId("lee"))
PLACES = dict.fromkeys(Place, 1) | {Place.ORDERS: 2, Place.EVENTS: 2}


# Columns of free text without a place: nothing about a person whom orders are for.
ELSEWHERE = {
    "clients": {"name", "permissions", "more_permissions", "issuer", "subject", "redirect_url", "redirect_schemes"},
    "client_keys": {"public_key"},
    "signing_keys": {"private_key"},
    "staff": {"name", "roles"},  # the people at the desk
    "policies": {"content"},
    "events": {"title", "merchant_name", "details"},
    "products": {"name", "details"},
    "methods": {"name", "image", "details"},
    # what the operator and the payment providers call something
    "payments": {"reference"},
    "payment_references": {"reference"},
    "correction_references": {"reference"},
    "vouchers": {"product_uids"},
    "appointment_tasks": {"slots"},
    "idempotency_keys": {"key"},
    # forgotten with the order
    "cancellations": {"address", "overridden", "key"},
    "undone_cancellations": {"address", "overridden", "key", "undone_address"},
    "approvals": {"address", "codes", "due", "differed"},
    "payment_corrections": {"reference", "payment_reference", "address"},
    "refusals": {"address", "codes"},
    "outbox": {"address"},
    "order_search": {"handle"},
    "privacy_requests": {"counts"},
    "endpoints": {"kinds", "url", "paused_because"},
    "deliveries": {"content_type", "headers"},  # dropped when a text of the order is forgotten
    "delivery_attempts": {"address", "detail"},
}


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
        undone = {"order_version": 2, "undone_at": 2, "undone_client_id": 0, "undone_reason": f"{EMAIL} stays"}
        await tx.run(insert(undone_cancellations).values(**row, **undone, reason=f"{EMAIL} moves out"))
        its = (outbox.c.order_id == service) & (outbox.c.order_version == 1)
        await tx.run(update(outbox).where(its).values(details=json.dumps({"contact": EMAIL, "amount": 1250})))
        body = json.dumps({"consumer": {"email": EMAIL}, "total": 12.5})
        answer = json.dumps({"status": 201, "headers": [], "body": body})
        key = {"client_id": shop.client.id, "fingerprint": "f", "created_at": micros(NOON)}
        await tx.run(insert(idempotency_keys).values(**key, key="k", answer=answer))
        task = {"order_id": service, "id": 1, "client_id": partner.client.id, "kind": "query", "state": "failed"}
        asked = {"order_id": service, "id": "a" * 32, "client_id": partner.client.id, "staff_id": "kim"}
        asked |= {"order_version": 1, "codes": "payment_recorded", "due": '{"amounts": []}', "last_change": 0}
        asked |= {"asked_at": 1, "state": "open", "reason": f"{EMAIL} moves out"}
        await tx.run(insert(approvals).values(**asked))
        failure = json.dumps({"code": "unreachable", "message": f"nobody answers at {EMAIL}"})
        await tx.run(insert(appointment_tasks).values(**task, asked_at=1, failure=failure))
        await tx.run(insert(idempotency_keys).values(**key, key="another", answer=answer.replace(EMAIL, OTHER)))
    await owe(world, service, euros(1), reason=f"{EMAIL} asked for it")
    return {"bought": bought, "service": service}


async def told(world: World, order_id: OrderId, **changes: Any) -> None:
    of_order = order_details.c.order_id == order_id
    (row,) = [row for row in await world.rows("order_details") if row["order_id"] == order_id]
    async with world.database.store.transaction() as tx:
        details = json.dumps(json.loads(row["details"]) | changes)
        await tx.run(update(order_details).where(of_order).values(details=details))


async def forget(
    world: World,
    *,
    dry_run: bool = False,
    even_open: bool = False,
    email: str = EMAIL,
    texts: PersonalTexts | None = None,
) -> Forgotten:
    found_in = texts or world.database.privacy
    return await forget_person(found_in, world.clock, Person(email), ADMIN, dry_run=dry_run, even_open=even_open)


async def export(world: World) -> list[Entry]:
    return [one async for one in export_person(world.database.privacy, world.clock, ANN, ADMIN)]


async def test_a_person_is_found_in_every_place_and_nobody_else_is(world: World):
    orders = await everywhere(world)
    before = await contents(world)
    entries = await export(world)
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
    tables |= {"appointment_tasks", "payment_corrections", "undone_cancellations", "approvals"}
    assert changed(before, after) == tables | {"order_search", "privacy_keys", "privacy_requests"}
    for table, rows in before.items():
        if table in tables:
            pairs = zip(rows, after[table], strict=True)
            columns = {name for old, new in pairs for name in old if old[name] != new[name]}
            assert len(columns - {"digest"}) == (2 if table == "undone_cancellations" else 1), table
    (details,) = [row for row in after["order_details"] if row["order_id"] == orders["bought"]]
    kept = json.loads(details["details"])
    assert kept["consumer"] == {"email": MARKER, "first_name": MARKER}
    assert kept["grand_total_minor"] == 2500
    again = await forget(world)
    assert (dict(again.counts), again.left) == ({}, ())
    assert changed(after, await contents(world)) == {"privacy_requests"}
    assert await export(world) == []


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
    assert json.loads(records[0]["counts"]) == {place.value: number for place, number in PLACES.items()}
    assert {(row["client_id"], row["staff_id"], row["acting_as"]) for row in records} == {(7, "kim", "lee")}


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
    assert (dict(forgotten.counts), dict(forgotten.left_counts)) == ({Place.ORDERS: 2}, {Place.ORDERS: 3})
    (record,) = await world.rows("privacy_requests")
    assert json.loads(record["counts"]) == {"orders": 2, "left_orders": 3}
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


def test_each_column_of_free_text_is_a_place_or_has_nothing_about_a_person():
    found = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String) and (column.type.length or 255) >= 255
    }
    elsewhere = {(table, column) for table, columns in ELSEWHERE.items() for column in columns}
    assert found - elsewhere == {(one.table.name, one.text.name) for one in COLUMNS.values()}
    assert elsewhere < found
    assert set(COLUMNS) == set(Place)


async def test_stored_consumers_and_answers_stay_as_long_as_an_order_that_is_left_needs_them(world: World):
    shop = await world.shopping_client()
    still_open, ended = [(await world.ticket_order(shop)).order for _ in range(2)]
    uids = {}
    async with world.database.store.transaction() as tx:
        for name, order in (("open", still_open), ("ended", ended)):
            ann = Consumer(email=EMAIL, first_name="Ann")
            uids[name] = (await keep_consumer(tx, shop.client, ann, NOON)).uid
            whom = {"uid": uids[name], "email": EMAIL}
            for kind, body in (("order", {"uid": order.uid, "consumer": whom}), ("consumer", whom)):
                answer = json.dumps({"status": 201, "headers": [], "body": json.dumps(body)})
                key = {"client_id": shop.client.id, "key": f"{name} {kind}", "fingerprint": "f", "answer": answer}
                await tx.run(insert(idempotency_keys).values(**key, created_at=micros(NOON)))
    for name, order in (("open", still_open), ("ended", ended)):
        await told(world, order.id, consumer={"uid": uids[name], "email": EMAIL})
    await world.cancel(shop, ended.id)
    planned, forgotten = await forget(world, dry_run=True), await forget(world)
    left = {Place.ORDERS: 1, Place.CONSUMERS: 1, Place.STORED_ANSWERS: 2}
    assert (dict(planned.counts), dict(planned.left_counts)) == (left, left)
    assert (dict(forgotten.counts), dict(forgotten.left_counts)) == (left, left)
    assert [one.order.id for one in forgotten.left] == [still_open.id]
    kept = {row["uid"]: EMAIL in row["details"] for row in await world.rows("consumers")}
    assert kept == {uids["open"]: True, uids["ended"]: False}
    answers = {row["key"]: EMAIL in row["answer"] for row in await world.rows("idempotency_keys")}
    assert answers == {"open order": True, "open consumer": True, "ended order": False, "ended consumer": False}
    assert dict((await forget(world)).left_counts) == left, "they stay, however often it runs"
    await world.cancel(shop, still_open.id)
    later = await forget(world)
    assert (dict(later.counts), dict(later.left_counts)) == (left, {})
    assert EMAIL not in str(await contents(world))


async def test_even_open_leaves_no_stored_consumer_and_no_answer(world: World):
    shop = await world.shopping_client()
    order = (await world.ticket_order(shop)).order
    async with world.database.store.transaction() as tx:
        kept = await keep_consumer(tx, shop.client, Consumer(email=EMAIL), NOON)
    await told(world, order.id, consumer={"uid": kept.uid, "email": EMAIL})
    assert dict((await forget(world, even_open=True)).counts) == {Place.ORDERS: 1, Place.CONSUMERS: 1}


@pytest.mark.parametrize(("most", "stays"), [(4, True), (5, False)])
async def test_if_too_many_orders_are_left_to_remember_all_stored_consumers_stay(
    world: World, monkeypatch: pytest.MonkeyPatch, *, most: int, stays: bool
):
    monkeypatch.setattr(persons, "MOST_NEEDED", most)
    monkeypatch.setattr(persons, "MOST_LEFT", 1)
    shop = await world.shopping_client()
    first, second = sorted([(await world.ticket_order(shop)).order.id for _ in range(2)])
    await told(world, first, consumer={"email": EMAIL, "uid": "another"})  # two names of each order, and this one
    await told(world, second, consumer={"email": EMAIL})
    async with world.database.store.transaction() as tx:
        await keep_consumer(tx, shop.client, Consumer(email=EMAIL), NOON)
    forgotten = await forget(world)
    assert [one.order.id for one in forgotten.left] == [first], "an answer names only so many orders"
    assert dict(forgotten.left_counts) == {Place.ORDERS: 2} | ({Place.CONSUMERS: 1} if stays else {})
    assert dict(forgotten.counts) == ({} if stays else {Place.CONSUMERS: 1})


async def test_a_buyers_address_is_exported_and_forgotten_and_those_of_others_stay(world: World):
    shop, partner = await world.shopping_client(), await world.connect_client()
    bought, a_friends = [(await world.ticket_order(shop)).order.id for _ in range(2)]
    service = await world.service_order(partner)
    await told(world, bought, consumer={"email": EMAIL})
    friend = {"t": {"email": EMAIL}}
    await told(world, a_friends, consumer={"email": OTHER}, ticket_consumers=friend)
    await told(world, service, contactEmail=EMAIL)
    for caller, order_id in ((shop, bought), (shop, a_friends), (partner, service)):
        await world.cancel(caller, order_id)
    row = {"command_id": "c" * 32, "decided_at": 1, "client_id": shop.client.id, "contract": "shopping"}
    row |= {"policy_version": "0" * 16, "state": "pending", "order_id": bought}
    async with world.database.store.transaction() as tx:
        for order_id in (bought, a_friends, service):
            of_order = cancellations.c.order_id == order_id
            await tx.run(update(cancellations).where(of_order).values(address=f"198.51.100.{order_id % 7}"))
            told_of = outbox.c.order_id == order_id
            await tx.run(update(outbox).where(told_of).values(address=f"192.0.2.{order_id % 7}"))
        await tx.run(insert(refusals).values(row | {"door": "shopping", "address": "203.0.113.1"}))
        staffs = row | {"command_id": "d" * 32, "door": "manage", "address": "203.0.113.2"}
        await tx.run(insert(refusals).values(staffs))
        due = {"order_id": bought, "kind": "refund", "amount_minor": 1, "currency": "EUR", "state": "due"}
        due |= {"reason": "r", "recorded_at": 1, "client_id": shop.client.id}
        for number, channel in ((3, "shopping"), (4, "manage")):
            came = {"number": number, "channel": channel, "address": f"203.0.113.{number}"}
            await tx.run(insert(payment_corrections).values(due | came))
    (entry,) = [one for one in await export(world) if one.order is not None and one.order.id == bought]
    from_where = (f"198.51.100.{bought % 7}", "203.0.113.1", f"192.0.2.{bought % 7}", "203.0.113.3")
    addresses = [{"caller_address": address} for address in from_where]
    assert entry.stored.parts == [{"email": EMAIL}, *addresses]
    assert dict((await forget(world)).counts) == {Place.ORDERS: 3}
    left = {row["order_id"]: row["address"] for row in await world.rows("cancellations")}
    assert left == {bought: None, a_friends: f"198.51.100.{a_friends % 7}", service: f"198.51.100.{service % 7}"}
    assert {row["door"]: row["address"] for row in await world.rows("refusals")} == {
        "shopping": None,
        "manage": "203.0.113.2",
    }
    assert [row["address"] for row in await world.rows("payment_corrections")] == [None, "203.0.113.4"]
    in_events = {row["order_id"]: row["address"] for row in await world.rows("outbox")}
    assert in_events == {bought: None, a_friends: f"192.0.2.{a_friends % 7}", service: f"192.0.2.{service % 7}"}


class Meanwhile(SqlPrivacy):
    """Does something whenever the orders were looked at, or ends like a process at a chosen call."""

    def __init__(self, world: World, times: int = 0, then: Any = None, ends_at: int | None = None) -> None:
        super().__init__(world.database.store)
        self.times, self.then, self.ends_at, self.calls = times, then, ends_at, 0

    async def scan(self, place: Place, person: Person, after: Key | None) -> Scanned:
        if place is Place.CONSUMERS and after is None and self.times:
            self.times -= 1
            await self.then()
        return await self._counted(super().scan(place, person, after))

    async def forget(self, place: Place, key: Key, person: Person) -> bool:
        return await self._counted(super().forget(place, key, person))

    async def begin_request(
        self, request_id: str, kind: RequestKind, person: Person, actor: Actor, now: datetime
    ) -> None:
        await self._counted(super().begin_request(request_id, kind, person, actor, now))

    async def count_request(self, request_id: str, counts: Mapping[str, int], finished_at: datetime | None) -> None:
        await self._counted(super().count_request(request_id, counts, finished_at))

    async def _counted(self, call: Any) -> Any:
        self.calls += 1
        if self.calls == self.ends_at:
            call.close()
            raise ProcessEndedError
        return await call


class ProcessEndedError(BaseException):
    """Nothing catches it."""


async def test_an_order_that_is_placed_meanwhile_is_found_by_the_next_pass(world: World):
    shop = await world.shopping_client()
    first = (await world.ticket_order(shop)).order.id
    await told(world, first, consumer={"email": EMAIL})

    async def placed() -> None:
        await told(world, (await world.ticket_order(shop)).order.id, consumer={"email": EMAIL})

    # A pass that finds something is followed by another one. The last of them must find nothing.
    forgotten = await forget(world, even_open=True, texts=Meanwhile(world, persons.PASSES - 2, placed))
    assert (forgotten.is_finished, dict(forgotten.counts)) == (True, {Place.ORDERS: persons.PASSES - 1})
    assert EMAIL not in str(await contents(world))


async def test_a_forgetting_that_never_comes_to_an_end_stops_and_says_so(world: World):
    shop = await world.shopping_client()
    order_id = (await world.ticket_order(shop)).order.id
    await told(world, order_id, consumer={"email": EMAIL})

    async def again() -> None:
        await told(world, order_id, consumer={"email": EMAIL})

    forgotten = await forget(world, even_open=True, texts=Meanwhile(world, 99, again))
    assert (forgotten.is_finished, dict(forgotten.counts)) == (False, {Place.ORDERS: persons.PASSES})
    (record,) = await world.rows("privacy_requests")
    assert (record["finished_at"], json.loads(record["counts"])) == (None, {"orders": persons.PASSES})
    assert (await forget(world, even_open=True)).is_finished
    assert EMAIL not in str(await contents(world))


async def test_a_forgetting_that_ends_between_any_two_steps_is_made_again(world: World):
    await everywhere(world)
    for steps in range(1, 200):
        try:
            await forget(world, texts=Meanwhile(world, ends_at=steps))
        except ProcessEndedError:
            for row in await world.rows("order_details"):
                handles = [one["handle"] for one in await world.rows("order_search", row["order_id"])]
                assert (f"={EMAIL}" in handles) <= (EMAIL in row["details"].lower()), "both at once, or neither"
            continue
        break
    assert steps > sum(PLACES.values())
    after = await contents(world)
    assert EMAIL not in str(after).lower()
    assert OTHER in str(after)
    finished = [row["finished_at"] is not None for row in await world.rows("privacy_requests")]
    assert finished.count(True) == 1
    again = await forget(world)
    assert (dict(again.counts), again.is_finished) == ({}, True)
    assert changed(after, await contents(world)) == {"privacy_requests"}

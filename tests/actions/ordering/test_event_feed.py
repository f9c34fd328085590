"""The feed has every event once, in the order of its positions, and never passes over an event that commits late."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from countermand.actions.errors import CursorGoneError, FieldsError
from countermand.actions.ordering import event_feed
from countermand.actions.ordering.event_feed import OVERLAP, EventFeed
from countermand.actions.ordering.feed_ports import NumberedEvent, OutboxEvent
from countermand.bootstrap.clock import shared_by_all
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_events import place_in_version
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from countermand.storage.tables.feed import event_feed as positions
from countermand.storage.tables.feed import event_feed_head
from support.money import euros, pay
from support.shared_world import shared_world
from support.statements import before_each_statement
from support.world import NOON, World

world = shared_world

A_DAY = timedelta(days=1)
KINDS = ["order.advanced", "payment.recorded", "appointment.set", "refund.due"]
ALL = 1000


def feed_of(world: World) -> EventFeed:
    """A feed as another node has it."""
    return EventFeed(world.database.store, shared_by_all(world.clock))


async def everything(world: World, after: str | None = None) -> list[NumberedEvent]:
    """Read the feed to its end, a few events at a time."""
    feed, found = feed_of(world), []
    while (page := await feed.read(after, 3)).events:
        found += [event for _, event in page.events]
        after = page.following
    assert page.following == (await feed.read(page.following, 3)).following
    return found


def named(events: Sequence[NumberedEvent]) -> list[tuple[OrderId, int, str]]:
    return [(one.order_id, one.order_version, one.kind) for one in events]


async def in_outbox(world: World) -> set[tuple[OrderId, int, str]]:
    return {(row["order_id"], row["order_version"], row["kind"]) for row in await world.rows("outbox")}


async def check_complete(world: World) -> list[NumberedEvent]:
    """Every event is there once, and the events of each order are in the order's own order."""
    found = await everything(world)
    assert len(found) == len(set(named(found)))
    assert set(named(found)) == await in_outbox(world)
    for order_id in {one.order_id for one in found}:
        own = [(one.order_version, place_in_version(one.kind)) for one in found if one.order_id == order_id]
        assert own == sorted(own)
    return found


async def write(tx: SqlTransaction, order_id: OrderId, version: int, kind: str, at: datetime) -> None:
    row = {"order_id": order_id, "order_version": version, "kind": kind, "recorded_at": micros(at), "client_id": 1}
    await tx.run(insert(outbox).values(**row, details=json.dumps({"version": version})))


async def test_each_event_is_there_once_in_the_order_of_its_order(world: World):
    owner, shop = await world.connect_client(), await world.shopping_client()
    orders = [await world.service_order(owner, appointment_in=A_DAY * 3) for _ in range(3)]
    bought = (await world.ticket_order(shop)).order.id
    await pay(world, orders[0], "psp-1", euros(5))
    for order_id in (*orders, bought):
        await world.cancel(owner if order_id in orders else shop, order_id, reason="moved")
    found = await check_complete(world)
    last = [one.kind for one in found if one.order_id == orders[1]][-2:]
    assert last == ["order.cancelled", "appointment.cancelled"]


async def test_a_late_commit_gets_a_later_position_and_nobody_waits_for_it(postgres_world: World):
    world = postgres_world
    owner = await world.connect_client()
    early, late = await world.service_order(owner), await world.service_order(owner)
    before = await everything(world)
    async with world.database.store.transaction() as held:
        await write(held, late, 2, "order.advanced", NOON)
        async with world.database.store.transaction() as tx:
            await write(tx, early, 2, "order.advanced", NOON + timedelta(minutes=1))
        meanwhile = await asyncio.wait_for(everything(world), 10)
        assert named(meanwhile) == [*named(before), (early, 2, "order.advanced")]
    after = await everything(world)
    assert named(after) == [*named(meanwhile), (late, 2, "order.advanced")]
    assert [one.position for one in after[:-1]] == [one.position for one in meanwhile]


@pytest.mark.parametrize("off", [timedelta(seconds=-50), timedelta(seconds=50)])
async def test_nothing_is_missed_if_clocks_are_50_seconds_apart(world: World, off: timedelta):
    owner = await world.connect_client()
    order_id = await world.service_order(owner)
    await everything(world)
    for version in range(2, 8):
        world.clock.forward(seconds=20)
        async with world.database.store.transaction() as tx:
            await write(tx, order_id, version, "order.advanced", world.clock() + (off if version % 2 else -off))
        assert (await everything(world))[-1].order_version == version
    await check_complete(world)


async def test_a_transaction_that_stayed_open_for_hours_is_found_by_the_check_of_the_whole_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    owner = await world.connect_client()
    order_id, other = await world.service_order(owner), await world.service_order(owner)
    feed, check = feed_of(world), EventFeed.check

    async def only_ours(asked: EventFeed) -> None:  # the node's own task would find it, sooner or later
        if asked is feed:
            await check(asked)

    monkeypatch.setattr(EventFeed, "check", only_ours)
    await everything(world)
    for hours in range(1, 4):  # the search moves on
        world.clock.forward(hours=1)
        async with world.database.store.transaction() as tx:
            await write(tx, other, 1 + hours, "order.advanced", world.clock())
        await everything(world)
    async with world.database.store.transaction() as tx:
        await write(tx, order_id, 2, "order.advanced", NOON)
    assert (order_id, 2, "order.advanced") not in named(await everything(world))
    await feed.check()
    assert named(await everything(world))[-1] == (order_id, 2, "order.advanced")
    await check_complete(world)


async def test_an_older_event_of_an_order_never_comes_after_a_newer_one(world: World):
    """The node that wrote the first version had a clock that was far behind."""
    owner = await world.connect_client()
    order_id, other = await world.service_order(owner), await world.service_order(owner)
    world.clock.forward(hours=5)
    async with world.database.store.transaction() as tx:
        await write(tx, other, 2, "order.advanced", world.clock())
    await everything(world)
    async with world.database.store.transaction() as tx:
        await write(tx, order_id, 2, "order.advanced", NOON - A_DAY)
        await write(tx, order_id, 3, "order.advanced", world.clock())
    assert named(await everything(world))[-2:] == [(order_id, 2, "order.advanced"), (order_id, 3, "order.advanced")]


async def test_the_check_goes_through_the_whole_outbox_in_parts_and_begins_again(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_feed, "CHECKED_AT_ONCE", 2)
    owner = await world.connect_client()
    orders = [await world.service_order(owner) for _ in range(5)]
    await everything(world)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(positions).where(positions.c.order_id == orders[-1]))
        await tx.run(update(event_feed_head).values(complete_until=micros(NOON + A_DAY)))
    world.clock.forward(days=2)
    feed, rounds = feed_of(world), 1
    while await feed.check():
        rounds += 1
    assert rounds > 2
    assert named(await everything(world))[-1] == (orders[-1], 1, "order.placed")
    assert await feed.check()  # from the beginning once more
    await check_complete(world)


async def test_two_that_give_positions_at_once_give_each_event_one(world: World):
    owner = await world.connect_client()
    for _ in range(10):
        await world.service_order(owner)
    feeds = [feed_of(world) for _ in range(4)]
    pages = await asyncio.gather(*(feed.read(None, ALL) for feed in feeds))
    assert len({tuple(named([event for _, event in page.events])) for page in pages}) == 1
    await check_complete(world)


async def test_nothing_is_missed_while_many_write_and_two_read(world: World):
    owner = await world.connect_client()
    writing = True

    async def write_some() -> None:
        for _ in range(8):
            order_id = await world.service_order(owner, appointment_in=A_DAY * 3)
            await world.cancel(owner, order_id)

    async def follow() -> list[tuple[OrderId, int, str]]:
        feed, found, after = feed_of(world), [], None
        while True:
            last_round = not writing
            page = await feed.read(after, 7)
            found += named([event for _, event in page.events])
            after = page.following
            if last_round and not page.events:
                return found

    readers = [asyncio.create_task(follow()) for _ in range(2)]
    await asyncio.gather(*(write_some() for _ in range(3)))
    writing = False
    read = await asyncio.gather(*readers)
    assert read[0] == read[1] == named(await check_complete(world))


class KilledError(Exception):
    """Stands for the end of the process."""


@contextmanager
def _dies_at(statement: int) -> Iterator[list[int]]:
    """Let the work of this task end at one of its statements, counted from 1."""
    counted, own = [0], asyncio.current_task()

    def count() -> None:
        if asyncio.current_task() is own:  # the service's own tasks go on
            counted[0] += 1
            if counted[0] == statement:
                raise KilledError

    with before_each_statement(count):
        yield counted


async def test_after_a_kill_at_any_statement_each_event_is_there_once(world: World):
    owner = await world.connect_client()
    killed = 0
    for statement in range(1, 20):
        await world.service_order(owner)
        with _dies_at(statement) as counted:
            try:
                await feed_of(world).number()
            except KilledError:
                killed += 1
            else:
                break
        await check_complete(world)
    assert killed >= 5
    assert counted[0] < statement
    await check_complete(world)


async def test_a_batch_has_a_limit_and_the_rest_follows(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(event_feed, "NUMBERED_AT_ONCE", 2)
    owner = await world.connect_client()
    for _ in range(5):
        await world.service_order(owner)
        world.clock.forward(seconds=1)
    feed = feed_of(world)
    assert await feed.number()
    while await feed.number():
        pass
    await check_complete(world)


async def test_ids_are_the_same_on_both_databases_and_after_a_forgetting(world: World):
    owner = await world.connect_client()
    order_id = await world.service_order(owner)
    await world.cancel(owner, order_id, reason="ann@example.com moves")
    before = {(one.order_version, one.kind): one.digest for one in await everything(world)}
    async with world.database.store.transaction() as tx:
        await tx.run(update(outbox).values(details='{"reason": "forgotten"}'))
    after = await everything(world)
    assert {(one.order_version, one.kind): one.digest for one in after} == before
    assert all(one.details == {"reason": "forgotten"} for one in after)
    # Both databases write the same instant and details, in JSON of other forms.
    assert before[2, "order.cancelled"] == "550bda7b"


async def test_what_a_program_delivered_before_its_position_was_given_is_there(world: World):
    owner = await world.connect_client()
    order_id = await world.service_order(owner)
    async with world.database.store.transaction() as tx:
        await tx.run(update(event_feed_head).values(began_at=micros(NOON)))
        await tx.run(update(outbox).values(delivered_at=micros(NOON)))
    assert named(await everything(world)) == [(order_id, 1, "order.placed")]


async def test_what_was_delivered_before_the_feed_began_is_not_there(world: World):
    owner = await world.connect_client()
    old, new = await world.service_order(owner), await world.service_order(owner)
    async with world.database.store.transaction() as tx:
        await tx.run(update(event_feed_head).values(began_at=micros(NOON) + 1))
        await tx.run(update(outbox).where(outbox.c.order_id == old).values(delivered_at=micros(NOON)))
    await feed_of(world).check()
    assert named(await everything(world)) == [(new, 1, "order.placed")]


async def test_a_cursor_whose_next_events_were_deleted_says_where_to_go_on(world: World):
    owner = await world.connect_client()
    orders = [await world.service_order(owner) for _ in range(4)]
    feed = feed_of(world)
    page = await feed.read(None, ALL)
    cursors = [cursor for cursor, _ in page.events]
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id.in_(orders[:2])))
    for _ in range(2):  # before and after the positions are deleted, too
        assert named([event for _, event in (await feed.read(None, ALL)).events]) == [
            (one, 1, "order.placed") for one in orders[2:]
        ]
        with pytest.raises(CursorGoneError) as gone:
            await feed.read(cursors[0], ALL)
        assert (gone.value.code, gone.value.go_on) == ("feed_events_deleted", cursors[1])
        assert len((await feed.read(gone.value.go_on, ALL)).events) == 2
        await feed.forget_deleted(1)
        await feed.forget_deleted(10)
    assert len(await world.rows("event_feed")) == 2
    assert not await feed.forget_deleted(10)


async def test_a_deleted_event_between_others_is_never_passed_over_in_silence(world: World):
    owner = await world.connect_client()
    orders = [await world.service_order(owner) for _ in range(3)]
    feed = feed_of(world)
    cursors = [cursor for cursor, _ in (await feed.read(None, ALL)).events]
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == orders[1]))
    page = await feed.read(None, ALL)
    assert [cursor for cursor, _ in page.events] == cursors[:1]
    with pytest.raises(CursorGoneError) as gone:
        await feed.read(page.following, ALL)
    assert gone.value.go_on == cursors[1]
    assert [cursor for cursor, _ in (await feed.read(cursors[1], ALL)).events] == cursors[2:]


async def test_a_new_generation_goes_on_where_the_old_cursors_and_the_restored_events_part(world: World):
    owner = await world.connect_client()
    orders = [await world.service_order(owner) for _ in range(4)]
    feed = feed_of(world)
    lost = [cursor for cursor, _ in (await feed.read(None, ALL)).events]
    async with world.database.store.transaction() as tx:  # as a restore leaves it: the last two orders never were
        await tx.run(delete(outbox).where(outbox.c.order_id.in_(orders[2:])))
        await tx.run(delete(positions).where(positions.c.position > 2))
        await tx.run(update(event_feed_head).values(last=2))
    began = await feed.begin_generation()
    new = await world.service_order(owner)
    assert [event.order_id for _, event in (await feed.read(began, ALL)).events] == [new]
    for cursor, expected in zip(lost, [[orders[1], new], [new], [new], [new]], strict=True):
        with pytest.raises(CursorGoneError) as gone:
            await feed.read(cursor, ALL)
        assert gone.value.code == "feed_of_other_generation"
        assert [event.order_id for _, event in (await feed.read(gone.value.go_on, ALL)).events] == expected
    again = await feed.begin_generation()
    assert int(again.split("-")[0]) > int(began.split("-")[0]) >= int(NOON.timestamp())
    with pytest.raises(CursorGoneError) as gone:
        await feed.read(lost[3], ALL)  # the first generation parted from the others before both
    assert gone.value.go_on == f"{again.split('-')[0]}-2"


@pytest.mark.parametrize("cursor", ["1-2", "2-0", "2-1", "1-99"])
async def test_a_cursor_that_this_database_never_gave_leads_to_the_first_event(world: World, cursor: str):
    await world.service_order(await world.connect_client())
    feed = feed_of(world)
    page = await feed.read(None, ALL)
    with pytest.raises(CursorGoneError) as gone:
        await feed.read(cursor, ALL)
    assert (gone.value.code, gone.value.go_on) == ("feed_of_other_generation", "1-0")
    assert await feed.read(gone.value.go_on, ALL) == page


@pytest.mark.parametrize(
    "cursor", ["", "1", "1-", "-1", "01-1", "1-01", "1-1 ", "a-1", "1-1-1", "\u0661-1", "1-" + "9" * 19]
)
async def test_a_text_that_is_no_cursor_is_refused(world: World, cursor: str):
    with pytest.raises(FieldsError, match="after must be a position or next of an earlier answer"):
        await feed_of(world).read(cursor, ALL)


async def test_the_clock_may_be_set_back(world: World):
    owner = await world.connect_client()
    first = await world.service_order(owner)
    world.clock.forward(days=1)
    await world.service_order(owner)
    await everything(world)
    world.clock.now = NOON - A_DAY
    async with world.database.store.transaction() as tx:
        await write(tx, first, 2, "order.advanced", world.clock() - OVERLAP / 2)
    await check_complete(world)


async def test_the_search_begins_where_nothing_older_can_be_without_a_position(world: World):
    await world.service_order(await world.connect_client())
    await everything(world)
    async with world.database.store.snapshot() as reading:
        (row,) = await reading.rows(select(event_feed_head.c.complete_until))
    assert row["complete_until"] == micros(NOON - OVERLAP)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(-100, 100), st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
    )
)
def test_whatever_the_clocks_say_the_events_of_an_order_keep_its_order(changes: list[tuple[int, int, list[str]]]):
    versions: dict[int, int] = {}
    events = []
    for order_id, seconds, kinds in changes:
        versions[order_id] = versions.get(order_id, 0) + 1
        for kind in kinds:
            event = OutboxEvent(
                order_id=OrderId(order_id),
                order_version=versions[order_id],
                kind=kind,
                recorded_at=NOON + timedelta(seconds=seconds),
                details={},
                digest="",
            )
            events.append(event)
    placed = event_feed._in_order(events[::-1])
    assert Counter(map(repr, placed)) == Counter(map(repr, events))
    for order_id in versions:
        own = [(one.order_version, place_in_version(one.kind)) for one in placed if one.order_id == order_id]
        assert own == sorted(own)


@pytest.mark.parametrize("seed", range(6))
async def test_a_reader_that_reads_at_any_moment_has_every_event_once(world: World, seed: int):
    """Nodes with other clocks write, others give positions, check, or die before they have written them."""
    chance = random.Random(seed)
    owner = await world.connect_client()
    versions = {await world.service_order(owner): 1 for _ in range(4)}
    feeds = [feed_of(world) for _ in range(2)]
    read, after = [], None
    for _ in range(40):
        step = chance.choice(["write", "write", "write", "number", "check", "read", "read", "wait"])
        if step == "write":
            order_id = chance.choice([*versions])
            versions[order_id] += 1
            at = world.clock() + timedelta(seconds=chance.randint(-50, 50))
            async with world.database.store.transaction() as tx:
                for kind in chance.sample(KINDS, 2):
                    await write(tx, order_id, versions[order_id], kind, at)
        elif step == "number":
            await chance.choice(feeds).number()
        elif step == "check":
            await chance.choice(feeds).check()
        elif step == "wait":
            world.clock.forward(seconds=chance.choice([1, 60, 1000]))
        else:
            page = await chance.choice(feeds).read(after, chance.choice([1, 3, 100]))
            read += [event for _, event in page.events]
            after = page.following
    read += await everything(world, after)
    assert named(read) == named(await check_complete(world))

"""The hand-out of an event claims it in the same transaction, if nothing else of its order waits for the endpoint."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from countermand.actions.delivering.attempts import LEASE
from countermand.actions.delivering.claimed import ClaimedEvent, EndedAttempt
from countermand.actions.delivering.dispatch import HandedOut
from countermand.actions.delivering.endpoints import Redelivery
from countermand.actions.delivering.redeliver import Redeliveries
from countermand.actions.errors import UnavailableError
from countermand.domain.delivering.endpoint import PROBED_FROM, Endpoint
from countermand.domain.orders.order_state import Transition
from countermand.storage.repositories.dispatch_statements import TAKE
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.tables.columns import micros
from countermand.storage.tables.delivering import deliveries, endpoints
from support.deliveries import FAILURE, SUCCESS, Deliveries
from support.postgres import a_connection, until_waiting
from support.shared_world import shared_postgres_world, shared_world
from support.world import World

world = shared_world
postgres_world = shared_postgres_world

PLACES = 10


async def handed_out(out: Deliveries, *to: Endpoint, places: int = PLACES) -> HandedOut:
    return await out.dispatch({endpoint.number: places for endpoint in to})


async def sent(out: Deliveries, claimed: Sequence[ClaimedEvent]) -> None:
    await out.attempts.record([EndedAttempt(claimed=one, result=SUCCESS) for one in claimed])


def redeliveries(out: Deliveries) -> Redeliveries:
    parts = out.endpoints._parts
    return Redeliveries(parts.store, parts.dispatch, parts.feed, parts.shared_clock)


def kinds(claimed: Sequence[ClaimedEvent]) -> list[str]:
    return [one.delivery.key.kind for one in claimed]


async def test_the_first_event_of_each_order_is_claimed_and_the_next_waits_until_it_has_arrived(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    other = await world.service_order(me)

    handed = await handed_out(out, endpoint)

    assert (handed.events, handed.waiting) == (3, 0)
    assert sorted(one.delivery.key.order_id for one in handed.claimed) == sorted([order_id, other])
    assert kinds(handed.claimed) == ["order.placed", "order.placed"]
    assert await out.attempts.claim(await out.current(endpoint), PLACES) == []
    await sent(out, handed.claimed)
    (following,) = await out.attempts.claim(await out.current(endpoint), PLACES)
    (before,) = (one for one in handed.claimed if one.delivery.key.order_id == order_id)
    assert following.delivery.key.kind == "appointment.set"
    assert following.sending.previous == before.sending.event_id
    assert before.sending.previous is None


async def test_an_event_of_an_order_that_the_endpoint_knows_names_the_event_before(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    first = (await handed_out(out, endpoint)).claimed
    await sent(out, first)
    await world.advance(order_id, Transition.ACCEPT)

    (second,) = (await handed_out(out, endpoint)).claimed

    assert second.sending.previous == first[0].sending.event_id
    assert (second.sending.attempt, second.delivery.key.kind) == (1, "order.advanced")
    await sent(out, [second])
    assert {row["state"] for row in await world.rows("deliveries")} == {"delivered"}
    assert await world.rows("delivery_lanes") == []


async def test_the_row_holds_what_is_sent_so_that_a_retry_has_the_same_bytes(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    (lost,) = (await handed_out(out, endpoint)).claimed
    await world.advance(order_id, Transition.ACCEPT)
    await out.hand_out()

    world.clock.now += LEASE - timedelta(microseconds=1)
    assert await out.attempts.claim(await out.current(endpoint), PLACES) == []
    world.clock.now += timedelta(microseconds=1)
    (again,) = await out.attempts.claim(await out.current(endpoint), PLACES)

    assert (again.sending.event_id, again.sending.body) == (lost.sending.event_id, lost.sending.body)
    assert again.sending.headers == lost.sending.headers
    assert again.sending.attempt == 2
    assert [row["error"] for row in await world.rows("delivery_attempts")] == ["cut_off"]


@pytest.mark.parametrize("places", [0, 1, 2, 3])
async def test_no_more_is_claimed_than_there_are_places_and_the_rest_waits_for_anybody(world: World, places: int):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    orders = []
    for _ in range(3):
        orders.append(await world.service_order(me))
        world.clock.now += timedelta(milliseconds=1)

    handed = await handed_out(out, endpoint, places=places)

    assert [one.delivery.key.order_id for one in handed.claimed] == orders[:places]
    assert handed.waiting == 3 - places
    rest = await out.attempts.claim(await out.current(endpoint), PLACES)
    assert [one.delivery.key.order_id for one in rest] == orders[places:]


async def test_an_event_waits_behind_one_of_its_order_that_failed(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    failed = (await handed_out(out, endpoint)).claimed
    await out.attempts.record([EndedAttempt(claimed=one, result=FAILURE) for one in failed])
    await world.advance(order_id, Transition.ACCEPT)

    handed = await handed_out(out, endpoint)

    assert (handed.events, list(handed.claimed), handed.waiting) == (1, [], 1)
    await out.wait_until_due()
    assert [one.order_version for one in await out.until_done(endpoint)] == [1, 2]


async def test_each_endpoint_has_its_own_claim_and_one_that_is_paused_or_seems_down_has_none(world: World):
    out = Deliveries(world)
    well, paused, down = [await out.endpoint() for _ in range(3)]
    await out.endpoints.pause(paused.id, None)
    async with world.database.store.transaction() as tx:
        it = update(endpoints).where(endpoints.c.number == down.number)
        await tx.run(it.values(failures=PROBED_FROM, failing_orders=PROBED_FROM))
    order_id = await world.service_order(await world.connect_client())

    handed = await handed_out(out, well, paused, down)

    of_order = [one for one in handed.claimed if one.delivery.key.order_id == order_id]
    assert [one.delivery.endpoint for one in of_order] == [well.number]
    rows = await world.rows("deliveries")
    attempts = {row["endpoint"]: row["attempts"] for row in rows if row["order_id"] == order_id}
    assert attempts == {well.number: 1, paused.number: 0, down.number: 0}


async def test_an_event_that_was_redelivered_before_its_hand_out_is_not_claimed_twice(world: World):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    (first,) = (await handed_out(out, endpoint)).claimed
    await sent(out, [first])
    async with world.database.store.transaction() as tx:
        await tx.run(text("UPDATE outbox SET delivered_at = NULL"))  # as if it had not been handed out

    handed = await handed_out(out, endpoint)

    assert (handed.events, list(handed.claimed)) == (1, [])
    assert await out.until_done(endpoint) == []
    assert [row["attempts"] for row in await world.rows("deliveries") if row["order_id"] == order_id] == [1]


async def test_an_order_that_cannot_be_shown_waits_and_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    odd, broken, usual = [await world.service_order(me) for _ in range(3)]
    preparing = out.dispatch._claiming._preparing
    show = preparing._show_order

    def shown(view):
        if view.order.id == odd:
            raise UnavailableError("a newer version wrote it")
        if view.order.id == broken:
            raise KeyError("a bug")
        return show(view)

    monkeypatch.setattr(preparing, "_show_order", shown)
    handed = await handed_out(out, endpoint)

    assert [one.delivery.key.order_id for one in handed.claimed] == [usual]
    assert handed.waiting == 2
    monkeypatch.undo()
    rest = await out.attempts.claim(await out.current(endpoint), PLACES)
    assert sorted(one.delivery.key.order_id for one in rest) == sorted([odd, broken])


async def test_an_order_that_cannot_be_read_stops_no_hand_out(world: World, monkeypatch: pytest.MonkeyPatch):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())

    async def views(*_: object) -> Any:
        raise KeyError("a product that is gone")

    with monkeypatch.context() as broken:
        broken.setattr(SqlTransaction, "views", views)
        handed = await handed_out(out, endpoint)
    assert (handed.events, list(handed.claimed), handed.waiting) == (1, [], 1)

    (later,) = await out.attempts.claim(await out.current(endpoint), PLACES)
    assert later.delivery.key.order_id == order_id


async def test_an_error_of_the_database_undoes_the_hand_out(world: World, monkeypatch: pytest.MonkeyPatch):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())

    async def views(*_: object) -> Any:
        raise UnavailableError("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(SqlTransaction, "views", views)
        with pytest.raises(UnavailableError):
            await handed_out(out, endpoint)
    assert await world.rows("deliveries") == []
    assert len((await handed_out(out, endpoint)).claimed) == 1


async def test_what_a_later_error_undoes_is_neither_handed_out_nor_claimed(world: World, monkeypatch):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    claiming = out.dispatch._claiming
    add = claiming.add

    async def fails_after(*given):
        assert await add(*given)
        raise UnavailableError("the database went away")

    monkeypatch.setattr(claiming, "add", fails_after)
    with pytest.raises(UnavailableError):
        await handed_out(out, endpoint)
    assert await world.rows("deliveries") == await world.rows("delivery_lanes") == []

    monkeypatch.undo()
    assert len((await handed_out(out, endpoint)).claimed) == 1


async def test_redelivery_waits_while_somebody_hands_out(postgres_world: World):
    """Otherwise both could add an event of one order at the same time, and both let it be sent."""
    world = postgres_world
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    (first,) = (await handed_out(out, endpoint)).claimed
    await sent(out, [first])

    async with a_connection(world) as watching:
        async with world.database.store.transaction() as tx:
            await tx.lock_delivery_head()
            wanted = Redelivery(event=first.sending.event_id)
            again = asyncio.create_task(Redeliveries.send(redeliveries(out), endpoint, wanted))
            await until_waiting(watching)
            assert {row["state"] for row in await tx.rows(deliveries.select())} == {"delivered"}
        assert await again == 1
    assert [one.event_id for one in await out.until_done(endpoint)] == [first.sending.event_id]


@pytest.mark.parametrize("handed_out", [0, 1])
async def test_events_are_taken_along_an_index_however_many_the_outbox_has(postgres_world: World, handed_out: int):
    world = postgres_world
    since = datetime(1970, 1, 1, tzinfo=UTC)
    async with world.database.store.transaction() as tx:
        made = (
            "INSERT INTO outbox (order_id, order_version, kind, recorded_at, details, delivered_at, client_id) "
            f"SELECT i, 1, 'order.placed', i, '{{}}', nullif({handed_out}, 0), 1"
            " FROM generate_series(1, 50000) AS made(i)"
        )
        await tx.run(text(made))
        await tx.run(text("ANALYZE outbox"))
        taken = {"since": micros(since), "at_most": 500, "now": micros(world.clock())}
        rows = await tx._direct.rows(f"EXPLAIN {TAKE.postgres.text}", *TAKE.postgres.arguments(taken))
        plan = "\n".join(str(row["QUERY PLAN"]) for row in rows)
    assert "Seq Scan" not in plan, plan
    if not handed_out:  # each of 50,000 events waits, and none is read but those of the orders that are taken
        assert "pk_outbox" in plan, plan

"""Many want the last place in a slot; orders are cancelled while they are booked."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from countermand.actions.appointments.load_calendar import load_slots, slot_at
from countermand.actions.errors import ConflictError
from countermand.domain.orders.order import OrderId
from support.appointments import BOOK, CALL_OFF, booked, get, offer, post, slot
from support.beside import beside
from support.connect_calls import Reply, cancel
from support.manage_calls import manage
from support.shared_world import shared_postgres_world, shared_world
from support.world import Caller, World

pytestmark = pytest.mark.long

world = shared_world
postgres_world = shared_postgres_world

STARTS_AT = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)


async def test_of_fifty_that_book_the_last_place_at_once_one_gets_it(world: World):
    me = await world.connect_client()
    await slot(world, "last", STARTS_AT)
    orders = [await world.service_order(me) for _ in range(50)]
    offers = [(await offer(world, me, order_id))["id"] for order_id in orders]
    replies = await asyncio.gather(*(book(world, me, offered, "last") for offered in offers))
    assert Counter(reply.status for reply in replies) == {200: 1, 422: 49}
    assert {code for reply in replies if reply.status == 422 for code in reply.codes} == {"slot_taken"}
    assert len(await world.rows("appointments")) == 1


async def test_a_slots_capacity_is_kept_while_visits_come_and_go(world: World):
    me = await world.connect_client()
    await slot(world, "three", STARTS_AT, capacity=3)
    standing = [await world.service_order(me) for _ in range(3)]
    for order_id in standing:
        await booked(world, me, order_id, "three")
    waiting = [await world.service_order(me) for _ in range(12)]
    await slot(world, "three", STARTS_AT, capacity=4)
    offers = [(await offer(world, me, order_id))["id"] for order_id in waiting]
    asks = [*(cancel(world, me, {"orderId": order_id}) for order_id in standing)]
    asks += [book(world, me, offered, "three") for offered in offers]
    Random(1).shuffle(asks)
    await asyncio.gather(*asks)
    rows = await world.rows("appointments")
    stand = [row for row in rows if row["state"] == "booked"]
    assert 1 <= len(stand) <= 4
    assert [row["state"] for row in rows if row["order_id"] in standing] == ["cancelled"] * 3


async def test_booking_against_cancelling_ends_with_one_of_them_and_the_place_is_free_again(world: World):
    me = await world.connect_client()
    for number in range(20):
        name = f"slot {number}".replace(" ", "-")
        await slot(world, name, STARTS_AT)
        order_id, other = await world.service_order(me), await world.service_order(me)
        offered = (await offer(world, me, order_id))["id"]
        wanted = {"appointmentRequestId": offered, "slotId": name}
        asks = [post(world, me, BOOK, wanted), cancel(world, me, {"orderId": order_id})]
        if number % 2:
            asks.reverse()
        replies = await asyncio.gather(*asks)
        booking, cancelled = reversed(replies) if number % 2 else replies
        assert cancelled.status == 200  # in a week is not within 26 hours
        assert booking.status in {201, 422}
        rows = await world.rows("appointments", order_id)
        assert [row["state"] for row in rows] == (["cancelled"] if booking.status == 201 else [])
        (order,) = await world.rows("orders", order_id)
        assert (order["state"], order["appointment_starts_at"]) == ("cancelled", None)
        assert name in [one["id"] for one in (await offer(world, me, other))["slots"]]


async def test_many_bookings_of_one_order_at_once_leave_one_appointment(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    for number in range(5):
        await slot(world, f"s{number}", STARTS_AT + timedelta(days=number))
    offered = (await offer(world, me, order_id))["id"]
    replies = await asyncio.gather(
        *(post(world, me, BOOK, {"appointmentRequestId": offered, "slotId": f"s{n}"}) for n in range(5))
    )
    assert Counter(reply.status for reply in replies) == {201: 1, 422: 4}
    assert {code for reply in replies if reply.status == 422 for code in reply.codes} == {"has_appointment"}
    assert len(await world.rows("appointments")) == 1


async def test_over_two_nodes_the_last_place_is_booked_once(postgres_world: World):
    world = postgres_world
    me = await world.connect_client()
    async with beside(world) as other:
        for number in range(5):
            name = f"last-{number}"
            await slot(world, name, STARTS_AT)
            orders = [await world.service_order(me) for _ in range(10)]
            offers = [(await offer(world, me, order_id))["id"] for order_id in orders]
            asks = [book((world, other)[turn % 2], me, offered, name) for turn, offered in enumerate(offers)]
            replies = await asyncio.gather(*asks)
            assert Counter(reply.status for reply in replies) == {200: 1, 422: 9}
            assert len([row for row in await world.rows("appointments") if row["slot_id"] == name]) == 1


async def test_moving_a_visit_against_cancelling_leaves_no_visit_on_a_cancelled_order(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    for number in range(20):
        name = f"moved-{number}"
        await slot(world, name, STARTS_AT)
        order_id, other = await world.service_order(me), await world.service_order(me)
        visit = await booked(world, me, order_id, name)
        soon = {"starts_at": "2026-11-22T12:00:00Z", "ends_at": "2026-11-22T16:00:00Z"}  # within 26 hours
        move = manage(world, operator, "PUT", f"{order_id}/appointments/{visit['id']}", soon)
        cancelling = cancel(world, me, {"orderId": order_id})
        if number % 2:
            cancelled, moved = await asyncio.gather(cancelling, move)
        else:
            moved, cancelled = await asyncio.gather(move, cancelling)
        (order,) = await world.rows("orders", order_id)
        (row,) = await world.rows("appointments", order_id)
        if cancelled.status == 200:
            assert moved.status_code == 409
            assert (order["state"], order["appointment_starts_at"], row["state"]) == ("cancelled", None, "cancelled")
        else:
            assert (cancelled.codes, moved.status_code) == (["appointment_within_notice"], 200)
            assert (order["state"], row["state"], row["slot_id"]) == ("submitted", "booked", None)
            assert order["appointment_starts_at"] == row["starts_at"]
        assert name in [one["id"] for one in (await offer(world, me, other))["slots"]]  # free again either way


async def test_cancelling_an_appointment_against_its_order_releases_it_once(world: World):
    me = await world.connect_client()
    for number in range(10):
        name = f"off-{number}"
        await slot(world, name, STARTS_AT)
        order_id = await world.service_order(me)
        visit = await booked(world, me, order_id, name)
        off, cancelled = await asyncio.gather(
            post(world, me, CALL_OFF, {"appointmentId": visit["id"]}), cancel(world, me, {"orderId": order_id})
        )
        assert cancelled.status == 200
        assert off.status in {201, 422}
        told = [row for row in await world.rows("outbox", order_id) if row["kind"] == "appointment.cancelled"]
        assert len(told) == 1
        (row,) = await world.rows("appointments", order_id)
        assert row["state"] == "cancelled"


async def test_calendars_loaded_at_once_while_places_are_taken_never_move_a_visit(world: World):
    me = await world.connect_client()
    names = [f"s{number}" for number in range(6)]
    orders = [await world.service_order(me) for _ in names]

    async def load(moved: timedelta, *, backwards: bool) -> None:
        wanted = [
            slot_at(name, "", STARTS_AT + moved, STARTS_AT + moved + timedelta(hours=4), None, 1)
            for name in (names[::-1] if backwards else names)
        ]
        with suppress(ConflictError):  # a visit stands in one of them
            async with world.database.store.transaction() as tx:
                await load_slots(tx, wanted)

    async def take(order_id: OrderId, name: str) -> None:
        for _ in range(3):
            offered = await offer(world, me, order_id)
            if name in [one["id"] for one in offered["slots"]]:
                await post(world, me, BOOK, {"appointmentRequestId": offered["id"], "slotId": name})

    loads = [load(timedelta(hours=hour % 2), backwards=hour % 3 == 0) for hour in range(12)]
    takes = [take(order_id, name) for order_id, name in zip(orders, names, strict=True)]
    await asyncio.gather(*loads[:6], *takes, *loads[6:])
    calendar = {row["id"]: row for row in await world.rows("slots")}
    assert sorted(calendar) == names
    for row in await world.rows("appointments"):
        assert row["starts_at"] == calendar[row["slot_id"]]["starts_at"]


async def book(world: World, me: Caller, offered: int, slot_id: str) -> Reply:
    """Books, and asks again after a 503, which a crowd on a slow machine hears: nothing was done."""
    reply = await post(world, me, BOOK, {"appointmentRequestId": offered, "slotId": slot_id})
    while reply.status == 503:
        await asyncio.sleep(0.1)
        reply = await post(world, me, BOOK, {"appointmentRequestId": offered, "slotId": slot_id})
    assert (reply.status, reply.body) == (201, b""), reply
    return await get(world, me, reply.headers["location"])

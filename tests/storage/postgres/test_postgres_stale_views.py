"""A batch that waited for an order's row decides on what is there then, not on what it saw when it began to wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio

from countermand.actions.appointments.set import cancel_appointment, move_appointment, set_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome, NotCancelled
from countermand.actions.errors import ConflictError
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.contracts.http.store import Transaction
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import Transition
from support.postgres import a_connection, until_waiting
from support.shared_world import Services
from support.watched import watched
from support.world import Caller, World, a_world

SOON, LATER = timedelta(hours=3), timedelta(hours=30)

Change = Callable[[Transaction, Order, World], Awaitable[object]]


def books(starts_in: timedelta) -> Change:
    async def change(tx: Transaction, order: Order, world: World) -> None:
        starts_at = world.clock() + starts_in
        ends_at = starts_at + timedelta(hours=4)
        await set_appointment(tx, Actor(order.client_id), order.id, starts_at, ends_at, world.clock())

    return change


def moves(starts_in: timedelta) -> Change:
    async def change(tx: Transaction, order: Order, world: World) -> None:
        starts_at, visit_id = world.clock() + starts_in, await the_visit(tx, order)
        ends_at = starts_at + timedelta(hours=4)
        await move_appointment(tx, Actor(order.client_id), order.id, visit_id, starts_at, ends_at, world.clock())

    return change


async def calls_off(tx: Transaction, order: Order, world: World) -> None:
    await cancel_appointment(tx, Actor(order.client_id), order.id, await the_visit(tx, order), world.clock())


async def books_another(tx: Transaction, order: Order, world: World) -> None:
    await calls_off(tx, order, world)
    await books(LATER)(tx, order, world)


async def pays(tx: Transaction, order: Order, world: World) -> None:
    money = Money(minor=5000, currency="EUR")
    await record_payment(tx, Actor(order.client_id), order.id, "psp-1", money, world.clock())


def advances(*steps: Transition) -> Change:
    async def change(tx: Transaction, order: Order, world: World) -> None:
        for move in steps:
            await advance_order(tx, Actor(order.client_id), order.id, move, world.clock())

    return change


SERVICE: dict[str, tuple[timedelta | None, Change, type]] = {
    "a visit is booked, in good time": (None, books(LATER), Cancelled),
    "a visit is booked, too soon": (None, books(SOON), NotCancelled),
    "its visit is moved, in good time": (LATER, moves(LATER + SOON), Cancelled),
    "its visit is moved, too soon": (LATER, moves(SOON), NotCancelled),
    "its visit is called off": (LATER, calls_off, Cancelled),
    "its visit is called off and another booked": (LATER, books_another, Cancelled),
    "it is paid": (None, pays, Cancelled),
    "it is accepted": (LATER, advances(Transition.ACCEPT), Cancelled),
    "it is activated": (None, advances(Transition.ACCEPT, Transition.START, Transition.ACTIVATE), NotCancelled),
}


@pytest_asyncio.fixture(params=[False, True], ids=["at once", "in parts"], loop_scope="module")
async def world(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    return await services_of_the_file.world("postgres", database_distributed=request.param)


@pytest.mark.parametrize("what", SERVICE)
async def test_an_order_that_changes_while_a_batch_waits_for_it_is_decided_as_it_is_then(world: World, what: str):
    visit_in, change, kind = SERVICE[what]
    me = await world.connect_client()
    changing, calm = await world.service_order(me, appointment_in=visit_in), await world.service_order(me)
    watch = watched(world)
    async with held(world, changing, change):
        outcomes = await asked_while_held(world, me, [changing, calm])
    answer, calm_answer = await asyncio.gather(*outcomes)
    assert isinstance(answer, kind)
    assert isinstance(calm_answer, Cancelled)
    # The round that waited cancelled the other order alone, and recorded nothing of this one.
    assert len([name for name in watch.statements if name.startswith("cancel")]) == (2 if kind is Cancelled else 1)
    await is_whole(world, changing, kind)
    await is_whole(world, calm, Cancelled)


async def test_a_payment_that_comes_while_a_batch_waits_forbids_it_and_the_places_stay_sold(world: World):
    shop = await world.shopping_client()
    product = await world.product(stock=10)
    view = await world.ticket_order(shop, product=product, quantity=3)
    async with held(world, view.order.id, pays):
        (outcome,) = await asked_while_held(world, shop, [view.order.id])
    assert isinstance(await outcome, NotCancelled)
    await is_whole(world, view.order.id, NotCancelled)
    assert [row["availability"] for row in await world.rows("products")] == [7]
    assert [row["state"] for row in await world.rows("orders")] == ["completed"]


async def test_an_order_that_expires_while_a_batch_waits_gives_its_places_back_once(world: World):
    shop = await world.shopping_client()
    product = await world.product(stock=10)
    view = await world.ticket_order(shop, product=product, quantity=3)
    async with held(world, view.order.id, advances(Transition.EXPIRE)):
        (outcome,) = await asked_while_held(world, shop, [view.order.id])
    assert isinstance(await outcome, NotCancelled)
    assert [row["availability"] for row in await world.rows("products")] == [10]
    assert await world.rows("cancellations") == []


async def test_a_change_that_is_undone_leaves_the_batch_as_it_was_and_needs_no_second_round(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=LATER)
    watch = watched(world)
    outcomes: list[asyncio.Task[CancelOutcome]] = []

    async def calls_off_and_fails() -> None:
        async with held(world, order_id, calls_off):
            outcomes.extend(await asked_while_held(world, me, [order_id]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await calls_off_and_fails()
    assert isinstance(await outcomes[0], Cancelled)
    assert len(watch.statements) == 1
    await is_whole(world, order_id, Cancelled)


async def test_of_two_nodes_that_want_one_order_one_cancels_it_and_the_other_says_so(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=LATER)
    url = world.settings.database_url
    assert url is not None
    distributed = world.settings.database_distributed
    async with (
        a_world(world.folder, database_url=url.get_secret_value(), database_distributed=distributed) as other,
        held(world, order_id, advances()),
    ):
        outcomes = await asked_while_held(world, me, [order_id])
        outcomes += await asked_while_held(other, me, [order_id], waiting=2)
    answers = await asyncio.gather(*outcomes)
    assert {type(answer) for answer in answers} == {Cancelled, NotCancelled}
    await is_whole(world, order_id, Cancelled)
    assert len(await world.rows("refusals")) == 1


async def test_a_change_that_waited_for_a_cancellation_finds_the_order_ended(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    async with a_connection(world) as other:
        async with other.transaction():
            await other.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
            (outcome,) = await asked_while_held(world, me, [order_id])
            booking = asyncio.create_task(world.appointment(order_id, LATER))
            await until_waiting(other, 2)
        answers = await asyncio.gather(outcome, booking, return_exceptions=True)
    assert isinstance(answers[0], Cancelled)
    assert isinstance(answers[1], ConflictError)
    assert answers[1].code == "order_ended"
    await is_whole(world, order_id, Cancelled)


@asynccontextmanager
async def held(world: World, order_id: OrderId, change: Change) -> AsyncIterator[None]:
    """A transaction of another node has changed the order, and holds it until the block ends."""
    async with world.database.store.transaction() as tx:
        order = await tx.lock_order(order_id)
        assert order is not None
        await change(tx, order, world)
        yield


async def asked_while_held(
    world: World, caller: Caller, orders: Sequence[OrderId], *, waiting: int = 1
) -> list[asyncio.Task[CancelOutcome]]:
    """Callers whose batch the database has, and lets wait for an order's row."""
    async with a_connection(world) as watching:
        asked = [asyncio.create_task(world.cancel(caller, order_id)) for order_id in orders]
        await until_waiting(watching, waiting)
    assert not any(one.done() for one in asked)
    return asked


async def is_whole(world: World, order_id: OrderId, kind: type) -> None:
    """Cancelled with everything that belongs to it, or not at all."""
    (order,) = await world.rows("orders", order_id)
    kinds = [row["kind"] for row in await world.rows("outbox", order_id)]
    active = [row for row in await world.rows("appointments", order_id) if row["state"] == "booked"]
    assert (order["state"] == "cancelled") == (kind is Cancelled)
    assert len(await world.rows("cancellations", order_id)) == kinds.count("order.cancelled") == (kind is Cancelled)
    assert [row["starts_at"] for row in active] == (
        [] if order["appointment_starts_at"] is None else [order["appointment_starts_at"]]
    )
    if kind is Cancelled:
        assert active == []
        assert all(not row["valid"] for row in await world.rows("tickets", order_id))
    # No fact was lost, and none was told under a version that is not there.
    versions = {row["order_version"] for row in await world.rows("outbox", order_id)}
    assert versions == set(range(1, order["version"] + 1))


async def the_visit(tx: Transaction, order: Order) -> AppointmentId:
    visit = await tx.active_appointment(order.id)
    assert visit is not None
    return visit.id

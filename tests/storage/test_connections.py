"""What every connection promises: durable commits, and constraints that hold whatever the code does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import KeyTakenError, OrderTakenError, UnavailableError, UnfitDataError
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.actions.ordering.new_order import NewOrder
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import (
    ACTIVE_APPOINTMENT_STATES,
    Appointment,
    AppointmentId,
    AppointmentState,
)
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.domain.orders.order_events import order_placed
from countermand.domain.orders.payment import Payment
from countermand.storage.tables.columns import metadata
from support.contracts import CONNECT
from support.database_contents import changed, contents
from support.outside import BROKEN_CONSTRAINTS, outside
from support.races import column
from support.shared_world import shared_world
from support.world import World

world = shared_world

SETTINGS = [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 0)]


@pytest.mark.parametrize(("pragma", "value"), SETTINGS)
async def test_the_cancellation_paths_connection_is_durable_and_never_waits_by_itself(
    sqlite_world: World, pragma: str, value: object
):
    connection = sqlite_world.database.cancellations._connection  # the very one that commits, asked itself
    assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value


@pytest.mark.parametrize(("pragma", "value"), SETTINGS)
async def test_so_is_every_other_connection(sqlite_world: World, pragma: str, value: object):
    async with sqlite_world.database.store.snapshot() as reading:
        (row,) = await reading.rows(text(f"PRAGMA {pragma}"))
    async with sqlite_world.database.store.transaction() as tx:
        (writing,) = await tx.rows(text(f"PRAGMA {pragma}"))
    assert [*row.values(), *writing.values()] == [value, value]


async def test_the_database_itself_allows_an_order_one_active_appointment(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    with pytest.raises(UnfitDataError):
        async with world.database.store.transaction() as tx:
            await tx.insert_appointment(order_id, visit(world, 1000, AppointmentState.BOOKED))
    for state in sorted(ACTIVE_APPOINTMENT_STATES):
        async with outside(world) as other:
            with pytest.raises(BROKEN_CONSTRAINTS):
                await other.rows(
                    "INSERT INTO appointments (order_id, id, state, starts_at, ends_at)"
                    f" VALUES ({order_id}, 1000, '{state}', 1, 2)"
                )
    assert [row["state"] for row in await world.rows("appointments", order_id)] == ["booked"]


async def test_beside_the_active_appointment_there_may_be_any_number_of_closed_ones(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    closed = [AppointmentState.COMPLETED, AppointmentState.INCOMPLETE, AppointmentState.CANCELLED]
    async with world.database.store.transaction() as tx:
        for number, state in enumerate(closed * 2):
            await tx.insert_appointment(order_id, visit(world, 1000 + number, state))
    assert len(await world.rows("appointments", order_id)) == 7


async def test_the_database_itself_allows_an_order_one_cancellation(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    async with outside(world) as other:
        with pytest.raises(BROKEN_CONSTRAINTS):
            await other.rows(
                "INSERT INTO cancellations"
                " (order_id, command_id, decided_at, client_id, contract, door, policy_version, state)"
                " SELECT order_id, 'another', decided_at, client_id, contract, door, policy_version, state"
                " FROM cancellations"
            )
    assert len(await world.rows("cancellations")) == 1


async def test_an_order_whose_number_is_taken_clashes(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    async with world.database.store.snapshot() as reading:
        view = (await reading.views([order_id]))[order_id]
    with pytest.raises(OrderTakenError):
        async with world.database.store.transaction() as tx:
            await tx.insert_order(NewOrder(view=view, actor=Actor(me.client.id), events=[], now=world.clock()))
    assert len(await world.rows("orders")) == len(await world.rows("order_details")) == 1


async def test_an_order_of_tickets_whose_number_is_taken_clashes_and_takes_nothing(world: World):
    shop = await world.shopping_client()
    view = await world.ticket_order(shop, quantity=2)
    before = await contents(world)
    new = NewOrder(
        view=view,
        actor=Actor(shop.client.id),
        events=[order_placed(view.order.state)],
        now=world.clock(),
        expires_at=world.clock(),
        places={view.lines[0].product_uid: 2},
    )
    with pytest.raises(OrderTakenError):
        async with world.database.store.transaction() as tx:
            await tx.insert_order(new)
    assert not changed(before, await contents(world))


async def test_a_payment_reference_belongs_to_the_order_that_claimed_it_first(world: World):
    me = await world.connect_client()
    first, second = await world.service_order(me), await world.service_order(me)
    async with world.database.store.transaction() as tx:
        assert [await tx.claim_reference("ref-1", first) for _ in range(2)] == [True, False]
        assert await tx.payment("ref-1") == (first, None)
        assert await tx.payment("ref-2") is None
    async with world.database.store.transaction() as tx:
        assert await tx.claim_reference("ref-1", second) is False
        assert await tx.payment("ref-1") == (first, None)
        assert await tx.claim_reference("ref-2", second) is True
    claimed = {row["reference"]: row["order_id"] for row in await world.rows("payment_references")}
    assert claimed == {"ref-1": first, "ref-2": second}
    async with outside(world) as other:
        with pytest.raises(BROKEN_CONSTRAINTS):
            await other.rows(f"INSERT INTO payment_references VALUES ('ref-1', {second})")


async def test_a_claim_that_is_undone_leaves_the_reference_to_others(world: World):
    me = await world.connect_client()
    first, second = await world.service_order(me), await world.service_order(me)

    async def claims_and_fails() -> None:
        async with world.database.store.transaction() as tx:
            await tx.claim_reference("ref-1", first)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await claims_and_fails()
    async with world.database.store.transaction() as tx:
        assert await tx.claim_reference("ref-1", second) is True


async def test_an_order_has_a_payment_under_one_reference_once(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.pay(order_id, "ref-1")
    payment = Payment(reference="ref-1", money=Money(minor=1, currency="EUR"), recorded_at=world.clock(), is_late=False)
    with pytest.raises(UnfitDataError):
        async with world.database.store.transaction() as tx:
            await tx.insert_payment(order_id, payment)
    assert [row["amount_minor"] for row in await world.rows("payments")] == [2500]


@pytest.mark.parametrize("table", ["order_lines", "appointments", "payments", "tickets", "order_details"])
async def test_nothing_belongs_to_an_order_that_is_not_there(world: World, table: str):
    me = await world.connect_client()
    await world.service_order(me)
    given: dict[type, object] = {int: 7, bool: True, str: "x"}
    values = {column.name: given[column.type.python_type] for column in metadata.tables[table].c}
    before = await world.rows(table)
    with pytest.raises(UnfitDataError):
        async with world.database.store.transaction() as tx:
            await tx.run(insert(metadata.tables[table]).values(values | {"order_id": 999}))
    assert await world.rows(table) == before


async def test_an_idempotency_key_in_use_is_a_clash_of_its_own(world: World):
    me = await world.connect_client()
    key = IdempotencyKey(key="k", fingerprints=Fingerprints(request="f", message="f"))

    async def keep(answer: bytes) -> None:
        async with world.database.store.transaction() as tx:
            await tx.keep_answer(me.client.id, key, answer, world.clock())

    await keep(b"first")
    with pytest.raises(KeyTakenError):
        await keep(b"second")
    assert [row["answer"] for row in await world.rows("idempotency_keys")] == ["first"]


@pytest.mark.parametrize("error", [ValueError("a bug"), UnavailableError("away"), asyncio.CancelledError()])
async def test_a_transaction_left_by_an_exception_leaves_nothing(world: World, error: BaseException):
    me = await world.connect_client()

    async def places_and_fails() -> None:
        async with world.database.store.transaction() as tx:
            await place_service_order(tx, me.client.id, ServiceOrderDetails(), world.clock(), contract=CONNECT.name)
            raise error

    with pytest.raises(type(error)):
        await places_and_fails()
    for table in ("orders", "order_details", "outbox", "counters"):
        assert await world.rows(table) == []
    # PostgreSQL's sequences leave numbers out: nobody waits for one.
    assert await world.service_order(me) == (1 if world.settings.is_sqlite else 2)


async def test_a_snapshot_sees_nothing_of_what_is_committed_after_it_began(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    async with world.database.store.snapshot() as reading:
        before = await reading.order(order_id)
        await world.cancel(me, order_id)
        assert await reading.order(order_id) == before
    assert [row["state"] for row in await world.rows("orders")] == ["cancelled"]


async def test_views_are_the_same_on_both_ways_to_the_database_and_leave_unknown_orders_out(world: World):
    me, shop = await world.connect_client(), await world.shopping_client()
    service = await world.service_order(me, appointment_in=timedelta(hours=30))
    tickets = await world.ticket_order(shop, quantity=3)
    asked = [service, OrderId(service + 1), tickets.order.id]
    async with world.database.store.snapshot() as reading:
        views = await reading.views(asked)
        assert await reading.views([]) == {}
    shown = await world.database.cancellations.views(asked)
    assert views == {order_id: getattr(one, "view", one) for order_id, one in shown.items()}
    assert await world.database.cancellations.views([]) == {}
    assert list(views) == [service, tickets.order.id]
    assert (len(views[service].appointments), views[service].tickets) == (1, ())
    view = views[tickets.order.id]
    assert view == tickets
    assert (len(view.tickets), len(view.lines), len(view.products)) == (3, 1, 1)


async def test_when_the_disk_is_full_nothing_is_half_done_and_it_works_again_when_there_is_room(sqlite_world: World):
    world = sqlite_world
    shop = await world.shopping_client()
    product = await world.product(stock=100)
    orders = [(await world.ticket_order(shop, product=product)).order.id for _ in range(30)]
    commands = [world.command(shop, order_id, key=str(order_id), reason="r" * 2000) for order_id in orders]
    with full_disk(world):
        answers = await world.service.commit.run(commands)
    assert {type(answer) for answer in answers} == {UnavailableError}
    assert {row["state"] for row in await world.rows("orders")} == {"pending"}
    assert all(row["valid"] for row in await world.rows("tickets"))
    assert [row["availability"] for row in await world.rows("products")] == [100 - 2 * 30]
    for table in ("cancellations", "idempotency_keys", "refusals"):
        assert await world.rows(table) == []
    assert {type(answer) for answer in await world.service.commit.run(commands)} == {Cancelled}
    assert [row["availability"] for row in await world.rows("products")] == [100]
    assert column(world.settings.database_path, "PRAGMA integrity_check") == ["ok"]


async def test_when_the_disk_is_full_a_refusal_is_not_answered_as_if_it_were_recorded(sqlite_world: World):
    world = sqlite_world
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=3))
    commands = [world.command(me, order_id, reason="r" * 2000) for _ in range(30)]
    with full_disk(world):
        answers = await world.service.commit.run(commands)
    assert {type(answer) for answer in answers} == {UnavailableError}
    assert await world.rows("refusals") == []


@contextmanager
def full_disk(world: World) -> Iterator[None]:
    """The cancellation path's connection may not make the file any larger."""
    connection = world.database.cancellations._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 1073741823")


def visit(world: World, number: int, state: AppointmentState) -> Appointment:
    starts_at = world.clock() + timedelta(hours=40)
    return Appointment(
        id=AppointmentId(number), state=state, starts_at=starts_at, ends_at=starts_at + timedelta(hours=4)
    )

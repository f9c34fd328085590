"""What a payment costs on PostgreSQL: how many statements, besides those that begin and end transactions."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from countermand.actions.errors import ConflictError
from countermand.actions.ordering.record_progress import pay_in_sandbox, record_payment
from countermand.domain.actor import Actor
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.orders import order_details
from support.round_trips import round_trips
from support.shared_world import shared_postgres_world
from support.world import World

world = shared_postgres_world

TOTAL_MINOR = 2500


@contextmanager
def statements_of(world: World) -> Iterator[list[str]]:
    """The statements that run meanwhile, each as often as the server runs it."""
    ran: list[str] = []
    with round_trips(world) as sent:
        yield ran
    ran += [one for one in sent if one.startswith("bind_execute")]


async def pay(world: World, order_id: OrderId, minor: int, reference: str = "psp-1") -> bool:
    async with world.database.store.transaction() as tx:
        order = await tx.order(order_id)
        assert order is not None
    async with world.database.store.transaction() as tx:
        money = Money(minor=minor, currency="EUR")
        recorded = await record_payment(tx, Actor(order.client_id), order_id, reference, money, world.clock())
    return recorded.repeated


async def an_order(world: World) -> OrderId:
    return (await world.ticket_order(await world.shopping_client())).order.id


async def state_of(world: World, order_id: OrderId) -> str:
    (row,) = await world.rows("orders", order_id)
    return str(row["state"])


def but_the_look(ran: list[str]) -> int:
    """How many, without the test's own look at the order before."""
    return len(ran) - 1


async def test_a_payment_that_completes_its_order_is_six_statements(world: World):
    order_id = await an_order(world)
    with statements_of(world) as ran:
        assert await pay(world, order_id, TOTAL_MINOR) is False
    assert but_the_look(ran) == 6, ran
    assert await state_of(world, order_id) == "completed"
    assert [row["kind"] for row in await world.rows("outbox", order_id)] == [
        "order.placed",
        "order.advanced",
        "payment.recorded",
    ]


async def test_one_in_parts_is_six_statements_each_and_one_repeated_three(world: World):
    order_id = await an_order(world)
    with statements_of(world) as ran:
        await pay(world, order_id, 2000)
    assert but_the_look(ran) == 6, ran
    assert await state_of(world, order_id) == "pending"
    with statements_of(world) as ran:
        assert await pay(world, order_id, 2000) is True
    assert but_the_look(ran) == 3, ran
    with statements_of(world) as ran, pytest.raises(ConflictError):
        await pay(world, order_id, 1)
    assert but_the_look(ran) == 3, ran
    await pay(world, order_id, 500, "psp-2")
    assert await state_of(world, order_id) == "completed"
    assert [row["amount_minor"] for row in await world.rows("payments", order_id)] == [2000, 500]


async def test_late_money_is_five_statements(world: World):
    order_id = await an_order(world)
    await world.advance(order_id, Transition.EXPIRE)
    with statements_of(world) as ran:
        await pay(world, order_id, TOTAL_MINOR)
    assert but_the_look(ran) == 5, ran
    assert await state_of(world, order_id) == "expired"
    (payment,) = await world.rows("payments", order_id)
    assert payment["is_late"]


async def test_a_sandbox_payment_is_six_statements_and_a_repeated_one_two(world: World):
    order_id = await an_order(world)
    for expected in (6, 2):
        with statements_of(world) as ran:
            async with world.database.store.transaction() as tx:
                assert await pay_in_sandbox(tx, order_id, world.clock()) is True
        assert len(ran) == expected, ran
    assert await state_of(world, order_id) == "completed"
    assert [row["amount_minor"] for row in await world.rows("payments", order_id)] == [TOTAL_MINOR]


async def test_a_payment_of_an_order_that_an_older_node_placed_costs_no_statement_more(world: World):
    order_id = await an_order(world)
    empty = update(order_details).where(order_details.c.order_id == order_id).values(total_minor=None, currency=None)
    async with world.database.store.transaction() as tx:
        await tx.run(empty)
    with statements_of(world) as ran:
        await pay(world, order_id, TOTAL_MINOR)
    assert but_the_look(ran) == 6, ran
    assert await state_of(world, order_id) == "completed"

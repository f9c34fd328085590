"""Empty totals are filled in small steps, on several nodes at once, while orders are placed and cancelled."""

import asyncio
import json

import pytest
from sqlalchemy import update

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.catalogue.ports import Condition, Op
from countermand.actions.errors import UnavailableError
from countermand.background import order_rounds, totals
from countermand.background.totals import fill_some, fill_totals
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.orders import order_details
from support.beside import beside
from support.contracts import SHOPPING
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

LIMIT_S = 120  # only guards against hanging
TOTAL = (2500, "EUR")
EMPTY = (None, None)


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "LOOKED_AT_ONCE", 7)
    monkeypatch.setattr(totals, "FILLED_AT_ONCE", 3)
    monkeypatch.setattr(order_rounds, "SWEEP_PAUSE_S", 0.0)
    monkeypatch.setattr(order_rounds, "_AGAIN_AFTER_S", 0.0)


async def old_orders(world: World, shop: Caller, number: int) -> list[OrderId]:
    """Ticket orders as nodes of before schema 5 placed them."""
    product = await world.product(stock=1000)
    made = [(await world.ticket_order(shop, product=product)).order.id for _ in range(number)]
    await empty(world, made)
    return made


async def empty(world: World, order_ids: list[OrderId]) -> None:
    old = update(order_details).where(order_details.c.order_id.in_(order_ids))
    async with world.database.store.transaction() as tx:
        await tx.run(old.values(total_minor=None, currency=None))


async def totals_of(world: World) -> dict[OrderId, tuple[int | None, str | None]]:
    rows = await world.rows("order_details")
    return {row["order_id"]: (row["total_minor"], row["currency"]) for row in rows}


async def test_a_new_order_has_its_total_and_a_service_order_has_none(world: World):
    service = await world.service_order(await world.connect_client())
    tickets = (await world.ticket_order(await world.shopping_client())).order.id
    assert await totals_of(world) == {service: EMPTY, tickets: TOTAL}


@pytest.mark.usefixtures("in_small_steps")
async def test_two_nodes_fill_all_while_orders_are_placed_and_cancelled_and_then_stop(world: World):
    shop, partner = await world.shopping_client(), await world.connect_client()
    service = [await world.service_order(partner) for _ in range(3)]
    old = await old_orders(world, shop, 20)
    documents = {row["order_id"]: row["details"] for row in await world.rows("order_details")}
    async with beside(world) as other, asyncio.timeout(LIMIT_S):
        filling = [asyncio.create_task(fill_totals(one.database.store, asyncio.Event())) for one in (world, other)]
        product = await world.product()
        for order_id in old[::2]:
            assert isinstance(await world.cancel(shop, order_id), Cancelled)
            new = await other.ticket_order(shop, product=product)
            assert isinstance(await other.cancel(shop, new.order.id), Cancelled)
        await empty(world, [(await world.ticket_order(shop, product=product)).order.id])  # an old node is still there
        await asyncio.gather(*filling)
        last_round = asyncio.create_task(fill_totals(world.database.store, asyncio.Event()))
        await last_round
    found = await totals_of(world)
    assert {order_id: found.pop(order_id) for order_id in service} == dict.fromkeys(service, EMPTY)
    assert set(found.values()) == {TOTAL}
    after = {row["order_id"]: row["details"] for row in await world.rows("order_details")}
    assert {order_id: after[order_id] for order_id in documents} == documents
    cancelled = {row["id"] for row in await world.rows("orders") if row["state"] == "cancelled"}
    assert set(old[::2]) <= cancelled
    assert cancelled.isdisjoint(old[1::2])


@pytest.mark.usefixtures("in_small_steps")
async def test_a_crash_between_two_steps_loses_nothing(world: World):
    old = sorted(await old_orders(world, await world.shopping_client(), 8))
    step = await fill_some(world.database.store, 0)
    assert (step.last, step.found) == (old[2], 3)
    assert [one for one, total in sorted((await totals_of(world)).items()) if total == TOTAL] == old[:3]
    async with asyncio.timeout(LIMIT_S):  # another process begins anew
        await fill_totals(world.database.store, asyncio.Event())
    assert await totals_of(world) == dict.fromkeys(old, TOTAL)


@pytest.mark.usefixtures("in_small_steps")
async def test_a_document_that_nobody_here_can_read_stays_as_it_is_and_keeps_nobody_going(world: World):
    first, second = await old_orders(world, await world.shopping_client(), 2)
    other = json.dumps({"currency": 7})
    async with world.database.store.transaction() as tx:
        await tx.run(update(order_details).where(order_details.c.order_id == first).values(details=other))
    async with asyncio.timeout(LIMIT_S):
        await fill_totals(world.database.store, asyncio.Event())
    assert await totals_of(world) == {first: EMPTY, second: TOTAL}


async def test_with_nothing_to_fill_it_ends_and_a_stop_ends_it_before_the_next_step(world: World):
    stopping = asyncio.Event()
    async with asyncio.timeout(LIMIT_S):
        await fill_totals(world.database.store, stopping)
    (order_id,) = await old_orders(world, await world.shopping_client(), 1)
    stopping.set()
    async with asyncio.timeout(LIMIT_S):
        await fill_totals(world.database.store, stopping)
    assert await totals_of(world) == {order_id: EMPTY}


async def test_before_it_is_filled_an_order_is_found_by_its_total_and_paid(world: World):
    shop = await world.shopping_client()
    (old,) = await old_orders(world, shop, 1)
    new = (await world.ticket_order(shop)).order.id
    dearer = (await world.ticket_order(shop, quantity=3)).order.id
    unreadable = (await world.ticket_order(shop)).order.id
    await empty(world, [unreadable])
    async with world.database.store.transaction() as tx:
        document = json.dumps({"grand_total_minor": "2500.00"})
        await tx.run(update(order_details).where(order_details.c.order_id == unreadable).values(details=document))
    async with world.database.store.snapshot() as reading:
        wanted = [Condition("total", Op.EQ, 2500)]
        found = await reading.orders_listed(SHOPPING.name, shop.client.id, wanted, offset=0, at_most=10)
    assert set(found.items) == {old, new}
    await world.pay(old)
    states = {row["id"]: row["state"] for row in await world.rows("orders")}
    assert (states[old], states[dearer]) == ("completed", "pending")


async def test_a_payment_asks_the_columns_first_and_without_either_it_is_not_recorded(world: World):
    shop = await world.shopping_client()
    with_columns, with_neither = [(await world.ticket_order(shop)).order.id for _ in range(2)]
    await empty(world, [with_neither])
    other = json.dumps({"currency": 7})
    async with world.database.store.transaction() as tx:
        await tx.run(update(order_details).values(details=other))
    await world.pay(with_columns)
    before = await world.rows("orders", with_neither)
    with pytest.raises(UnavailableError, match="total"):
        await world.pay(with_neither)
    assert [row["state"] for row in await world.rows("orders", with_columns)] == ["completed"]
    assert await world.rows("orders", with_neither) == before
    assert await world.rows("payments", with_neither) == []
    assert len(await world.rows("payment_references")) == 1

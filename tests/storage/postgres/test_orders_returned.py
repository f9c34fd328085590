"""The statement that cancels ticket orders returns them as they are after its commit: as if they were read back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.actions import slices
from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.contracts.registry import CONTRACTS, kinds_of
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.storage.postgres.ticket_rows import read_ticket_orders, ticket_orders
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.orders import order_details
from support.postgres import a_connection
from support.shared_world import shared_postgres_world
from support.shopping_calls import cancel
from support.ticket_orders import ORDERS, placed, plain, seated
from support.ticket_shop import Shop, a_shop
from support.watched import watched
from support.world import PUBLIC_URL, World, a_world

postgres_world = shared_postgres_world


@pytest_asyncio.fixture(loop_scope="module")
async def shop(postgres_world: World) -> Shop:
    return await a_shop(postgres_world)


@pytest.mark.parametrize("place", ORDERS)
async def test_an_order_of_any_form_is_returned_as_it_would_be_read_back(shop: Shop, place: Callable):
    order_id = order_id_of(await place(shop))

    returned = await shown(shop, order_id)

    assert isinstance(returned, TicketOrderRows)
    assert returned == await read_back(shop, order_id)


@pytest.mark.parametrize("place", ORDERS)
async def test_the_answer_takes_one_statement_and_is_that_of_reading_the_order(shop: Shop, place: Callable):
    uid = await place(shop)
    watch = watched(shop.world)

    answer = await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{uid}")

    assert watch.statements == ["cancel"]
    assert answer.status_code == 200
    assert answer.content == (await shop.get(f"/orders/{uid}")).content


async def test_orders_that_are_cancelled_together_show_what_is_left_after_all_of_them(shop: Shop):
    world, product = shop.world, await shop.product(stock=10)
    partner = await world.connect_client()
    ids = [order_id_of(await placed(shop, {product: number})) for number in (1, 2, 3)]
    commands = [world.command(shop.caller, order_id, wants_order=True) for order_id in ids]
    service = world.command(partner, await world.service_order(partner))

    *outcomes, other = await world.service.commit.run([*commands, service])

    assert [outcome.shown for outcome in outcomes] == [await read_back(shop, order_id) for order_id in ids]
    assert [outcome.shown.products[0].availability for outcome in outcomes] == [10, 10, 10]
    assert other == Cancelled(order_id=service.order_id)


async def test_a_product_that_changes_during_the_wait_for_it_is_shown_as_it_is_at_the_end(shop: Shop):
    product = await shop.product(stock=10)
    order_id = order_id_of(await placed(shop, {product: 2}))
    async with shop.world.database.store.transaction() as tx:
        changes = {"availability": products.c.availability - 5, "name": '{"en":"Renamed"}'}
        await tx.run(update(products).where(products.c.uid == product).values(changes))
        waiting = asyncio.create_task(shown(shop, order_id))
        await asyncio.sleep(0.2)
        assert not waiting.done()

    returned = await waiting

    assert (returned.products[0].availability, returned.products[0].name) == (5, {"en": "Renamed"})
    assert returned == await read_back(shop, order_id)


async def test_an_order_with_a_product_that_gets_nothing_back_is_read_back(shop: Shop):
    given_on, stays = await shop.product(price_minor=0), await shop.product(price_minor=0)
    made = (await shop.order({given_on: 1, stays: 1}, payment_method=None)).json()
    ticket = next(
        one["_links"]["self"]["href"]
        for one in made["_embedded"]["shop:ticket"]
        if one["_links"]["shop:product"]["href"].endswith(given_on)
    )
    body = {"tickets": [ticket], "consumer": {"first_name": "Ann", "country": "NL"}}
    assert (await shop.post("/orders", body)).status_code == 201
    watch = watched(shop.world)

    answer = await cancel(shop.world, shop.caller, made["_links"]["self"]["href"])

    assert watch.statements == ["cancel", "views"]
    assert answer.status_code == 200
    assert answer.content == (await shop.get(made["_links"]["self"]["href"])).content


async def test_a_repeat_under_a_key_is_read_back(shop: Shop):
    uid = await plain(shop)
    order, key = f"{PUBLIC_URL}/orders/{uid}", {"Idempotency_Key": "k"}
    first = await cancel(shop.world, shop.caller, order, **key)
    watch = watched(shop.world)

    again = await cancel(shop.world, shop.caller, order, **key)

    assert (again.status_code, again.content) == (200, first.content)
    assert watch.statements[-1] == "views"


async def test_a_document_of_a_newer_version_is_not_returned_and_its_order_is_cancelled(shop: Shop):
    order_id = order_id_of(await plain(shop))
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(order_details).where(order_details.c.order_id == order_id).values(details='{"currency":7}'))

    assert await submitted(shop, order_id) == Cancelled(order_id=order_id)
    assert [row["state"] for row in await shop.world.rows("orders", order_id)] == ["cancelled"]


async def test_a_name_that_nobody_can_read_takes_no_cancellation_back(shop: Shop):
    product, other = await shop.product(), await shop.product()
    unreadable, readable = [order_id_of(await placed(shop, {uid: 1})) for uid in (product, other)]
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(products).where(products.c.uid == product).values(name="no JSON"))

    outcomes = await shop.world.service.commit.run([command(shop, unreadable), command(shop, readable)])

    assert outcomes[0] == Cancelled(order_id=unreadable)
    assert outcomes[1].shown == await read_back(shop, readable)
    assert [row["state"] for row in await shop.world.rows("orders")] == ["cancelled", "cancelled"]


async def test_a_large_batch_lets_the_event_loop_take_turns_while_its_orders_are_converted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    product = await shop.product(stock=100)
    ids = [order_id_of(await placed(shop, {product: 1})) for _ in range(20)]
    async with a_connection(shop.world) as connection:
        rows = await connection.fetch(read_ticket_orders(kinds_of(CONTRACTS)), ids)
    monkeypatch.setattr(slices, "SLICE_S", 0)  # every pause ends a slice
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    converted = await ticket_orders(rows)
    counting.cancel()

    assert {one.order_id for one in converted.values()} == set(ids)
    assert turns >= len(ids) - 1


async def test_who_does_not_want_the_order_does_not_get_it(shop: Shop):
    order_id = order_id_of(await plain(shop))
    (outcome,) = await shop.world.service.commit.run([shop.world.command(shop.caller, order_id)])

    assert outcome == Cancelled(order_id=order_id)


async def test_a_distributed_database_reads_the_order_back(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_distributed=True) as world:
        shop = await a_shop(world)
        order_id = order_id_of(await seated(shop))
        watch = watched(world)

        assert (await submitted(shop, order_id)).shown == await read_back(shop, order_id)
        assert watch.statements[:2] == ["cancel in parts", "views"]


def command(shop: Shop, order_id: OrderId) -> CancelOrder:
    return shop.world.command(shop.caller, order_id, wants_order=True)


async def submitted(shop: Shop, order_id: OrderId) -> Cancelled:
    outcome = await shop.world.service.cancel.submit_and_show(command(shop, order_id))
    assert isinstance(outcome, Cancelled)
    return outcome


async def shown(shop: Shop, order_id: OrderId) -> object:
    """Cancel an order; gives what the statement returned of it."""
    (outcome,) = await shop.world.service.commit.run([command(shop, order_id)])
    assert isinstance(outcome, Cancelled)
    return outcome.shown


async def read_back(shop: Shop, order_id: OrderId) -> object:
    return (await shop.world.database.cancellations.views([order_id]))[order_id]

"""The rows of a ticket order say what its view says, and make the same answer to a cancellation."""

from collections.abc import Callable

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.bootstrap.database import open_database
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.domain.orders.order_details import UnknownDetails
from countermand.storage.tables.orders import order_details
from support.contracts import CONNECT
from support.shared_world import shared_world
from support.shopping_calls import cancel
from support.ticket_orders import ORDERS, placed, plain
from support.ticket_shop import Shop, a_shop
from support.world import PUBLIC_URL, World

world = shared_world


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


@pytest.mark.parametrize("place", ORDERS)
async def test_rows_say_what_the_view_says_before_and_after_the_cancellation(shop: Shop, place: Callable):
    uid = await place(shop)
    before = await _both(shop.world, uid)

    answer = await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{uid}")

    after = await _both(shop.world, uid)
    assert (before.order.state, after.order.state) == ("pending", "cancelled")
    assert answer.content == (await shop.get(f"/orders/{uid}")).content


async def test_tickets_that_were_given_on_are_shown_as_they_are(shop: Shop):
    seated = await shop.seated(5)
    placed = (await shop.order({seated: 2}, payment_method=shop.method)).json()
    view = await _both(shop.world, placed["uid"])
    await shop.world.pay(view.order.id)
    given_on = placed["_embedded"]["shop:ticket"][0]["_links"]["self"]["href"]
    body = {"tickets": [given_on], "consumer": {"first_name": "Ann", "country": "NL"}}

    made = await shop.post("/orders", body)

    assert made.status_code == 201
    assert [one.valid for one in (await _both(shop.world, placed["uid"])).tickets] == [False, True]
    await _both(shop.world, made.json()["uid"])


async def test_an_order_in_a_form_of_a_newer_version_is_read_as_a_view_which_says_so(shop: Shop):
    uid = await plain(shop)
    of_order = order_details.c.order_id == order_id_of(uid)
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(order_details).where(of_order).values(details='{"currency":7}'))

    shown = await _shown(shop.world, order_id_of(uid))

    assert isinstance(shown, OrderView)
    assert isinstance(shown.details, UnknownDetails)


async def test_a_service_order_is_read_as_a_view(world: World):
    partner = await world.connect_client()

    assert isinstance(await _shown(world, await world.service_order(partner)), OrderView)


async def test_a_node_without_a_contract_of_tickets_cancels_and_reads_its_own_orders(world: World):
    partner, shop = await world.connect_client(), await world.shopping_client()
    service, bought = await world.service_order(partner), (await world.ticket_order(shop)).order.id
    commands = [world.command(partner, service), world.command(shop, bought, wants_order=True)]
    database = await open_database(world.settings, contracts=[CONNECT])
    try:
        cancelled = await database.cancellations.cancel(commands, world.clock())
        views = await database.cancellations.views([service, bought])
    finally:
        await database.close()

    assert cancelled == {commands[0].command_id: None}
    assert (views[service].order.state, views[bought].order.state) == ("cancelled", "pending")
    assert isinstance(views[bought], OrderView)
    assert not views[bought].order.is_known


async def test_orders_that_are_read_together_have_their_own_lines_tickets_and_products(shop: Shop):
    product, other = await shop.product(), await shop.product()
    uids = [await placed(shop, wanted) for wanted in ({product: 2}, {product: 1, other: 3}, {other: 1})]
    ids = [order_id_of(uid) for uid in uids]

    together = await shop.world.database.cancellations.views([*ids, OrderId(ids[0] + 1)])

    assert together == {order_id: await _shown(shop.world, order_id) for order_id in ids}
    assert [len(together[order_id].tickets) for order_id in ids] == [2, 4, 1]


async def _shown(world: World, order_id: OrderId) -> OrderView | TicketOrderRows:
    (shown,) = (await world.database.cancellations.views([order_id])).values()
    return shown


async def _both(world: World, uid: str) -> OrderView:
    """Read an order both ways, and compare. Return the view."""
    order_id = order_id_of(uid)
    rows = await _shown(world, order_id)
    async with world.database.store.snapshot() as reading:
        view = (await reading.views([order_id]))[order_id]
    assert isinstance(rows, TicketOrderRows)
    assert rows.view == view
    assert msgspec.json.encode(rows)  # every field is plain
    return view

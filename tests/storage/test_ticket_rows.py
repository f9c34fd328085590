"""The rows of a ticket order say what its view says, and make the same answer to a cancellation."""

from collections.abc import Callable

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.domain.orders.order_details import UnknownDetails
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.orders import order_details
from support.shared_world import shared_world
from support.shopping_calls import cancel
from support.ticket_shop import Shop, a_shop
from support.world import PUBLIC_URL, World

world = shared_world


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _plain(shop: Shop) -> str:
    return await _placed(shop, {await shop.product(name={"en": 'Tïcket \u2028 "x"', "nl": ""}): 2})


async def _seated(shop: Shop) -> str:
    return await _placed(shop, {await shop.seated(5): 2, await shop.product(): 1})


async def _combined(shop: Shop) -> str:
    day, locker = await shop.product(price_minor=700), await shop.product()
    return await _placed(shop, {await shop.combo({day: 2, locker: 1}, stock=5, service_costs_minor=100): 2, day: 1})


async def _with_a_voucher(shop: Shop) -> str:
    return await _placed(shop, {await shop.product(): 2}, vouchers=[await shop.voucher(discount_percent=50)])


async def _at_an_older_price(shop: Shop) -> str:
    product = await shop.product(price_minor=1000)
    order = await _placed(shop, {product: 1})
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(products).where(products.c.uid == product).values(price_minor=1500, currency="GBP"))
    return order


async def _with_everything_that_a_request_can_have(shop: Shop) -> str:
    sent = await shop.pay_by("shipping", costs_minor=50)
    return await _placed(
        shop,
        {await shop.product(): 3},
        shipping_method=sent,
        payment_method=await shop.pay_by(costs_minor=100),
        external_purchases=[
            {
                "title": {"en": "Dïnner", "nl": ""},
                "product_reference": "A \\ B",
                "unit_price": {"amount": 12.5, "currency": "EUR"},
                "quantity": 3,
            }
        ],
        external_reference="CO-115",
        redirect_url="https://shop.example/back?a=1&b=%C3%A9",
        donation_amount={"amount": 1.5, "currency": "EUR"},
        consumer={"first_name": 'Jo "é"', "last_name": "</script>", "country": "NL", "gender": 1, "ip": "192.0.2.1"},
    )


ORDERS = [_plain, _seated, _combined, _with_a_voucher, _at_an_older_price, _with_everything_that_a_request_can_have]


@pytest.mark.parametrize("placed", ORDERS)
async def test_rows_say_what_the_view_says_before_and_after_the_cancellation(shop: Shop, placed: Callable):
    uid = await placed(shop)
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
    uid = await _plain(shop)
    of_order = order_details.c.order_id == order_id_of(uid)
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(order_details).where(of_order).values(details='{"currency":7}'))

    shown = await _shown(shop.world, order_id_of(uid))

    assert isinstance(shown, OrderView)
    assert isinstance(shown.details, UnknownDetails)


async def test_a_service_order_is_read_as_a_view(world: World):
    partner = await world.connect_client()

    assert isinstance(await _shown(world, await world.service_order(partner)), OrderView)


async def test_orders_that_are_read_together_have_their_own_lines_tickets_and_products(shop: Shop):
    product, other = await shop.product(), await shop.product()
    uids = [await _placed(shop, wanted) for wanted in ({product: 2}, {product: 1, other: 3}, {other: 1})]
    ids = [order_id_of(uid) for uid in uids]

    together = await shop.world.database.cancellations.views([*ids, OrderId(ids[0] + 1)])

    assert together == {order_id: await _shown(shop.world, order_id) for order_id in ids}
    assert [len(together[order_id].tickets) for order_id in ids] == [2, 4, 1]


async def _placed(shop: Shop, wanted: dict[str, int], **more: object) -> str:
    answer = await shop.order(wanted, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uid"])


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

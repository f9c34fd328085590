"""Combo products, vouchers, donations: what is taken, what it costs, and what an order keeps of it."""

from typing import Any

import pytest
import pytest_asyncio

from countermand.domain.money import Money
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import cancel, kind
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import PUBLIC_URL, World

world = shared_world


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


def _totals(shown: dict[str, Any]) -> tuple[float, float, float]:
    return tuple(shown[name]["amount"] for name in ("product_total", "service_costs", "grand_total"))


def _uri(uid: str) -> str:
    return f"{PUBLIC_URL}/products/{uid}"


async def test_a_combo_product_is_sold_for_one_price_with_all_its_parts(shop: Shop):
    day, locker = await shop.product(stock=10, price_minor=700), await shop.product(stock=10)
    weekend = await shop.combo({day: 2, locker: 1}, stock=5, price_minor=1200, service_costs_minor=100)
    made = (await shop.order({weekend: 2})).json()
    selected = made["product_selection"]
    assert selected[0] == {"product": _uri(weekend), "quantity": 2}
    assert {(one["product"], one["quantity"], one["parent"]) for one in selected[1:]} == {
        (_uri(day), 4, _uri(weekend)),
        (_uri(locker), 2, _uri(weekend)),
    }
    assert _totals(made) == (24.0, 2.0, 26.0)
    assert await shop.left() == {day: 6, locker: 8, weekend: 3}
    assert len(made["_embedded"]["shop:ticket"]) == 8
    assert len({one["code"] for one in made["_embedded"]["shop:ticket"]}) == 8
    await check_conservation(shop.world)
    assert (await cancel(shop.world, shop.caller, made["_links"]["self"]["href"])).status_code == 200
    assert await shop.left() == {day: 10, locker: 10, weekend: 5}
    await check_conservation(shop.world)


async def test_a_combo_product_is_sold_out_with_its_scarcest_part(shop: Shop):
    day = await shop.product(stock=3)
    weekend = await shop.combo({day: 2}, stock=5)
    before = await contents(shop.world)
    for wanted in ({weekend: 2}, {weekend: 1, day: 2}):
        assert kind(await shop.order(wanted)) == (409, "INSUFFICIENT_PRODUCTS")
        assert kind(await shop.bill(wanted)) == (409, "INSUFFICIENT_PRODUCTS")
    assert not changed(before, await contents(shop.world))
    assert (await shop.order({weekend: 1, day: 1})).status_code == 201
    assert await shop.left() == {day: 0, weekend: 4}


async def test_the_parts_count_among_the_hundred_tickets_of_an_order(shop: Shop):
    day = await shop.product(stock=500)
    weekend = await shop.combo({day: 4}, stock=100)
    assert kind(await shop.order({weekend: 21})) == (400, "MAX_PER_ORDER_EXCEEDED")
    assert (await shop.order({weekend: 20})).status_code == 201


async def test_a_part_that_is_not_there_makes_the_combo_unavailable(shop: Shop):
    weekend = await shop.combo({"0" * 32: 1})
    assert kind(await shop.order({weekend: 1})) == (404, "PRODUCT_NOT_AVAILABLE")
    assert await shop.world.rows("orders") == []


async def test_the_parts_of_a_combo_are_for_whom_the_combo_is(shop: Shop):
    day = await shop.product()
    weekend = await shop.combo({day: 2})
    body = shop.body({weekend: 2})
    body["products"][0]["consumers"] = [{"first_name": "Ann"}, {"first_name": "Bob"}]
    tickets = (await shop.post("/orders", body)).json()["_embedded"]["shop:ticket"]
    names = [(await shop.get(one["_links"]["self"]["href"])).json()["consumer"]["first_name"] for one in tickets]
    assert names == ["Ann", "Bob", "Ann", "Ann", "Bob", "Bob"]


async def test_a_voucher_opens_what_needs_one(shop: Shop):
    secret, open_one = await shop.product(needs_voucher=True), await shop.product()
    assert kind(await shop.order({secret: 1})) == (409, "NOT_ON_SALE")
    await shop.voucher("OTHER", product_uids=(open_one,))
    assert kind(await shop.order({secret: 1, open_one: 1}, vouchers=["OTHER"])) == (409, "NOT_ON_SALE")
    await shop.voucher("OPEN", product_uids=(secret,))
    made = await shop.order({secret: 1}, vouchers=["OPEN"])
    assert _totals(made.json()) == (10.0, 0.0, 10.0)
    assert [row["code"] for row in await shop.world.rows("voucher_uses")] == ["OPEN"]


async def test_a_voucher_takes_its_part_off_each_price_rounded_half_up(shop: Shop):
    odd, other = await shop.product(price_minor=1005, service_costs_minor=50), await shop.product(price_minor=1000)
    await shop.voucher("TEN", discount_percent=10, product_uids=(odd,))
    wanted = {odd: 3, other: 1}
    # 10% of 10.05 is 1.005, and 1.01 when it is rounded half up: 9.04 each
    expected = (3 * 9.04 + 10, 1.5, 3 * 9.04 + 11.5)
    assert _totals((await shop.bill(wanted, vouchers=["TEN"])).json()) == pytest.approx(expected)
    assert _totals((await shop.order(wanted, vouchers=["TEN"])).json()) == pytest.approx(expected)


async def test_of_two_vouchers_for_a_product_the_better_counts_and_both_are_used(shop: Shop):
    uid = await shop.product()
    await shop.voucher("TEN", discount_percent=10)
    await shop.voucher("ALL", discount_percent=100)
    made = (await shop.order({uid: 1}, vouchers=["TEN", "ALL", "TEN"], payment_method=None)).json()
    assert (_totals(made), made["status"]) == ((0.0, 0.0, 0.0), "completed")
    assert [row["code"] for row in await shop.world.rows("voucher_uses")] == ["ALL", "TEN"]


async def test_a_code_that_is_not_there_and_one_for_something_else_are_told_alike(shop: Shop):
    uid, other = await shop.product(), await shop.product()
    await shop.voucher("ELSE", product_uids=(other,))
    await shop.voucher("AWAY", event_uid="f" * 32)
    before = await contents(shop.world)
    said = []
    for code in ("NONE", "ELSE", "AWAY"):
        for answer in (await shop.order({uid: 1}, vouchers=[code]), await shop.bill({uid: 1}, vouchers=[code])):
            assert kind(answer) == (400, "VOUCHER_NOT_APPLICABLE")
            said.append(answer.json()["message"].replace(code, "CODE"))
    assert len(set(said)) == 1
    assert not changed(before, await contents(shop.world))


async def test_a_voucher_is_used_so_often_and_once_more_when_one_of_its_orders_is_cancelled(shop: Shop):
    uid = await shop.product()
    await shop.voucher("TWICE", uses_cap=2)
    first = (await shop.order({uid: 1}, vouchers=["TWICE"])).json()
    assert (await shop.order({uid: 5}, vouchers=["TWICE"])).status_code == 201  # one order is one use
    for answer in (await shop.order({uid: 1}, vouchers=["TWICE"]), await shop.bill({uid: 1}, vouchers=["TWICE"])):
        assert kind(answer) == (409, "VOUCHER_USED_UP")
    assert await shop.left() == {uid: 94}
    assert (await cancel(shop.world, shop.caller, first["_links"]["self"]["href"])).status_code == 200
    assert (await shop.order({uid: 1}, vouchers=["TWICE"])).status_code == 201
    assert kind(await shop.order({uid: 1}, vouchers=["TWICE"])) == (409, "VOUCHER_USED_UP")
    await check_conservation(shop.world)


async def test_a_donation_is_in_the_grand_total_and_external_purchases_are_not(shop: Shop):
    uid, pay = await shop.product(service_costs_minor=150), await shop.pay_by(costs_minor=100)
    more = {
        "payment_method": pay,
        "donation_amount": {"amount": 2.5, "currency": "EUR"},
        "external_purchases": [
            {
                "title": {"en": "T-shirt"},
                "product_reference": "A",
                "unit_price": {"amount": 50, "currency": "EUR"},
                "quantity": 3,
            }
        ],
    }
    made = (await shop.order({uid: 1}, **more)).json()
    assert _totals(made) == _totals((await shop.bill({uid: 1}, **more)).json()) == (10.0, 1.5, 15.0)
    assert made["external_purchases"] == [
        more["external_purchases"][0] | {"unit_price": {"amount": 50.0, "currency": "EUR"}}
    ]


async def test_a_total_that_is_out_of_range_is_refused(shop: Shop):
    uid = await shop.product(price=Money(minor=10**15, currency="EUR"))
    assert kind(await shop.order({uid: 2})) == (400, "BAD_REQUEST")
    assert kind(await shop.bill({uid: 2})) == (400, "BAD_REQUEST")
    assert (await shop.order({uid: 1})).status_code == 201


async def test_an_order_keeps_the_prices_it_was_placed_at(shop: Shop):
    uid = await shop.product(price_minor=1000, service_costs_minor=100)
    made = (await shop.order({uid: 1})).json()
    async with shop.world.database.store.transaction() as tx:
        known = (await tx.products([uid]))[uid]
        changed_price = type(known)(
            **{name: getattr(known, name) for name in known.__dataclass_fields__}
            | {"price": Money(minor=9900, currency="USD")}
        )
        await tx.put_product(changed_price)
    shown = (await shop.get(made["_links"]["self"]["href"])).json()
    assert _totals(shown) == (10.0, 1.0, 11.0)
    assert [one["price"] for one in shown["_embedded"]["shop:product"]] == [{"amount": 10.0, "currency": "EUR"}]
    ticket = (await shop.get(shown["_embedded"]["shop:ticket"][0]["_links"]["self"]["href"])).json()
    assert ticket["price"] == {"amount": 10.0, "currency": "EUR"}
    now = (await shop.order({uid: 1})).json()
    assert (_totals(now), now["grand_total"]["currency"]) == ((99.0, 1.0, 100.0), "USD")

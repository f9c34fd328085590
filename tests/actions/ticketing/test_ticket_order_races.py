"""Many at once for what is there once: one has it, the others hear so, and nothing is lost or made twice."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.actions.ordering.expire import expire_due
from countermand.domain.orders.order import order_id_of
from support.shopping_calls import cancel
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import PUBLIC_URL, World

pytestmark = pytest.mark.long


@pytest_asyncio.fixture
async def shop(world: World) -> Shop:
    return await a_shop(world)


def _told(answers: list[httpx.Response]) -> Counter[tuple[int, str | None]]:
    return Counter((one.status_code, one.json().get("type")) for one in answers)


async def test_of_two_buyers_of_the_last_ticket_one_has_it(shop: Shop):
    for _ in range(5):
        uid = await shop.product(stock=1)
        answers = await asyncio.gather(*(shop.order({uid: 1}) for _ in range(2)))
        assert _told(answers) == {(201, None): 1, (409, "INSUFFICIENT_PRODUCTS"): 1}
        assert (await shop.left())[uid] == 0
    await check_conservation(shop.world)


async def test_of_twenty_buyers_of_five_places_five_have_them(shop: Shop):
    uid, other = await shop.product(stock=5), await shop.product(stock=100)
    wanted = [{uid: 1, other: 1}, {other: 1, uid: 1}]  # in either order: nobody waits for each other
    answers = await asyncio.gather(*(shop.order(wanted[n % 2]) for n in range(20)))
    assert _told(answers) == {(201, None): 5, (409, "INSUFFICIENT_PRODUCTS"): 15}
    assert await shop.left() == {uid: 0, other: 95}
    assert len(await shop.world.rows("orders")) == 5
    await check_conservation(shop.world)


async def test_of_many_who_have_a_single_use_voucher_one_uses_it(shop: Shop):
    uid = await shop.product()
    await shop.voucher("ONCE", uses_cap=1, discount_percent=50)
    await shop.voucher("OFTEN", discount_percent=10)
    codes = [["ONCE", "OFTEN"], ["OFTEN", "ONCE"]]
    answers = await asyncio.gather(*(shop.order({uid: 1}, vouchers=codes[n % 2]) for n in range(10)))
    assert _told(answers) == {(201, None): 1, (409, "VOUCHER_USED_UP"): 9}
    assert await shop.left() == {uid: 99}
    assert sorted(row["code"] for row in await shop.world.rows("voucher_uses")) == ["OFTEN", "ONCE"]
    await check_conservation(shop.world)


async def test_one_ticket_is_given_on_once(shop: Shop):
    uid = await shop.product(price_minor=0)
    order = (await shop.order({uid: 1}, payment_method=None)).json()
    (ticket,) = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]]
    given = {"tickets": [ticket], "consumer": {}}
    answers = await asyncio.gather(*(shop.post("/orders", given) for _ in range(5)))
    assert _told(answers) == {(201, None): 1, (409, "TICKETS_NOT_TRANSFERABLE"): 4}
    assert sum(bool(row["valid"]) for row in await shop.world.rows("tickets")) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_expiring_paying_and_cancelling_at_once_end_in_one_story(shop: Shop, seed: int):
    uid = await shop.product(stock=30)
    orders = [(await shop.order({uid: 1})).json()["uid"] for _ in range(10)]
    shop.world.clock.forward(hours=1)
    doing: list[Coroutine[Any, Any, Any]] = [_expire(shop), _expire(shop)]
    doing += [shop.world.pay(order_id_of(one)) for one in orders]
    doing += [cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{one}") for one in orders]
    Random(seed).shuffle(doing)
    await asyncio.gather(*doing)
    await _expire(shop)
    await check_conservation(shop.world)
    states = Counter(row["state"] for row in await shop.world.rows("orders"))
    assert states.keys() <= {"completed", "cancelled", "expired"}
    assert await shop.left() == {uid: 30 - states["completed"]}
    assert len(await shop.world.rows("payments")) == 10
    assert await shop.world.rows("expiries") == []


async def _expire(shop: Shop) -> None:
    await expire_due(shop.world.database.store, shop.world.clock(), at_most=100)

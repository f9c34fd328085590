"""Many at once for what is there once: one has it, the others hear so, and nothing is lost or made twice."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.actions.expire_orders import expire_due
from countermand.domain.order import order_id_of
from support.shopping_calls import cancel
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import PUBLIC_URL, World


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
    await expire_due(shop.world.database.store, shop.world.clock, at_most=100)


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_mix_all_places_vouchers_and_money_are_accounted_for(shop: Shop, seed: int):
    """Orders, combos, vouchers, expiries, payments and cancellations, each from a connection of its own."""
    random = Random(seed)
    day, locker = await shop.product(stock=25), await shop.product(stock=40, price_minor=0)
    weekend = await shop.combo({day: 2, locker: 1}, stock=6)
    for code, cap in (("TWICE", 2), ("FIVE", 5)):
        await shop.voucher(code, uses_cap=cap, discount_percent=20)
    known: list[str] = []
    for _ in range(6):
        doing: list[Coroutine[Any, Any, Any]] = [_some_order(shop, random, [day, locker, weekend]) for _ in range(8)]
        doing += [_some_end(shop, random, order) for order in random.sample(known, min(6, len(known)))]
        doing.append(_expire(shop))
        random.shuffle(doing)
        for done in await asyncio.gather(*doing):
            if isinstance(done, httpx.Response) and done.status_code == 201:
                known.append(done.json()["uid"])
            elif isinstance(done, httpx.Response):
                assert done.status_code in {200, 403, 409}, done.text
        shop.world.clock.forward(minutes=random.choice([5, 20, 40]))
        await check_conservation(shop.world)
    assert known
    left = await shop.left()
    assert all(n >= 0 for n in left.values())


async def _some_order(shop: Shop, random: Random, uids: list[str]) -> httpx.Response:
    wanted = {uid: random.randint(1, 3) for uid in random.sample(uids, random.randint(1, len(uids)))}
    vouchers = random.sample(["TWICE", "FIVE"], random.randint(0, 2))
    return await shop.order(wanted, vouchers=vouchers)


async def _some_end(shop: Shop, random: Random, order: str) -> Any:
    match random.randint(0, 2):
        case 0:
            return await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{order}")
        case 1:
            return await shop.world.pay(order_id_of(order))
        case _:
            return await asyncio.gather(
                shop.world.pay(order_id_of(order)), cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{order}")
            )

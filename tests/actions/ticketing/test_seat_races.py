"""Many at once for the same seats: no two valid tickets ever have one, and none is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.actions.errors import ConflictError
from countermand.actions.ordering.expire import expire_due
from countermand.domain.orders.order import order_id_of
from support.beside import beside
from support.postgres import a_connection, until_waiting
from support.shopping_calls import cancel
from support.ticket_shop import Shop, a_shop, check_conservation, check_seats
from support.world import PUBLIC_URL, World, a_world

pytestmark = pytest.mark.long


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    # On a busy machine a turn takes long; here nobody is to hear 503 for that.
    async with a_world(tmp_path, request.param, database_busy_limit_s=60) as world:
        yield await a_shop(world)


def _told(answers: list[httpx.Response]) -> Counter[tuple[int, str | None]]:
    return Counter((one.status_code, one.json().get("type")) for one in answers)


async def test_of_two_who_want_the_last_pair_one_has_it_and_any_two_are_left_for_the_other(shop: Shop):
    for _ in range(5):
        uid = await shop.seated(1, 2, 1)
        answers = await asyncio.gather(*(shop.order({uid: 2}) for _ in range(2)))
        assert _told(answers) == {(201, None): 1, (409, "INSUFFICIENT_CONSECUTIVE_SEATS"): 1}
        assert (await shop.left())[uid] == 2
        assert (await shop.order({uid: 2}, check_consecutive_seats=False)).status_code == 201
    await check_conservation(shop.world)


async def test_a_freed_pair_is_sold_once_to_those_who_wait_for_it(shop: Shop):
    uid = await shop.seated(2)
    for _ in range(5):
        order = (await shop.order({uid: 2})).json()["uid"]
        asks = [shop.order({uid: 2}) for _ in range(3)]
        await asyncio.gather(cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{order}"), *asks)
        await check_conservation(shop.world)
        for row in await shop.world.rows("orders"):
            if row["state"] == "pending":
                await _cancelled_by_id(shop, row["id"])
    assert await shop.left() == {uid: 2}


async def _cancelled_by_id(shop: Shop, order_id: int) -> None:
    (row,) = [row for row in await shop.world.rows("order_details") if row["order_id"] == order_id]
    assert (await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{row['uid']}")).status_code == 200


@pytest.mark.parametrize("seed", range(4))
async def test_after_thirty_orders_and_cancellations_no_seat_has_two_valid_tickets(shop: Shop, seed: int):
    """With expiries, tickets given on and other plans between them."""
    random = Random(seed)
    uids = [await shop.seated(6, 6, 6), await shop.seated(9, 9)]
    weekend = await shop.combo(dict.fromkeys(uids, 1), stock=6)
    known: list[dict[str, Any]] = []
    for _ in range(5):
        doing: list[Coroutine[Any, Any, Any]] = [_some_order(shop, random, [*uids, weekend]) for _ in range(6)]
        doing += [_some_end(shop, random, order) for order in random.sample(known, min(4, len(known)))]
        doing.append(expire_due(shop.world.database.store, shop.world.clock(), at_most=100))
        doing.append(_another_plan(shop, uids[0], random.choice([(6, 6, 6), (6, 6, 6, 2), (6, 5, 7)])))
        random.shuffle(doing)
        for done in await asyncio.gather(*doing):
            if isinstance(done, httpx.Response):
                assert done.status_code in {200, 201, 403, 409}, done.text
                known += [done.json()] if done.status_code == 201 else []
        await check_seats(shop.world)
        shop.world.clock.forward(minutes=random.choice([5, 20, 40]))
    assert known


async def _some_order(shop: Shop, random: Random, uids: list[str]) -> httpx.Response:
    wanted = {uid: random.randint(1, 4) for uid in random.sample(uids, random.randint(1, 2))}
    return await shop.order(wanted, check_consecutive_seats=random.choice([True, False]))


async def _some_end(shop: Shop, random: Random, order: dict[str, Any]) -> Any:
    if random.randint(0, 1):
        return await cancel(shop.world, shop.caller, order["_links"]["self"]["href"])
    await shop.world.pay(order_id_of(order["uid"]))
    tickets = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]]
    return await shop.post("/orders", {"tickets": tickets[: random.randint(1, len(tickets))], "consumer": {}})


async def _another_plan(shop: Shop, uid: str, rows: tuple[int, ...]) -> None:
    with suppress(ConflictError):
        await shop.seat(uid, *rows)


async def test_a_ticket_given_on_while_the_plan_changes_takes_its_seat_along(postgres_world: World):
    shop = await a_shop(postgres_world)
    uid = await shop.seated(3)
    order = (await shop.order({uid: 2})).json()
    await shop.world.pay(order_id_of(order["uid"]))
    tickets = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]]
    async with a_connection(postgres_world) as other:
        async with postgres_world.database.store.transaction() as tx:
            await shop.seat_within(tx, uid, 2, 2)
            giving = asyncio.create_task(shop.post("/orders", {"tickets": tickets, "consumer": {}}))
            await until_waiting(other)
        assert (await giving).status_code == 201
    await check_seats(postgres_world)
    assert [one["seating"]["row"] for one in (await shop.order({uid: 2})).json()["_embedded"]["shop:ticket"]] == [
        "B"
    ] * 2


async def test_over_two_nodes_the_last_pair_is_sold_once(postgres_world: World):
    shop = await a_shop(postgres_world)
    async with beside(postgres_world) as other:
        there = Shop(other, shop.caller, shop.event, shop.method)
        for _ in range(5):
            uid = await shop.seated(2, 1)
            answers = await asyncio.gather(*((shop, there)[turn % 2].order({uid: 2}) for turn in range(6)))
            assert Counter(one.status_code for one in answers) == {201: 1, 409: 5}
    await check_conservation(postgres_world)

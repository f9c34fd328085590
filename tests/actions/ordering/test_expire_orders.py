"""Orders that are not paid in time end by themselves, and give back all they hold."""

from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from countermand.actions.ordering.expire import Expired, expire_due, expire_order
from countermand.actions.ordering.record_progress import record_payment
from countermand.domain.actor import Actor
from countermand.domain.money import Money
from countermand.domain.orders.order import order_id_of
from countermand.domain.orders.order_state import Transition
from support.database_contents import changed, contents
from support.postgres import a_connection
from support.shopping_calls import cancel, kind
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import PUBLIC_URL, World, a_world

_LIMIT = timedelta(hours=1)


@pytest_asyncio.fixture
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _look(shop: Shop) -> int:
    return (await expire_due(shop.world.database.store, shop.world.clock(), at_most=100)).due


async def _order(shop: Shop, uid: str, **more: object) -> str:
    return (await shop.order({uid: 2}, **more)).json()["uid"]


async def _status(shop: Shop, order: str) -> str:
    return (await shop.get(f"/orders/{order}")).json()["status"]


async def test_an_unpaid_order_expires_at_its_limit_and_not_a_microsecond_before(shop: Shop):
    uid = await shop.product(stock=2)
    await shop.voucher("ONCE", uses_cap=1)
    order = await _order(shop, uid, vouchers=["ONCE"])
    before = await contents(shop.world)
    shop.world.clock.now += _LIMIT - timedelta(microseconds=1)
    assert await _look(shop) == 0
    assert not changed(before, await contents(shop.world))
    shop.world.clock.forward(microseconds=1)
    assert await _look(shop) == 1
    assert (await _status(shop, order), await shop.left()) == ("expired", {uid: 2})
    assert [bool(row["valid"]) for row in await shop.world.rows("tickets")] == [False, False]
    assert [row["kind"] for row in await shop.world.rows("outbox")] == ["order.placed", "order.expired"]
    assert await _look(shop) == 0
    await check_conservation(shop.world)
    # What it held is there for the next: the places, and the voucher.
    await _order(shop, uid, vouchers=["ONCE"])
    assert await shop.left() == {uid: 0}


async def test_what_was_paid_or_cancelled_or_is_free_does_not_expire(shop: Shop):
    uid, free = await shop.product(), await shop.product(price_minor=0)
    paid, cancelled, free_one = await _order(shop, uid), await _order(shop, uid), await _order(shop, free)
    await shop.world.pay(order_id_of(paid))
    await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{cancelled}")
    shop.world.clock.now += _LIMIT
    before = await contents(shop.world)
    assert await _look(shop) == 2
    assert set(changed(before, await contents(shop.world))) == {"expiries"}
    assert [await _status(shop, one) for one in (paid, cancelled, free_one)] == ["completed", "cancelled", "completed"]
    assert await shop.world.rows("expiries") == []
    await check_conservation(shop.world)


async def test_money_for_an_expired_order_is_late_and_revives_nothing(shop: Shop):
    uid = await shop.product()
    order = await _order(shop, uid)
    shop.world.clock.now += _LIMIT
    await _look(shop)
    await shop.world.pay(order_id_of(order))
    assert [bool(row["is_late"]) for row in await shop.world.rows("payments")] == [True]
    assert (await _status(shop, order), await shop.left()) == ("expired", {uid: 100})
    assert kind(await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{order}")) == (403, "FORBIDDEN")
    await check_conservation(shop.world)


async def test_the_longest_due_come_first_and_so_many_at_a_time(shop: Shop):
    uid = await shop.product()
    orders = []
    for _ in range(3):
        orders.append(await _order(shop, uid))
        shop.world.clock.forward(seconds=1)
    shop.world.clock.now += _LIMIT
    looked_at = await expire_due(shop.world.database.store, shop.world.clock(), at_most=2)
    assert looked_at == Expired(due=2, failed=0)
    assert [await _status(shop, one) for one in orders] == ["expired", "expired", "pending"]


async def test_what_was_paid_in_part_does_not_expire(shop: Shop):
    uid = await shop.product(price_minor=1001)
    order = order_id_of(await _order(shop, uid))
    async with shop.world.database.store.transaction() as tx:
        money = Money(minor=2001, currency="EUR")
        await record_payment(tx, Actor(shop.caller.client.id), order, "psp-1", money, shop.world.clock())
    shop.world.clock.now += _LIMIT
    before = await contents(shop.world)
    assert await _look(shop) == 1
    assert set(changed(before, await contents(shop.world))) == {"expiries"}
    assert await shop.left() == {uid: 98}
    await check_conservation(shop.world)


@pytest.mark.postgres
async def test_an_order_that_somebody_holds_stays_due_and_the_others_expire(tmp_path: Path):
    async with a_world(tmp_path, "postgres", database_busy_limit_s=0.1) as world, a_connection(world) as other:
        shop = await a_shop(world)
        uid = await shop.product()
        orders = [await _order(shop, uid) for _ in range(2)]
        shop.world.clock.now += _LIMIT
        async with other.transaction():
            await other.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id_of(orders[0]))
            await _look(shop)
            assert [await _status(shop, one) for one in orders] == ["pending", "expired"]
        assert await _look(shop) == 1
        assert [await _status(shop, one) for one in orders] == ["expired", "expired"]


@pytest.mark.parametrize("move", [Transition.EXPIRE, Transition.FAIL])
async def test_an_order_that_ended_otherwise_gives_nothing_back_twice(shop: Shop, move: Transition):
    uid = await shop.product()
    order = order_id_of(await _order(shop, uid))
    await shop.world.advance(order, move)
    async with shop.world.database.store.transaction() as tx:
        assert not await expire_order(tx, order, shop.world.clock())
    assert await shop.left() == {uid: 100}
    await check_conservation(shop.world)

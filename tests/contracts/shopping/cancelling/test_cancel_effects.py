"""What does a cancellation do, when is it refused, and what is kept of either?"""

import asyncio
from datetime import timedelta

import httpx
import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import NotFoundError
from countermand.domain.orders.order_state import Transition
from support.database_contents import changed, contents, counts
from support.shared_world import shared_both_worlds, shared_world
from support.shopping_calls import REASON, availability, cancel, kind
from support.world import World

both_worlds = shared_both_worlds
world = shared_world


async def test_a_cancellation_gives_back_tickets_and_stock_exactly_once(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product, quantity=3)
    neighbour = await both_worlds.ticket_order(me, product=product, quantity=2)
    assert await availability(both_worlds, product) == 5
    answers = [await cancel(both_worlds, me, both_worlds.uri(order)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 409, 409]
    assert await availability(both_worlds, product) == 8
    assert [bool(row["valid"]) for row in await both_worlds.rows("tickets", order.order.id)] == [False] * 3
    assert [bool(row["valid"]) for row in await both_worlds.rows("tickets", neighbour.order.id)] == [True] * 2
    assert [row["state"] for row in await both_worlds.rows("orders", neighbour.order.id)] == ["pending"]


async def test_the_answer_shows_the_order_as_it_stands_after_it(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10, price_minor=450)
    order = await both_worlds.ticket_order(me, product=product, quantity=3)
    shown = (await cancel(both_worlds, me, both_worlds.uri(order))).json()
    assert shown["status"] == "cancelled"
    assert shown["_links"]["self"]["href"] == both_worlds.uri(order)
    assert [one["availability"] for one in shown["_embedded"]["shop:product"]] == [10]
    assert [one["valid"] for one in shown["_embedded"]["shop:ticket"]] == [False] * 3
    assert shown["shipping_method"] == {}
    assert {"payment", "shop:etickets", "shop:ordercancellation"} <= shown["_links"].keys()


async def test_what_is_kept_of_a_cancellation_says_who_when_where_why_and_on_which_facts(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    both_worlds.clock.forward(minutes=10)
    before = await counts(both_worlds)
    await cancel(both_worlds, me, both_worlds.uri(order))
    (kept,) = await both_worlds.rows("cancellations", order.order.id)
    assert (kept["client_id"], kept["door"], kept["contract"]) == (me.client.id, "shopping", "shopping")
    assert (kept["reason"], kept["state"], kept["first_payment_at"]) == (REASON, "pending", None)
    assert kept["decided_at"] == int(both_worlds.clock().timestamp() * 1_000_000)
    assert kept["policy_version"] in {row["version"] for row in await both_worlds.rows("policies")}
    after = await counts(both_worlds)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "cancellations": 1,
        "outbox": 1,
    }
    assert await _told(both_worlds, order.order.id) == ["order.placed", "order.cancelled"]


@pytest.mark.parametrize("minor", [2500, 1])
async def test_a_recorded_payment_forbids_it_and_the_refusal_is_kept(both_worlds: World, minor: int):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product, quantity=2)
    operator = await both_worlds.manage_client()
    paid = await _pay(both_worlds, operator, order.order.uid, "tx 1", minor)
    assert paid.status_code == 201
    before = await contents(both_worlds)
    answer = await cancel(both_worlds, me, both_worlds.uri(order))
    assert kind(answer) == (403, "FORBIDDEN")
    assert [one["code"] for one in answer.json()["errors"]] == ["PAYMENT_RECORDED"]
    assert changed(before, await contents(both_worlds)) == {"refusals"}
    (refusal,) = await both_worlds.rows("refusals", order.order.id)
    assert (refusal["client_id"], refusal["door"], refusal["reason"]) == (me.client.id, "shopping", REASON)
    assert refusal["first_payment_at"] is not None
    assert await availability(both_worlds, product) == 8


async def test_a_payment_forbids_it_for_ever_whatever_time_passes(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me, paid=True)
    both_worlds.clock.forward(days=4000)
    assert kind(await cancel(both_worlds, me, both_worlds.uri(order))) == (403, "FORBIDDEN")


@pytest.mark.parametrize("move", [Transition.EXPIRE, Transition.FAIL])
async def test_an_order_that_expired_or_failed_is_forbidden_and_keeps_its_state(both_worlds: World, move: Transition):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    await both_worlds.advance(order.order.id, move)
    before = await contents(both_worlds)
    answer = await cancel(both_worlds, me, both_worlds.uri(order))
    assert kind(answer) == (403, "FORBIDDEN")
    assert [one["code"] for one in answer.json()["errors"]] == ["ORDER_NOT_CANCELLABLE"]
    assert changed(before, await contents(both_worlds)) == {"refusals"}


async def test_a_free_order_is_completed_at_once_and_may_still_be_cancelled(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=3, price_minor=0)
    body = {"products": [{"product": f"http://shop.test/products/{product}", "quantity": 3}], "consumer": {}}
    made = await both_worlds.http.post("/orders", json=body, headers=both_worlds.shopping_headers(me))
    assert (made.status_code, made.json()["status"]) == (201, "completed")
    assert await availability(both_worlds, product) == 0
    answer = await cancel(both_worlds, me, made.headers["location"])
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert await availability(both_worlds, product) == 3


async def test_an_order_completed_without_a_payment_may_still_be_cancelled(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    await both_worlds.advance(order.order.id, Transition.COMPLETE)
    assert (await cancel(both_worlds, me, both_worlds.uri(order))).status_code == 200


async def test_a_payment_after_the_cancellation_is_late_money_and_revives_nothing(both_worlds: World):
    me, operator = await both_worlds.shopping_client(), await both_worlds.manage_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product, quantity=2)
    await cancel(both_worlds, me, both_worlds.uri(order))
    late = await _pay(both_worlds, operator, order.order.uid, "tx 1", 2500)
    assert late.status_code == 409
    (payment,) = await both_worlds.rows("payments", order.order.id)
    assert bool(payment["is_late"])
    assert (await _told(both_worlds, order.order.id))[-1] == "payment.late"
    (row,) = await both_worlds.rows("orders", order.order.id)
    assert (row["state"], row["first_payment_at"]) == ("cancelled", None)
    assert await availability(both_worlds, product) == 10
    read = await both_worlds.http.get(f"/orders/{order.order.uid}", headers=both_worlds.shopping_headers(me))
    assert read.json()["status"] == "cancelled"


async def test_of_twenty_cancels_at_once_one_wins_and_nineteen_are_conflicts(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product, quantity=4)
    answers = await asyncio.gather(*(cancel(both_worlds, me, both_worlds.uri(order)) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len(await both_worlds.rows("cancellations")) == 1
    assert len(await both_worlds.rows("refusals")) == 19
    assert (await _told(both_worlds, order.order.id)).count("order.cancelled") == 1
    assert await availability(both_worlds, product) == 10


async def test_orders_cancelled_together_give_each_product_back_what_each_order_held(both_worlds: World):
    me = await both_worlds.shopping_client()
    one, two = await both_worlds.product(stock=20), await both_worlds.product(stock=20)
    orders = [await both_worlds.ticket_order(me, product=one, quantity=n) for n in (1, 2, 3)]
    orders += [await both_worlds.ticket_order(me, product=two, quantity=n) for n in (4, 5)]
    paid = await both_worlds.ticket_order(me, product=two, quantity=6, paid=True)
    answers = await asyncio.gather(*(cancel(both_worlds, me, both_worlds.uri(o)) for o in [*orders, paid]))
    assert [answer.status_code for answer in answers] == [200] * 5 + [403]
    assert (await availability(both_worlds, one), await availability(both_worlds, two)) == (20, 14)


async def test_a_payment_and_a_cancellation_at_once_are_one_before_the_other(both_worlds: World):
    me, operator = await both_worlds.shopping_client(), await both_worlds.manage_client()
    for number in range(6):
        order = await both_worlds.ticket_order(me)
        calls = [
            cancel(both_worlds, me, both_worlds.uri(order)),
            _pay(both_worlds, operator, order.order.uid, f"tx {number}", 2500),
        ]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        said = {answer.request.url.path: answer.status_code for answer in answers}
        (row,) = await both_worlds.rows("orders", order.order.id)
        cancelled, paid = said.pop("/ordercancellation/"), said.popitem()[1]
        assert (cancelled, paid, row["state"]) in {(200, 409, "cancelled"), (403, 201, "completed")}


async def test_the_order_of_a_buyer_is_not_told_to_another_shop_by_the_action_either(world: World):
    me, other = await world.shopping_client(), await world.shopping_client()
    order = await world.ticket_order(other)
    with pytest.raises(NotFoundError):
        await world.cancel(me, order.order.id)
    assert isinstance(await world.cancel(other, order.order.id), Cancelled)


async def test_shopping_asks_for_no_notice_of_an_appointment(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    await both_worlds.appointment(order.order.id, timedelta(hours=1))
    assert (await cancel(both_worlds, me, both_worlds.uri(order))).status_code == 200
    assert [row["state"] for row in await both_worlds.rows("appointments", order.order.id)] == ["cancelled"]


async def _pay(world: World, operator, uid: str, reference: str, minor: int) -> httpx.Response:
    body = {"reference": reference, "amount": minor / 100, "currency": "EUR"}
    path = f"/manage/v1/orders/{uid}/payments"
    return await world.http.post(path, json=body, headers=world.manage_headers(operator))


async def _told(world: World, order_id: int) -> list[str]:
    """The kinds of the order's facts, oldest first."""
    rows = await world.rows("outbox", order_id)
    return [row["kind"] for row in sorted(rows, key=lambda row: row["order_version"])]

"""A request under an `Idempotency-Key` is done once, however often and however simultaneously it is sent."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import IdempotencyKeyReusedError, NotFoundError
from countermand.domain.client import Permission
from countermand.domain.orders.order_state import Transition
from countermand.storage.retention import IDEMPOTENCY_KEYS, forget
from support.connect_calls import SERVICE_ORDER
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, VISIT, manage, problem
from support.shared_world import shared_both_worlds, shared_world
from support.shopping_calls import availability, kind
from support.world import EVERYTHING, NOON, PUBLIC_URL, Caller, World

world = shared_world
both_worlds = shared_both_worlds

_CONNECT = "/api/connect/orders/cancel"


async def test_the_same_request_under_the_same_key_gets_the_same_yes(both_worlds: World):
    me = await both_worlds.connect_client()
    order_id = await both_worlds.service_order(me, appointment_in=timedelta(hours=30))
    first = await _cancel(both_worlds, me, order_id, "k")
    before = await contents(both_worlds)
    both_worlds.clock.now = NOON + timedelta(hours=20)  # now the appointment would forbid it
    again = await _cancel(both_worlds, me, order_id, "k")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.headers["x-request-id"] != again.headers["x-request-id"]  # they are two requests
    for answer in (first, again):
        del answer.headers["x-request-id"]
    assert (first.content, first.headers) == (again.content, again.headers)
    assert not changed(before, await contents(both_worlds))
    assert (await _cancel(both_worlds, me, order_id, "another")).status_code == 422


async def test_a_shop_gets_the_same_order_again(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product)
    body = {"order": both_worlds.uri(order), "reason": "r"}
    answers = [await _shop(both_worlds, me, body, "k") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    assert await availability(both_worlds, product) == 10
    assert kind(await _shop(both_worlds, me, body, "another")) == (409, "ORDER_ALREADY_CANCELED")


async def test_the_same_request_gets_the_same_no_even_when_the_order_has_become_cancellable(both_worlds: World):
    me, operator = await both_worlds.connect_client(), await both_worlds.manage_client()
    order_id = await both_worlds.service_order(me, appointment_in=timedelta(hours=20))
    first = await _cancel(both_worlds, me, order_id, "k")
    (visit,) = [row["id"] for row in await both_worlds.rows("appointments", order_id)]
    await manage(both_worlds, operator, "DELETE", f"{order_id}/appointments/{visit}")
    both_worlds.clock.forward(hours=1)
    before = await contents(both_worlds)
    again = await _cancel(both_worlds, me, order_id, "k")
    assert (first.status_code, again.status_code) == (422, 422)
    assert first.content == again.content
    assert not changed(before, await contents(both_worlds))
    assert (await _cancel(both_worlds, me, order_id, "another")).status_code == 200


async def test_a_no_stays_the_same_when_the_order_is_cancelled_meanwhile(both_worlds: World):
    me, operator = await both_worlds.connect_client(), await both_worlds.manage_client()
    order_id = await both_worlds.service_order(me, appointment_in=timedelta(hours=20))
    first = await _cancel(both_worlds, me, order_id, "k")
    (visit,) = [row["id"] for row in await both_worlds.rows("appointments", order_id)]
    await manage(both_worlds, operator, "DELETE", f"{order_id}/appointments/{visit}")
    assert (await _cancel(both_worlds, me, order_id, "another")).status_code == 200
    assert (await _cancel(both_worlds, me, order_id, "k")).content == first.content


async def test_under_a_used_key_another_order_stays_uncancelled_though_it_could_be(both_worlds: World):
    me = await both_worlds.connect_client()
    one, other = await both_worlds.service_order(me), await both_worlds.service_order(me)
    refused = await both_worlds.service_order(me, appointment_in=timedelta(hours=1))
    assert (await _cancel(both_worlds, me, one, "yes")).status_code == 200
    assert (await _cancel(both_worlds, me, refused, "no")).status_code == 422
    before = await contents(both_worlds)
    for key in ["yes", "no"]:
        answer = await _cancel(both_worlds, me, other, key)
        assert answer.status_code == 422
        assert "Idempotency-Key" in answer.text
    assert not changed(before, await contents(both_worlds))
    assert [row["state"] for row in await both_worlds.rows("orders", other)] == ["submitted"]
    assert (await _cancel(both_worlds, me, other, "new")).status_code == 200


async def test_another_body_for_the_same_order_is_another_request(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    body = {"order": both_worlds.uri(order), "reason": "r"}
    assert (await _shop(both_worlds, me, body, "k")).status_code == 200
    before = await contents(both_worlds)
    other = await _shop(both_worlds, me, body | {"reason": "another"}, "k")
    assert kind(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert not changed(before, await contents(both_worlds))


async def test_a_key_is_the_same_in_quotes_and_without(both_worlds: World):
    me = await both_worlds.connect_client()
    order_id = await both_worlds.service_order(me)
    answers = [await _cancel(both_worlds, me, order_id, key) for key in ["k-1", '"k-1"', ' "k-1" ']]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [row["key"] for row in await both_worlds.rows("idempotency_keys")] == ["k-1"]


async def test_a_key_has_1_to_255_visible_characters(both_worlds: World):
    me = await both_worlds.connect_client()
    order_id = await both_worlds.service_order(me)
    before = await contents(both_worlds)
    for key in ["", '""', '"', '"k', "a b", '"a b"', "k" * 256, '"' + "k" * 256 + '"', "é", "k\tk"]:
        answer = await _cancel(both_worlds, me, order_id, key)
        assert answer.status_code == 400, key
        assert "Idempotency-Key" in answer.text
    assert not changed(before, await contents(both_worlds))
    assert (await _cancel(both_worlds, me, order_id, "k" * 255)).status_code == 200


async def test_keys_are_each_clients_own(both_worlds: World):
    me, other = await both_worlds.connect_client("one"), await both_worlds.connect_client("other")
    mine, theirs = await both_worlds.service_order(me), await both_worlds.service_order(other)
    assert (await _cancel(both_worlds, me, mine, "k")).status_code == 200
    assert (await _cancel(both_worlds, other, theirs, "k")).status_code == 200
    assert len(await both_worlds.rows("cancellations")) == 2


async def test_what_was_never_decided_leaves_the_key_free(both_worlds: World):
    me, other = await both_worlds.shopping_client(), await both_worlds.shopping_client()
    mine, theirs = await both_worlds.ticket_order(me), await both_worlds.ticket_order(other)
    tied = await both_worlds.shopping_client(permissions=EVERYTHING - {Permission.CANCEL})
    body = {"order": both_worlds.uri(mine), "reason": "r"}
    unknown = Caller(me.client, me.key, "wrong")
    before = await contents(both_worlds)
    for caller, sent, status in [
        (me, body | {"reason": ""}, 400),
        (me, body | {"order": "x"}, 400),
        (unknown, body, 401),
        (tied, body, 403),
        (me, body | {"order": both_worlds.uri(theirs)}, 404),
        (me, body | {"order": f"{PUBLIC_URL}/orders/{'0' * 32}"}, 404),
        (me, body | {"more": "x" * 70_000}, 413),
    ]:
        assert (await _shop(both_worlds, caller, sent, "k")).status_code == status
    assert not changed(before, await contents(both_worlds))
    assert (await _shop(both_worlds, me, body, "k")).status_code == 200


# at once


async def test_twenty_at_once_with_one_key_are_one_effect_and_twenty_equal_answers(both_worlds: World):
    me = await both_worlds.shopping_client()
    product = await both_worlds.product(stock=10)
    order = await both_worlds.ticket_order(me, product=product, quantity=3)
    body = {"order": both_worlds.uri(order), "reason": "r"}
    answers = await asyncio.gather(*(_shop(both_worlds, me, body, "k") for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.content for answer in answers}) == 1
    assert await availability(both_worlds, product) == 10
    rows = {name: len(await both_worlds.rows(name)) for name in ("cancellations", "refusals", "idempotency_keys")}
    assert rows == {"cancellations": 1, "refusals": 0, "idempotency_keys": 1}


async def test_twenty_refused_at_once_with_one_key_are_one_refusal(both_worlds: World):
    me = await both_worlds.connect_client()
    order_id = await both_worlds.service_order(me, appointment_in=timedelta(hours=3))
    answers = await asyncio.gather(*(_cancel(both_worlds, me, order_id, "k") for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(422, answers[0].content)}
    assert len(await both_worlds.rows("refusals")) == 1
    assert len(await both_worlds.rows("idempotency_keys")) == 1


async def test_one_key_for_many_orders_in_one_batch_cancels_the_first_alone(world: World):
    me = await world.connect_client()
    order_ids = [await world.service_order(me) for _ in range(8)]
    outcomes = await _batch(world, [world.command(me, order_id, key="k") for order_id in order_ids])
    assert isinstance(outcomes[0], Cancelled)
    assert [type(outcome) for outcome in outcomes[1:]] == [IdempotencyKeyReusedError] * 7
    assert [row["order_id"] for row in await world.rows("cancellations")] == order_ids[:1]


async def test_one_key_for_many_refused_orders_in_one_batch_refuses_the_first_alone(world: World):
    me = await world.connect_client()
    order_ids = [await world.service_order(me, appointment_in=timedelta(hours=1)) for _ in range(4)]
    order_ids.append(await world.service_order(me))
    outcomes = await _batch(world, [world.command(me, order_id, key="k") for order_id in order_ids])
    assert isinstance(outcomes[0], NotCancelled)
    assert [type(outcome) for outcome in outcomes[1:]] == [IdempotencyKeyReusedError] * 4
    assert [row["order_id"] for row in await world.rows("refusals")] == order_ids[:1]
    assert await world.rows("cancellations") == []


async def test_in_one_batch_an_unknown_order_does_not_use_the_key_up(world: World):
    me, other = await world.connect_client("me"), await world.connect_client("other")
    foreign, mine = await world.service_order(other), await world.service_order(me)
    outcomes = await _batch(world, [world.command(me, order_id, key="k") for order_id in (foreign, mine)])
    assert [type(outcome) for outcome in outcomes] == [NotFoundError, Cancelled]
    assert [row["order_id"] for row in await world.rows("cancellations")] == [mine]


async def test_keys_of_many_clients_used_and_new_meet_in_one_batch(world: World):
    clients = [await world.connect_client(f"client {number}") for number in range(3)]
    used = [await world.service_order(client) for client in clients]
    await asyncio.gather(*(world.cancel(client, order, key="k") for client, order in zip(clients, used, strict=True)))
    fresh = [await world.service_order(client) for client in clients]
    commands = [world.command(client, order, key="k") for client, order in zip(clients, fresh, strict=True)]
    commands += [world.command(client, order, key="k") for client, order in zip(clients, used, strict=True)]
    commands += [world.command(client, order, key="new") for client, order in zip(clients, fresh, strict=True)]
    commands += [world.command(clients[0], fresh[0])]
    outcomes = await _batch(world, commands)
    assert [type(outcome) for outcome in outcomes] == (
        [IdempotencyKeyReusedError] * 3 + [Cancelled] * 6 + [NotCancelled]
    )
    assert len(await world.rows("cancellations")) == 6
    assert len(await world.rows("idempotency_keys")) == 6


# the other calls


async def test_an_order_is_created_once_under_one_key(world: World):
    me, product = await world.shopping_client(), await world.product(stock=10)
    body = _wanted(product, await world.payment_method())
    answers = await asyncio.gather(*(_place(world, me, body, "k") for _ in range(5)))
    answers.append(await _place(world, me, body, "k"))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({(answer.content, answer.headers["location"]) for answer in answers}) == 1
    assert (len(await world.rows("orders")), await availability(world, product)) == (1, 8)
    other = await _place(world, me, body | {"external_reference": "x"}, "k")
    assert kind(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await availability(world, product) == 8


async def test_sold_out_is_kept_under_its_key_when_places_come_back(world: World):
    me, product = await world.shopping_client(), await world.product(stock=2)
    body = _wanted(product, await world.payment_method())
    sold = await world.ticket_order(me, product=product)
    first = await _place(world, me, body, "k")
    await world.cancel(me, sold.order.id)
    again = await _place(world, me, body, "k")
    assert kind(first) == kind(again) == (409, "INSUFFICIENT_PRODUCTS")
    assert await availability(world, product) == 2
    assert (await _place(world, me, body, "another")).status_code == 201


async def test_a_create_that_is_400_or_404_leaves_the_key_free(world: World):
    me, product = await world.shopping_client(), await world.product()
    body = _wanted(product, await world.payment_method())
    for wrong, status in [
        (body | {"products": []}, 400),
        (body | {"payment_method": None}, 400),
        (_wanted("0" * 32, body["payment_method"]), 404),
    ]:
        assert (await _place(world, me, wrong, "k")).status_code == status
        assert await world.rows("idempotency_keys") == []
    assert (await _place(world, me, body, "k")).status_code == 201


async def test_a_telecom_order_is_created_once_under_one_key(world: World):
    me = await world.connect_client()
    path, headers = "/api/connect/orders/create", world.connect_headers(me, Idempotency_Key="k")
    answers = [await world.http.post(path, json=SERVICE_ORDER, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({(answer.content, answer.headers["location"]) for answer in answers}) == 1
    assert len(await world.rows("orders")) == 1


_MANAGED: dict[str, tuple[str, str, Any, int]] = {
    "a payment": ("POST", "/payments", PAYMENT, 201),
    "a visit set": ("POST", "/appointments", VISIT, 201),
    "a move": ("POST", "/moves", {"move": "accept"}, 200),
    "a move that is not allowed": ("POST", "/moves", {"move": "activate"}, 409),
    "a cancellation on behalf": ("POST", "/cancel", {"reason": "r"}, 200),
}


@pytest.mark.parametrize("what", _MANAGED)
async def test_a_change_by_an_operator_is_done_once_under_one_key(world: World, what: str):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id, other = await world.service_order(me), await world.service_order(me)
    method, path, body, status = _MANAGED[what]
    first = await manage(world, operator, method, f"{order_id}{path}", body, Idempotency_Key="k")
    before = await contents(world)
    calls = (manage(world, operator, method, f"{order_id}{path}", body, Idempotency_Key="k") for _ in range(4))
    again = await asyncio.gather(*calls)
    assert {(answer.status_code, answer.content) for answer in [first, *again]} == {(status, first.content)}
    elsewhere = await manage(world, operator, method, f"{other}{path}", body, Idempotency_Key="k")
    assert problem(elsewhere) == (422, "idempotency_key_reused")
    assert not changed(before, await contents(world))


async def test_a_key_of_a_cancellation_and_one_of_a_change_are_the_same_keys(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    moved = await manage(world, operator, "POST", f"{order_id}/moves", {"move": "accept"}, Idempotency_Key="k")
    cancelled = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"}, Idempotency_Key="k")
    assert (moved.status_code, problem(cancelled)) == (200, (422, "idempotency_key_reused"))
    await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"}, Idempotency_Key="other")
    paid = await manage(world, operator, "POST", f"{order_id}/payments", PAYMENT, Idempotency_Key="other")
    assert problem(paid) == (422, "idempotency_key_reused")
    assert await world.rows("payments") == []


async def test_late_money_is_kept_and_its_409_is_given_again(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    path = f"{order_id}/payments"
    answers = [await manage(world, operator, "POST", path, PAYMENT, Idempotency_Key="k") for _ in range(2)]
    assert [problem(answer) for answer in answers] == [(409, "late_money")] * 2
    assert len(await world.rows("payments")) == 1


# for how long


async def test_a_key_is_kept_for_its_hours_and_forgotten_after_them(world: World):
    me = await world.connect_client()
    order_id, other = await world.service_order(me), await world.service_order(me)
    assert (await _cancel(world, me, order_id, "k")).status_code == 200
    kept = timedelta(hours=world.settings.idempotency_kept_h)
    assert kept == timedelta(hours=24)
    store = world.database.store
    assert await forget(store, IDEMPOTENCY_KEYS, NOON + kept - kept, at_most=10) == 0
    assert (await _cancel(world, me, other, "k")).status_code == 422
    world.clock.now = NOON + kept + timedelta(microseconds=1)
    assert await forget(store, IDEMPOTENCY_KEYS, world.clock() - kept, at_most=10) == 1
    assert await world.rows("idempotency_keys") == []
    assert (await _cancel(world, me, other, "k")).status_code == 200
    assert len(await world.rows("cancellations")) == 2


async def test_a_kept_yes_is_given_again_whatever_state_the_row_is_in(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    body = {"order": world.uri(order), "reason": "r"}
    await _shop(world, me, body, "k")
    await world.pay(order.order.id)  # late money: the order's version rises
    again = await _shop(world, me, body, "k")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


async def test_a_kept_no_for_an_ended_order_is_explained_as_it_was(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=(Transition.ACCEPT, Transition.START, Transition.ACTIVATE))
    first = await _cancel(world, me, order_id, "k")
    world.clock.forward(days=30)
    assert (await _cancel(world, me, order_id, "k")).content == first.content
    assert len(await world.rows("refusals")) == 1


async def _cancel(world: World, caller: Caller, order_id: int, key: str) -> httpx.Response:
    headers = {**world.connect_headers(caller), "Idempotency-Key": key.encode()}
    return await world.http.post(_CONNECT, json={"orderId": order_id}, headers=headers)


async def _shop(world: World, caller: Caller, body: dict[str, Any], key: str) -> httpx.Response:
    headers = world.shopping_headers(caller, Idempotency_Key=key)
    return await world.http.post("/ordercancellation/", json=body, headers=headers)


async def _place(world: World, caller: Caller, body: dict[str, Any], key: str) -> httpx.Response:
    return await world.http.post("/orders", json=body, headers=world.shopping_headers(caller, Idempotency_Key=key))


def _wanted(product: str, method: str) -> dict[str, Any]:
    line = {"product": f"{PUBLIC_URL}/products/{product}", "quantity": 2}
    return {"products": [line], "consumer": {}, "payment_method": method}


async def _batch(world: World, commands: list[Any]) -> list[Any]:
    """All in one batch: they queue up before the first flight begins."""
    submit = world.service.commit.submit
    return await asyncio.gather(*(submit(command) for command in commands), return_exceptions=True)

"""Tickets by themselves, at the door, and given on to somebody else."""

from typing import Any

import pytest_asyncio

from countermand.domain.client import Permission
from countermand.domain.orders.order import order_id_of
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import cancel, kind
from support.ticket_shop import Shop, a_shop
from support.world import EVERYTHING, PUBLIC_URL, Caller, World

world = shared_world

_EVENT = f"{PUBLIC_URL}/events/{'e' * 32}"


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _order(shop: Shop, quantity: int = 1, *, paid: bool = False, **more: Any) -> dict[str, Any]:
    uid = await shop.product(price_minor=1000, service_costs_minor=150)
    made = (await shop.order({uid: quantity}, **more)).json()
    if paid:
        await shop.world.pay(order_id_of(made["uid"]))
    return made


def _tickets(order: dict[str, Any]) -> list[str]:
    return [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]]


async def test_a_ticket_says_what_it_is_for_whom_and_whether_it_counts(shop: Shop):
    consumer = {"first_name": "John", "country": "NL"}
    order = await _order(shop, consumer={**consumer, "ip": "192.0.2.1"})
    (uri,) = _tickets(order)
    answer = await shop.get(uri)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    shown = answer.json()
    assert shown["_links"]["self"]["href"] == uri
    assert shown["_links"]["shop:order"]["href"] == order["_links"]["self"]["href"]
    assert shown["consumer"] == consumer
    assert (shown["price"], shown["service_fee_paid"]) == ({"amount": 10.0, "currency": "EUR"}, None)
    # Who has not paid yet has a place, and no entry.
    assert (shown["valid"], shown["code"]) == (False, order["_embedded"]["shop:ticket"][0]["code"])
    assert order["_embedded"]["shop:ticket"][0]["valid"] is False
    assert shown["_embedded"]["shop:event"]["_links"]["self"]["href"] == _EVENT
    assert shown["_embedded"]["shop:product"]["uid"] in order["product_selection"][0]["product"]
    await shop.world.pay(order_id_of(order["uid"]))
    paid = (await shop.get(uri)).json()
    assert (paid["service_fee_paid"], paid["valid"]) == ({"amount": 1.5, "currency": "EUR"}, True)


async def test_a_ticket_is_seen_by_whoever_made_its_order_alone(shop: Shop):
    (uri,) = _tickets(await _order(shop))
    other = await shop.world.shopping_client()
    answers = [await shop.get(uri, other), *[await shop.get(f"/tickets/{uid}") for uid in ("0" * 32, "0" * 31, "%00")]]
    assert {kind(one) for one in answers} == {(404, "NOT_FOUND")}
    assert len({one.content for one in answers}) == 1
    blind = await shop.world.shopping_client(permissions=EVERYTHING - {Permission.READ})
    assert kind(await shop.get(uri, blind)) == (403, "FORBIDDEN")
    assert (await shop.world.http.get(uri.removeprefix(PUBLIC_URL))).status_code == 401


async def test_at_the_door_a_valid_ticket_is_found_by_its_code_and_an_unpaid_or_cancelled_one_is_not(shop: Shop):
    free = {await shop.product(price_minor=0): 2}
    order, unpaid = (await shop.order(free, payment_method=None)).json(), await _order(shop)
    code = order["_embedded"]["shop:ticket"][0]["code"]

    async def found(code: str, event: str = _EVENT, who: Caller | None = None) -> list[str]:
        answer = await shop.get("/tickets", who, event=event, code=code)
        shown = answer.json()
        assert shown["_links"]["self"]["href"] == str(answer.request.url)
        assert shown["item_count"] == len(shown["_embedded"]["shop:ticket"])
        return [one["_links"]["self"]["href"] for one in shown["_embedded"]["shop:ticket"]]

    assert await found(code) == _tickets(order)[:1]
    assert await found(code[:-1]) == await found(code, f"{PUBLIC_URL}/events/{'f' * 32}") == []
    assert await found(unpaid["_embedded"]["shop:ticket"][0]["code"]) == []
    assert await found(code, who=await shop.world.shopping_client()) == []
    await cancel(shop.world, shop.caller, order["_links"]["self"]["href"])
    assert await found(code) == []
    assert (await shop.get(_tickets(order)[0])).json()["valid"] is False


async def test_the_search_needs_the_event_and_the_code(shop: Shop):
    for query, wrong in [
        ({}, ["event", "code"]),
        ({"event": _EVENT}, ["code"]),
        ({"code": "c", "event": "e"}, ["event"]),
    ]:
        answer = await shop.get("/tickets", **query)
        assert kind(answer) == (400, "BAD_REQUEST")
        assert [one["path"] for one in answer.json()["errors"]] == wrong


async def test_tickets_given_on_count_under_new_codes_and_the_old_ones_no_more(shop: Shop):
    order = await _order(shop, 3, paid=True)
    left = await shop.left()
    given = {"tickets": _tickets(order)[:2], "consumer": {"first_name": "Ann"}}
    bill = (await shop.post("/bill", given)).json()
    answer = await shop.post("/orders", given)
    made = answer.json()
    assert (answer.status_code, made["status"], made["grand_total"]["amount"]) == (201, "completed", 0.0)
    assert bill["products"] == made["product_selection"] == [order["product_selection"][0] | {"quantity": 2}]
    assert await shop.left() == left
    before = (await shop.get(order["_links"]["self"]["href"])).json()
    assert [one["valid"] for one in before["_embedded"]["shop:ticket"]] == [False, False, True]
    assert before["status"] == "completed"
    codes = {one["code"] for one in made["_embedded"]["shop:ticket"] + before["_embedded"]["shop:ticket"]}
    assert len(codes) == 5
    ticket = (await shop.get(_tickets(made)[0])).json()
    assert (ticket["consumer"], ticket["price"]["amount"], ticket["valid"]) == ({"first_name": "Ann"}, 10.0, True)
    # The new order's places go back when it is cancelled; the old tickets stay invalid.
    assert (await cancel(shop.world, shop.caller, made["_links"]["self"]["href"])).status_code == 200
    assert await shop.left() == {uid: n + 2 for uid, n in left.items()}
    assert (await shop.get(_tickets(order)[0])).json()["valid"] is False


async def test_only_valid_tickets_of_one_completed_order_of_ones_own_are_given_on(shop: Shop):
    paid, other, unpaid = await _order(shop, 2, paid=True), await _order(shop, paid=True), await _order(shop)
    stranger = await shop.world.shopping_client()
    somebody = {"consumer": {}}
    before = await contents(shop.world)
    for path in ("/orders", "/bill"):
        for given, expected in [
            ([*_tickets(paid), *_tickets(other)], (400, "BAD_REQUEST")),
            (_tickets(unpaid), (409, "TICKETS_NOT_TRANSFERABLE")),
            ([f"{PUBLIC_URL}/tickets/{'0' * 32}"], (404, "NOT_FOUND")),
        ]:
            assert kind(await shop.post(path, {"tickets": given} | somebody)) == expected
        assert kind(await shop.post(path, {"tickets": _tickets(paid)} | somebody, stranger)) == (404, "NOT_FOUND")
    assert kind(await shop.post("/orders", {"tickets": _tickets(paid)})) == (400, "PROFILE_MISSING")
    assert not changed(before, await contents(shop.world))
    assert (await shop.post("/orders", {"tickets": _tickets(paid)[:1]} | somebody)).status_code == 201
    again = await shop.post("/orders", {"tickets": _tickets(paid)} | somebody)
    assert kind(again) == (409, "TICKETS_NOT_TRANSFERABLE")

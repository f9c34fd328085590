"""Numbered seats: side by side unless the shop says otherwise, on the ticket, and free when that counts no more."""

from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from countermand.actions.errors import ConflictError
from countermand.actions.ordering.expire import expire_due
from countermand.domain.orders.order import order_id_of
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import cancel, kind
from support.ticket_shop import Shop, a_shop, check_conservation, check_seats
from support.world import PUBLIC_URL, World

world = shared_world

_NOT_TOGETHER = (409, "INSUFFICIENT_CONSECUTIVE_SEATS")


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _sold(shop: Shop, wanted: dict[str, int], **more: Any) -> dict[str, Any]:
    assert (await shop.bill(wanted, **more)).status_code == 200
    answer = await shop.order(wanted, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _seats(order: dict[str, Any]) -> list[str]:
    """As A1, of an order's tickets in their order; - for one without a seat."""
    shown = [one.get("seating") for one in order["_embedded"]["shop:ticket"]]
    assert all(one is None or one["section"] == "Stalls" for one in shown)
    return ["-" if one is None else one["row"] + one["seat"] for one in shown]


async def _refused(shop: Shop, wanted: dict[str, int], expected: tuple[int, str], **more: Any) -> None:
    """By an order and by a bill alike, and nothing is changed."""
    before = await contents(shop.world)
    assert kind(await shop.order(wanted, **more)) == expected
    assert kind(await shop.bill(wanted, **more)) == expected
    assert not changed(before, await contents(shop.world))


async def test_a_ticket_names_its_seat_wherever_it_is_shown(shop: Shop):
    seated, standing = await shop.seated(5), await shop.product()
    order = await _sold(shop, {standing: 1, seated: 2})
    assert _seats(order) == ["-", "A1", "A2"]
    shown = [(await shop.get(one["_links"]["self"]["href"])).json() for one in order["_embedded"]["shop:ticket"]]
    assert [one["seating"] for one in shown] == [
        None,
        {"section": "Stalls", "row": "A", "seat": "1"},
        {"section": "Stalls", "row": "A", "seat": "2"},
    ]
    read = (await shop.get(order["_links"]["self"]["href"])).json()
    assert _seats(read) == _seats(order)
    code = order["_embedded"]["shop:ticket"][1]["code"]
    await shop.world.pay(order_id_of(order["uid"]))
    at_the_door = (await shop.get("/tickets", event=f"{PUBLIC_URL}/events/{'e' * 32}", code=code)).json()
    assert at_the_door["_embedded"]["shop:ticket"][0]["seating"]["seat"] == "1"


async def test_seats_are_side_by_side_in_the_smallest_gap_that_holds_them(shop: Shop):
    uid = await shop.seated(4, 2, 3)
    assert _seats(await _sold(shop, {uid: 2})) == ["B1", "B2"]
    assert _seats(await _sold(shop, {uid: 1})) == ["C1"]
    assert _seats(await _sold(shop, {uid: 2}, check_consecutive_seats=True)) == ["C2", "C3"]
    assert _seats(await _sold(shop, {uid: 4})) == ["A1", "A2", "A3", "A4"]
    await check_conservation(shop.world)


async def test_too_few_side_by_side_is_refused_and_any_are_had_by_who_takes_any(shop: Shop):
    uid = await shop.seated(3, 3)
    for wanted in (2, 2):
        await _sold(shop, {uid: wanted})
    await _refused(shop, {uid: 2}, _NOT_TOGETHER)
    await _refused(shop, {uid: 2}, _NOT_TOGETHER, check_consecutive_seats=True)
    # Too few of any kind is said first, whatever was asked.
    await _refused(shop, {uid: 3}, (409, "INSUFFICIENT_PRODUCTS"))
    await _refused(shop, {uid: 3}, (409, "INSUFFICIENT_PRODUCTS"), check_consecutive_seats=False)
    assert _seats(await _sold(shop, {uid: 2}, check_consecutive_seats=False)) == ["A3", "B3"]
    await _refused(shop, {uid: 1}, (409, "INSUFFICIENT_PRODUCTS"), check_consecutive_seats=False)
    await check_conservation(shop.world)


async def test_who_takes_any_still_sits_together_where_that_can_be(shop: Shop):
    uid = await shop.seated(1, 3, 1, 2)
    assert _seats(await _sold(shop, {uid: 2}, check_consecutive_seats=False)) == ["D1", "D2"]
    assert _seats(await _sold(shop, {uid: 4}, check_consecutive_seats=False)) == ["B1", "B2", "B3", "A1"]


async def test_each_line_sits_together_by_itself(shop: Shop):
    uid = await shop.seated(2, 3)
    body = shop.body({uid: 2})
    body["products"].append(body["products"][0] | {"quantity": 3})
    answer = await shop.post("/orders", body)
    assert _seats(answer.json()) == ["A1", "A2", "B1", "B2", "B3"]
    await check_conservation(shop.world)


async def test_when_one_product_has_no_seats_side_by_side_nothing_of_the_order_is_taken(shop: Shop):
    plenty, few = await shop.seated(9), await shop.seated(1, 1)
    await _refused(shop, {plenty: 2, few: 2}, _NOT_TOGETHER)
    assert _seats(await _sold(shop, {plenty: 2, few: 1})) == ["A1", "A2", "A1"]


async def test_the_parts_of_a_combo_are_seated(shop: Shop):
    day, locker = await shop.seated(3, 4), await shop.product()
    weekend = await shop.combo({day: 2, locker: 1})
    made = await _sold(shop, {weekend: 2})
    assert sorted(_seats(made)) == ["-", "-", "-", "-", "B1", "B2", "B3", "B4"]
    await _refused(shop, {weekend: 2}, (409, "INSUFFICIENT_PRODUCTS"))
    await _sold(shop, {weekend: 1})
    await check_conservation(shop.world)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_what_ends_an_order_frees_its_seats_and_writes_none_of_them(shop: Shop, end: str):
    uid = await shop.seated(2)
    first = await _sold(shop, {uid: 2})
    before = await shop.world.rows("seats")
    if end == "cancelled":
        assert (await cancel(shop.world, shop.caller, first["_links"]["self"]["href"])).status_code == 200
    else:
        shop.world.clock.now += timedelta(hours=1)
        await expire_due(shop.world.database.store, shop.world.clock(), at_most=10)
    assert await shop.world.rows("seats") == before
    second = await _sold(shop, {uid: 2})
    assert _seats(second) == ["A1", "A2"]
    old = (await shop.get(first["_links"]["self"]["href"])).json()
    assert (old["status"], _seats(old)) == (end, ["A1", "A2"])  # where it was
    await check_conservation(shop.world)


async def test_a_ticket_that_is_given_on_takes_its_seat_along(shop: Shop):
    uid = await shop.seated(3)
    order = await _sold(shop, {uid: 3})
    await shop.world.pay(order_id_of(order["uid"]))
    given = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]][1:]
    made = (await shop.post("/orders", {"tickets": given[::-1], "consumer": {}})).json()
    assert _seats(made) == ["A2", "A3"]
    await check_seats(shop.world)
    await _refused(shop, {uid: 1}, (409, "INSUFFICIENT_PRODUCTS"))
    assert (await cancel(shop.world, shop.caller, made["_links"]["self"]["href"])).status_code == 200
    assert _seats(await _sold(shop, {uid: 2})) == ["A2", "A3"]
    await check_seats(shop.world)


async def test_the_tickets_page_says_where_each_sits(shop: Shop):
    seated, standing = await shop.seated(1), await shop.product()
    order = await _sold(shop, {seated: 1, standing: 1})
    await shop.world.pay(order_id_of(order["uid"]))
    page = (await shop.world.http.get(order["_links"]["shop:etickets"]["href"])).text
    assert page.count("<dt>Seat</dt>") == 1
    assert "Stalls, row A, seat 1" in page


async def test_another_plan_keeps_who_sits_where_and_refuses_to_take_a_seat_away(shop: Shop):
    uid = await shop.seated(3, 3)
    order = await _sold(shop, {uid: 2})
    await shop.seat(uid, 2, 1, 4)
    await check_conservation(shop.world)
    assert await shop.left() == {uid: 5}
    assert _seats(await _sold(shop, {uid: 1})) == ["B1"]
    before = await contents(shop.world)
    for rows, said in [
        ((1, 7), "section Stalls, row A, seat 2"),
        ((), "more places sold"),
        ((1, 9, 9), "1 such seats"),
    ]:
        with pytest.raises(ConflictError, match=said) as refused:
            await shop.seat(uid, *rows)
        assert refused.value.code in {"seats_held", "more_held"}
        assert not changed(before, await contents(shop.world))
    await shop.seat(uid, 2, 1, 4)  # the same again
    assert not changed(before, await contents(shop.world))
    await cancel(shop.world, shop.caller, order["_links"]["self"]["href"])
    await shop.seat(uid, 1, 7)
    await check_conservation(shop.world)


async def test_a_product_of_which_tickets_are_held_without_a_seat_gets_no_plan(shop: Shop):
    uid = await shop.product(stock=2)
    order = await _sold(shop, {uid: 1})
    before = await contents(shop.world)
    with pytest.raises(ConflictError, match="1 valid tickets without a seat"):
        await shop.seat(uid, 2)
    assert not changed(before, await contents(shop.world))
    await cancel(shop.world, shop.caller, order["_links"]["self"]["href"])
    await shop.seat(uid, 2)
    assert _seats(await _sold(shop, {uid: 2})) == ["A1", "A2"]


async def test_a_captcha_is_a_string_and_verified_by_nobody(shop: Shop):
    uid = await shop.product()
    assert kind(await shop.order({uid: 1}, captcha=5)) == (400, "BAD_REQUEST")
    assert await shop.world.rows("orders") == []
    await _sold(shop, {uid: 1}, captcha="anything at all")
    (row,) = await shop.world.rows("order_details")
    assert "anything at all" not in row["details"]

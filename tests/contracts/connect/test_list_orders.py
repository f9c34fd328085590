"""A client's own orders, newest first, in pages (ours: the published contract has no list)."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState, Transition
from support.connect_calls import cancel
from support.shared_world import shared_sqlite_world, shared_world
from support.world import NOON, PUBLIC_URL, Caller, World

world = shared_world
sqlite_world = shared_sqlite_world

LIST = "/api/connect/orders"


def b64(text: bytes) -> str:
    return urlsafe_b64encode(text).decode()


async def listed(world: World, caller: Caller, query: str = "") -> httpx.Response:
    url = query if query.startswith("http") else f"{LIST}?{query}"
    return await world.http.get(url, headers=world.connect_headers(caller))


async def ids(world: World, caller: Caller, query: str = "") -> list[int]:
    answer = await listed(world, caller, query)
    assert answer.status_code == 200, answer.text
    return [order["id"] for order in answer.json()["orders"]]


async def pages(world: World, caller: Caller, query: str) -> AsyncIterator[list[int]]:
    """Each page, by following `next`."""
    answer = await listed(world, caller, query)
    while True:
        assert answer.status_code == 200, answer.text
        following = answer.json()["next"]
        assert answer.headers.get("link") == (None if following is None else f'<{following}>; rel="next"')
        yield [order["id"] for order in answer.json()["orders"]]
        if following is None:
            return
        assert following.startswith(f"{PUBLIC_URL}{LIST}?")
        answer = await listed(world, caller, following)


async def test_an_empty_list_is_a_page_without_orders(world: World):
    answer = await listed(world, await world.connect_client())
    assert (answer.status_code, answer.json()) == (200, {"orders": [], "next": None})


async def test_orders_are_shown_whole_and_the_newest_first(world: World):
    me = await world.connect_client()
    placed = []
    for _ in range(3):
        placed.append(await world.service_order(me, appointment_in=timedelta(hours=30)))
        world.clock.forward(seconds=1)
    answer = await listed(world, me)
    singly = [
        (await world.http.get(f"{LIST}/{order_id}", headers=world.connect_headers(me))).json()
        for order_id in reversed(placed)
    ]
    assert answer.json() == {"orders": singly, "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_leave_none_out_and_show_none_twice_where_many_are_of_one_instant(world: World, limit: int):
    me = await world.connect_client()
    placed = [await world.service_order(me) for _ in range(3)]
    world.clock.forward(microseconds=1)
    placed += [await world.service_order(me) for _ in range(4)]
    found = [page async for page in pages(world, me, f"limit={limit}")]
    assert [order_id for page in found for order_id in page] == placed[::-1]
    assert {len(page) for page in found[:-1]} <= {limit}
    assert 1 <= len(found[-1]) <= limit


async def test_what_is_placed_meanwhile_moves_no_page(world: World):
    me = await world.connect_client()
    placed = [await world.service_order(me) for _ in range(4)]
    found = []
    async for page in pages(world, me, "limit=2"):
        found += page
        await world.service_order(me)  # of the same instant, and newer by its number
    assert found == placed[::-1]


async def test_without_a_word_a_page_has_fifty(world: World):
    me = await world.connect_client()
    placed = [await world.service_order(me) for _ in range(51)]
    assert [page async for page in pages(world, me, "")] == [placed[:0:-1], placed[:1]]
    assert await ids(world, me, "limit=200") == placed[::-1]


async def test_nobody_sees_anothers_orders_not_even_with_anothers_cursor(world: World):
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    mine = [await world.service_order(me) for _ in range(3)]
    theirs = await world.service_order(stranger)
    await world.ticket_order(await world.shopping_client())
    following = (await listed(world, me, "limit=1")).json()["next"]
    assert await ids(world, me) == mine[::-1]
    assert await ids(world, stranger) == [theirs]
    assert await ids(world, stranger, following) == []


STATES = {
    OrderState.SUBMITTED: (),
    OrderState.ACCEPTED: (Transition.ACCEPT,),
    OrderState.IN_PROGRESS: (Transition.ACCEPT, Transition.START),
    OrderState.PAST_NO_RETURN: (Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN),
    OrderState.HELD: (Transition.HOLD,),
    OrderState.REJECTED: (Transition.REJECT,),
    OrderState.ACTIVATED: (Transition.ACCEPT, Transition.START, Transition.ACTIVATE),
}


async def test_orders_are_filtered_by_state_and_by_whether_that_may_be_cancelled(world: World):
    me = await world.connect_client()
    of_state = {state: await world.service_order(me, moves=moves) for state, moves in STATES.items()}
    of_state[OrderState.CANCELLED] = await world.service_order(me)
    assert (await cancel(world, me, {"orderId": of_state[OrderState.CANCELLED]})).status == 200
    assert set(of_state) == set(OrderKind.SERVICE.states)
    for state, order_id in of_state.items():
        assert await ids(world, me, f"status={state}") == [order_id]
        flag = state in CANCELLABLE_STATES
        assert await ids(world, me, f"status={state}&isCancellable={str(flag).lower()}") == [order_id]
        assert await ids(world, me, f"status={state}&isCancellable={str(not flag).lower()}") == []
    two = {of_state[OrderState.HELD], of_state[OrderState.ACTIVATED]}
    assert set(await ids(world, me, "status=held,activated")) == two
    assert set(await ids(world, me, "status=held&status=activated")) == two
    assert set(await ids(world, me, "status=held&status=activated,held&isCancellable=False")) == {
        of_state[OrderState.ACTIVATED]
    }
    can = {order_id for state, order_id in of_state.items() if state in CANCELLABLE_STATES}
    assert set(await ids(world, me, "isCancellable=true")) == can
    assert set(await ids(world, me, "isCancellable=True")) == set(await ids(world, me, "isCancellable=1")) == can
    assert set(await ids(world, me, "isCancellable=false")) == set(of_state.values()) - can


async def test_a_filter_goes_on_over_pages(world: World):
    me = await world.connect_client()
    held = []
    for _ in range(3):
        held.append(await world.service_order(me, moves=(Transition.HOLD,)))
        await world.service_order(me)
    assert [page async for page in pages(world, me, "status=held&limit=1")] == [[one] for one in held[::-1]]


async def test_a_filter_with_several_values_goes_on_over_pages(world: World):
    me = await world.connect_client()
    wanted = []
    for _ in range(2):
        wanted.append(await world.service_order(me, moves=(Transition.HOLD,)))
        wanted.append(await world.service_order(me, moves=(Transition.ACCEPT,)))
        await world.service_order(me)
    found = [page async for page in pages(world, me, "status=held&limit=1&status=accepted")]
    assert found == [[one] for one in wanted[::-1]]


async def test_orders_are_filtered_by_when_they_were_placed_to_the_microsecond(world: World):
    me = await world.connect_client()
    before, at, after = [], [], []
    for kept, moment in ((before, -1), (at, 0), (after, 1)):
        world.clock.now = NOON + timedelta(microseconds=moment)
        kept.append(await world.service_order(me))
    for noon in ("2026-11-21T12:00:00Z", "2026-11-21T23:00:00%2B11:00"):
        assert await ids(world, me, f"createdFrom={noon}") == [*after, *at]
        assert await ids(world, me, f"createdBefore={noon}") == before
        just_after = noon.replace(":00:00", ":00:00.000001", 1)
        assert await ids(world, me, f"createdFrom={noon}&createdBefore={just_after}") == at
        assert await ids(world, me, f"createdFrom={just_after}&createdBefore={noon}") == []


BAD: dict[str, list[str]] = {
    "limit": ["0", "201", "-1", "+1", "1.0", "x", "", "%D9%A3", "1" * 5000, "1e1"],
    "status": ["", "x", "submitted,", "SUBMITTED", "submitted;held", "pending", "completed"],
    "isCancellable": ["", "yes", "2", "truth"],
    "createdFrom": ["", "now", "2026-11-21", "2026-11-21T12:00:00", "0001-01-01T00:00:00%2B14:00", "%00"],
    "createdBefore": ["2026-11-21T12:00:00 11:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"],
    "cursor": ["", "x", "%00", "%FF", "AAAA", "MjAyNi0xMS0yMVQxMjowMDowMCAx", "MjAyNi0xMS0yMVQxMjowMDowMFogMA=="],
}


@pytest.mark.parametrize("name", BAD)
async def test_a_parameter_that_does_not_hold_is_named_with_its_value(sqlite_world: World, name: str):
    me = await sqlite_world.connect_client()
    for value in BAD[name]:
        answer = await listed(sqlite_world, me, f"{name}={value}")
        assert (value, answer.status_code) == (value, 422)
        (error,) = answer.json()["errors"]
        assert (error["code"], error["field"]) == ("invalid_field", name)
        assert error["message"].startswith(f"{name} must be ")
        assert len(error["message"]) < 250


async def test_all_parameters_that_do_not_hold_are_named_at_once(sqlite_world: World):
    me = await sqlite_world.connect_client()
    answer = await listed(sqlite_world, me, "&".join(f"{name}={values[1]}" for name, values in BAD.items()))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == list(BAD)


GOOD: dict[str, list[Any]] = {
    "limit": [1, 200],
    "createdFrom": ["0001-01-01T00:00:00Z", "2026-11-21T12:00:00.123456%2B11:00"],
    "createdBefore": ["9999-12-31T23:59:59Z"],
    "other": ["is left alone"],
    # A cursor may say any instant.
    "cursor": [b64(b"9999-12-31T23:59:59-14:00 1"), b64(b"2026-11-21T23:00:00+11:00 2")],
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_parameter_just_within_its_limits_holds(world: World, name: str):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    for value in GOOD[name]:
        assert await ids(world, me, f"{name}={value}") == [order_id]

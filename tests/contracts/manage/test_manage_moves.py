"""Advancing an order, and cancelling it on the customer's behalf."""

import asyncio
from datetime import timedelta
from typing import get_args

import pytest

from countermand.contracts.manage.messages import MoveName
from countermand.domain.orders.order_state import TRANSITIONS, OrderState, Transition
from support.connect_calls import cancel
from support.contracts import CONNECT
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, fields, manage, problem
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

_PATHS: dict[OrderState, tuple[Transition, ...]] = {
    OrderState.SUBMITTED: (),
    OrderState.ACCEPTED: (Transition.ACCEPT,),
    OrderState.IN_PROGRESS: (Transition.ACCEPT, Transition.START),
    OrderState.PAST_NO_RETURN: (Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN),
    OrderState.HELD: (Transition.HOLD,),
    OrderState.REJECTED: (Transition.REJECT,),
    OrderState.ACTIVATED: (Transition.ACCEPT, Transition.START, Transition.ACTIVATE),
}


@pytest.mark.parametrize("state", _PATHS)
async def test_an_order_takes_the_moves_of_its_state_and_no_other(world: World, state: OrderState):
    operator, me = await world.manage_client(), await world.connect_client()
    forbidden = [move for move in get_args(MoveName) if move not in TRANSITIONS[state]]
    order_id = await world.service_order(me, moves=_PATHS[state])
    before = await contents(world)
    for move in forbidden:
        answer = await manage(world, operator, "POST", f"{order_id}/moves", {"move": move})
        assert problem(answer) == (409, "move_not_allowed")
        assert state in answer.json()["detail"]
    assert not changed(before, await contents(world))
    for move, after in TRANSITIONS[state].items():
        if move is Transition.CANCEL:
            continue
        other = await world.service_order(me, moves=_PATHS[state])
        version = (await world.rows("orders", other))[0]["version"]
        answer = await manage(world, operator, "POST", f"{other}/moves", {"move": move})
        assert (answer.status_code, answer.json()) == (200, {"state": after, "version": version + 1})
        (row,) = await world.rows("orders", other)
        assert (row["state"], row["version"]) == (after, version + 1)
        told = [fact["kind"] for fact in await world.rows("outbox", other) if fact["order_version"] == version + 1]
        assert told == ["order.advanced"]


@pytest.mark.parametrize("state", _PATHS)
async def test_an_orders_life_is_told_move_by_move_until_it_is_cancelled_or_cannot_be(world: World, state: OrderState):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id = await world.service_order(me)
    for move in _PATHS[state]:
        assert (await manage(world, operator, "POST", f"{order_id}/moves", {"move": move})).status_code == 200
    can = Transition.CANCEL in TRANSITIONS[state]
    assert (await cancel(world, me, {"orderId": order_id})).status == (200 if can else 422)
    shown = (await manage(world, operator, "GET", f"{order_id}")).json()
    assert shown["state"] == ("cancelled" if can else state)
    assert (shown["cancellation"] is not None, len(shown["refusals"])) == (can, int(not can))
    kinds = ["order.placed", *["order.advanced"] * len(_PATHS[state]), *["order.cancelled"] * can]
    assert [(fact["kind"], fact["order_version"]) for fact in shown["facts"]] == [
        (kind, version) for version, kind in enumerate(kinds, start=1)
    ]
    if not can:
        return
    before = await contents(world)
    for move in get_args(MoveName):
        answer = await manage(world, operator, "POST", f"{order_id}/moves", {"move": move})
        assert problem(answer) == (409, "move_not_allowed")
    assert not changed(before, await contents(world))


async def test_every_move_but_cancelling_and_reopening_can_be_asked_for_by_name(world: World):
    assert {*get_args(MoveName), "cancel", "reopen"} == {move.value for move in Transition}
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    before = await contents(world)
    answer = await manage(world, operator, "POST", f"{order_id}/moves", {"move": "cancel"})
    assert fields(answer) == ["move"]
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("move", ["expire", "fail"])
async def test_an_order_that_ends_gives_back_tickets_stock_and_visit(world: World, move: str):
    operator = await world.manage_client()
    product = await world.product(stock=10)
    order = await world.ticket_order(await world.shopping_client(), product=product, quantity=4)
    await world.appointment(order.order.id, timedelta(hours=1))
    answer = await manage(world, operator, "POST", f"{order.order.uid}/moves", {"move": move})
    assert (answer.status_code, answer.json()["state"]) == (200, "expired" if move == "expire" else "failed")
    assert [row["availability"] for row in await world.rows("products")] == [10]
    assert [bool(row["valid"]) for row in await world.rows("tickets", order.order.id)] == [False] * 4
    assert [row["state"] for row in await world.rows("appointments", order.order.id)] == ["cancelled"]
    (row,) = await world.rows("orders", order.order.id)
    assert (row["appointment_starts_at"], row["version"]) == (None, 3)
    told = sorted(fact["kind"] for fact in await world.rows("outbox", order.order.id) if fact["order_version"] == 3)
    assert told == ["appointment.cancelled", {"expire": "order.expired", "fail": "order.advanced"}[move]]
    again = await manage(world, operator, "POST", f"{order.order.uid}/moves", {"move": move})
    assert problem(again) == (409, "move_not_allowed")
    assert [row["availability"] for row in await world.rows("products")] == [10]


async def test_an_order_expires_or_is_cancelled_never_both(world: World):
    operator, shop, product = await world.manage_client(), await world.shopping_client(), await world.product(stock=10)
    for number in range(6):
        order = await world.ticket_order(shop, product=product, quantity=5)
        calls = [
            manage(world, operator, "POST", f"{order.order.uid}/moves", {"move": "expire"}),
            manage(world, operator, "POST", f"{order.order.uid}/cancel", {"reason": "r"}),
        ]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert [row["availability"] for row in await world.rows("products")] == [10]


async def test_an_order_is_cancelled_on_behalf_and_it_is_kept_who_did_it_and_why(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    answer = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "asked by phone"})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    kept = answer.json()["cancellation"]
    assert (kept["door"], kept["client_id"], kept["reason"]) == ("manage", operator.client.id, "asked by phone")
    (row,) = await world.rows("cancellations", order_id)
    assert (row["door"], row["client_id"], row["contract"]) == ("manage", operator.client.id, "connect")
    assert [visit["state"] for visit in await world.rows("appointments", order_id)] == ["cancelled"]
    again = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "once more"})
    assert problem(again) == (409, "order_not_cancellable")
    (refusal,) = await world.rows("refusals", order_id)
    assert (refusal["door"], refusal["client_id"], refusal["reason"]) == ("manage", operator.client.id, "once more")


async def test_the_operator_is_held_to_the_26_hours_to_the_microsecond(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    world.clock.now = NOON + timedelta(hours=4)
    refused = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"})
    assert problem(refused) == (409, "appointment_within_notice")
    assert (await world.rows("orders", order_id))[0]["state"] == "submitted"
    world.clock.now -= timedelta(microseconds=1)
    assert (await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"})).status_code == 200


async def test_the_operator_is_held_to_payments_of_ticket_orders_and_not_of_telecom_orders(world: World):
    operator = await world.manage_client()
    tickets = await world.ticket_order(await world.shopping_client(), paid=True)
    telecom = await world.service_order(await world.connect_client())
    await manage(world, operator, "POST", f"{telecom}/payments", PAYMENT)
    refused = await manage(world, operator, "POST", f"{tickets.order.uid}/cancel", {"reason": "r"})
    assert problem(refused) == (409, "payment_recorded")
    assert (await world.rows("orders", tickets.order.id))[0]["state"] == "completed"
    assert (await manage(world, operator, "POST", f"{telecom}/cancel", {"reason": "r"})).status_code == 200


async def test_a_refusal_names_every_rule_that_refused(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(
        await world.connect_client(),
        appointment_in=timedelta(hours=2),
        moves=(Transition.ACCEPT, Transition.START, Transition.ACTIVATE),
    )
    refused = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"})
    assert [error["code"] for error in refused.json()["errors"]] == [
        "order_not_cancellable",
        "appointment_within_notice",
    ]
    assert await world.rows("cancellations") == []


async def test_the_owner_and_the_operator_at_once_cancel_it_once(world: World):
    operator, me = await world.manage_client(), await world.connect_client()
    for number in range(4):
        order_id = await world.service_order(me)
        calls = [
            world.http.post(
                "/api/connect/orders/cancel", json={"orderId": order_id}, headers=world.connect_headers(me)
            ),
            manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "r"}),
        ]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        assert [answer.status_code for answer in answers].count(200) == 1
        assert len(await world.rows("cancellations", order_id)) == 1
        kinds = [fact["kind"] for fact in await world.rows("outbox", order_id)]
        assert kinds.count("order.cancelled") == 1


def test_the_table_of_paths_starts_where_orders_open():
    assert _PATHS[CONNECT.kind.opening_state] == ()

from datetime import timedelta
from typing import Any

from countermand.domain.orders.order_state import Transition
from support.connect_calls import cancel, send
from support.contracts import CONNECT
from support.database_contents import contents
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world


async def test_it_says_yes_and_the_first_instant_of_no(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    before = await contents(world)
    said = await cancellability(world, me, order_id)
    assert said == {
        "orderId": order_id,
        "cancellable": True,
        "cancellableUntil": "2026-11-21T16:00:00Z",
        "decidedAt": "2026-11-21T12:00:00Z",
        "findings": [
            {
                "code": "order_not_cancellable",
                "passed": True,
                "message": "the order is submitted, which may be cancelled",
                "changesAt": None,
            },
            {
                "code": "appointment_within_notice",
                "passed": True,
                "message": "no active appointment starts within 26 hours",
                "changesAt": "2026-11-21T16:00:00Z",
            },
        ],
    }
    assert await contents(world) == before


async def test_what_it_says_is_what_a_cancel_then_gets_on_both_sides_of_the_limit(world: World):
    me = await world.connect_client()
    first, second = [await world.service_order(me, appointment_in=timedelta(hours=30)) for _ in range(2)]
    world.clock.forward(hours=4, microseconds=-1)
    assert (await cancellability(world, me, first))["cancellable"] is True
    assert (await cancel(world, me, {"orderId": first})).status == 200
    world.clock.forward(microseconds=1)
    assert (await cancellability(world, me, second))["cancellable"] is False
    assert (await cancel(world, me, {"orderId": second})).status == 422


async def test_a_no_has_every_finding_and_the_words_of_the_refusal(world: World):
    me = await world.connect_client()
    moves = (Transition.ACCEPT, Transition.START, Transition.ACTIVATE)
    order_id = await world.service_order(me, appointment_in=timedelta(hours=25), moves=moves)
    before = await contents(world)
    said = await cancellability(world, me, order_id)
    assert await contents(world) == before  # asking is no refusal, so none is recorded
    refusal = await cancel(world, me, {"orderId": order_id})
    assert (said["cancellable"], said["cancellableUntil"]) == (False, None)
    assert [finding["passed"] for finding in said["findings"]] == [False] * len(CONNECT.default_rules)
    assert [(one["code"], one["message"]) for one in said["findings"]] == [
        (one["code"], one["message"]) for one in refusal.errors
    ]


async def test_without_an_appointment_time_alone_never_makes_it_a_no(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    said = await cancellability(world, me, order_id)
    assert (said["cancellable"], said["cancellableUntil"]) == (True, None)
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    said = await cancellability(world, me, order_id)
    assert (said["cancellable"], said["cancellableUntil"]) == (False, None)


async def cancellability(world: World, caller: Caller, order_id: int) -> dict[str, Any]:
    path = f"/api/connect/orders/{order_id}/cancellability"
    reply = await send(world, "GET", path, world.connect_headers(caller).items())
    assert reply.status == 200
    return reply.json

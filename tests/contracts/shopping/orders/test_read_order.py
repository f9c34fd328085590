"""Reading one's order, and asking whether it may be cancelled."""

from typing import Any

import httpx
import pytest

from countermand.domain.client import Permission
from countermand.domain.orders.order_state import Transition
from support.database_contents import changed, contents
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import cancel, kind
from support.world import EVERYTHING, PUBLIC_URL, Caller, World

world = shared_world
sqlite_world = shared_sqlite_world

_CALLS = ("", "/cancellability")


async def test_an_order_reads_as_it_was_created(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me, paid=True)
    answer = await _get(world, me, str(order.order.uid))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    shown = answer.json()
    assert (shown["uid"], shown["reference"], shown["status"]) == (order.order.uid, order.order.reference, "completed")
    assert [ticket["valid"] for ticket in shown["_embedded"]["shop:ticket"]] == [True, True]
    assert shown["_links"]["shop:cancellability"]["href"] == f"{world.uri(order)}/cancellability"
    assert all(link["href"].startswith("http") for link in shown["_links"].values() if isinstance(link, dict))


@pytest.mark.parametrize("call", _CALLS)
async def test_what_is_not_ones_own_is_as_unknown_as_what_is_not_there(world: World, call: str):
    me, other = await world.shopping_client(), await world.shopping_client()
    foreign = str((await world.ticket_order(other)).order.uid)
    telecom = await world.service_order(await world.connect_client())
    before = await contents(world)
    answers = [
        await _get(world, me, uid + call)
        for uid in ["0" * 32, foreign, "0" * 31, "0" * 33, foreign.upper(), str(telecom), "%00" * 32, "é" * 32, "a%2Fb"]
    ]
    assert {kind(answer) for answer in answers} == {(404, "NOT_FOUND")}
    assert answers[0].content == answers[1].content
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("call", _CALLS)
async def test_reading_needs_credentials_and_the_permission(world: World, call: str):
    me = await world.shopping_client(permissions=EVERYTHING - {Permission.READ})
    order = await world.ticket_order(me)
    assert kind(await _get(world, me, f"{order.order.uid}{call}")) == (403, "FORBIDDEN")
    unknown = await world.http.get(f"/orders/{order.order.uid}{call}")
    assert (kind(unknown), unknown.headers["www-authenticate"][:5]) == ((401, "UNAUTHORIZED"), "Basic")


async def test_whoever_may_only_read_reads_and_cancels_nothing(world: World):
    me = await world.shopping_client(permissions=frozenset({Permission.READ}))
    order = await world.ticket_order(me)
    assert (await _get(world, me, str(order.order.uid))).status_code == 200
    assert kind(await cancel(world, me, world.uri(order))) == (403, "FORBIDDEN")


async def test_an_unpaid_order_may_be_cancelled_with_no_end_to_it(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    before = await contents(world)
    answer = await _get(world, me, f"{order.order.uid}/cancellability")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    said = answer.json()
    assert (said["cancellable"], said["cancellable_until"], said["decided_at"]) == (True, None, "2026-11-21T12:00:00Z")
    assert [finding["passed"] for finding in said["findings"]] == [True, True, True]
    assert said["_links"]["self"]["href"] == f"{PUBLIC_URL}/orders/{order.order.uid}/cancellability"
    assert said["_links"]["shop:order"]["href"] == world.uri(order)
    assert not changed(before, await contents(world))


_NOT_ANY_MORE: dict[str, tuple[str, set[str]]] = {
    "cancelled": ("CANCEL", {"ORDER_ALREADY_CANCELLED", "ORDER_NOT_CANCELLABLE"}),
    "paid": ("PAY", {"PAYMENT_RECORDED"}),
    "expired": ("EXPIRE", {"ORDER_NOT_CANCELLABLE"}),
    "failed": ("FAIL", {"ORDER_NOT_CANCELLABLE"}),
}


@pytest.mark.parametrize("what", _NOT_ANY_MORE)
async def test_why_not_is_said_rule_by_rule_before_anybody_tries(world: World, what: str):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    happened, broken = _NOT_ANY_MORE[what]
    match happened:
        case "CANCEL":
            await cancel(world, me, world.uri(order))
        case "PAY":
            await world.pay(order.order.id)
        case _:
            await world.advance(order.order.id, Transition[happened])
    before = await contents(world)
    said = (await _get(world, me, f"{order.order.uid}/cancellability")).json()
    assert (said["cancellable"], said["cancellable_until"]) == (False, None)
    assert {finding["code"] for finding in said["findings"] if not finding["passed"]} == broken
    assert len(said["findings"]) == 3
    assert not changed(before, await contents(world))
    assert (await cancel(world, me, world.uri(order))).status_code in {403, 409}


@pytest.mark.parametrize("path", ["/orders/{uid}", "/orders/{uid}/cancellability"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_an_order_is_only_read_at_its_address(sqlite_world: World, method: str, path: str):
    me = await sqlite_world.shopping_client()
    order = await sqlite_world.ticket_order(me)
    before = await contents(sqlite_world)
    answer = await sqlite_world.http.request(
        method, path.format(uid=order.order.uid), headers=sqlite_world.shopping_headers(me)
    )
    assert kind(answer) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET"
    assert not changed(before, await contents(sqlite_world))


async def _get(world: World, caller: Caller, rest: str) -> httpx.Response:
    headers: dict[str, Any] = {"Authorization": caller.basic}
    return await world.http.get(f"/orders/{rest}", headers=headers)

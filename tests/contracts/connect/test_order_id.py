from typing import Any

from countermand.domain.client import Permission
from support.connect_calls import Reply, cancel
from support.database_contents import contents
from support.shared_world import shared_both_worlds
from support.world import EVERYTHING, Caller, World

both_worlds = shared_both_worlds

NO_NUMBER = {
    "null": "null",
    '"1"': '"1"',
    '""': '""',
    "1.5": "1.5",
    "1.0": "1.0",
    "1e0": "1",
    "-0.0": "0.0",
    "true": "true",
    "false": "false",
    "[1]": "[1]",
    "[]": "[]",
    '{"id":1}': '{"id": 1}',
}


async def test_an_order_id_that_is_no_whole_number_is_422_that_names_field_and_value(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    assert await world.service_order(me) == 1
    before = await contents(world)
    for given, repeated in NO_NUMBER.items():
        reply = await cancel(world, me, f'{{"orderId":{given}}}'.encode())
        assert (given, reply.status) == (given, 422)
        assert (reply.error["code"], reply.error["field"]) == ("invalid_field", "orderId")
        assert reply.error["message"].startswith("orderId must be a whole number, not ")
        assert repeated in reply.error["message"]
    assert await contents(world) == before


async def test_a_missing_order_id_is_422_that_names_it(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    assert await world.service_order(me) == 1
    before = await contents(world)
    for body in (b"{}", b'{"orderid":1}', b'{"order_id":1}', b'{"order":{"orderId":1}}'):
        reply = await cancel(world, me, body)
        assert (body, reply.status) == (body, 422)
        assert reply.error == {"code": "invalid_field", "field": "orderId", "message": "orderId is missing"}
    assert await contents(world) == before


async def test_json_that_is_no_object_is_422_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    assert await world.service_order(me) == 1
    before = await contents(world)
    for body in (b"[]", b"1", b"null", b'"orderId"', b'[{"orderId":1}]', b"true"):
        reply = await cancel(world, me, body)
        assert (body, reply.status) == (body, 422)
        assert (reply.error["code"], reply.error["field"]) == ("invalid_field", "body")
    assert await contents(world) == before


async def test_fields_that_the_contract_does_not_know_are_ignored(both_worlds: World):
    me = await both_worlds.connect_client()
    order_id = await both_worlds.service_order(me)
    reply = await cancel(both_worlds, me, {"reason": None, "orderId": order_id, "ORDERID": "x"})
    assert reply.status == 200
    assert [row["state"] for row in await both_worlds.rows("orders", order_id)] == ["cancelled"]


NO_ORDER = [0, -0, -1, 999_999, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 + 1, -(2**63), -(2**63) - 1, 10**39, 10**399]


async def test_whatever_is_not_the_callers_order_is_to_the_byte_the_same_404(both_worlds: World):
    world = both_worlds
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    mine = await world.service_order(me)
    theirs = await world.service_order(stranger)
    cancelled = await world.service_order(stranger)
    await world.cancel(stranger, cancelled)
    tickets = await world.ticket_order(await world.shopping_client())
    may_not = await world.connect_client("may not", permissions=EVERYTHING - {Permission.CANCEL})
    their_own = await world.service_order(may_not)
    before = await contents(world)

    replies: dict[Any, Reply] = {number: await cancel(world, me, {"orderId": number}) for number in NO_ORDER}
    asked: dict[str, tuple[Caller, int]] = {
        "another's": (me, theirs),
        "another's cancelled": (me, cancelled),
        "the other contract's": (me, tickets.order.id),
        "without the permission": (may_not, their_own),
        "without the permission, another's": (may_not, mine),
        "without the permission, unknown": (may_not, 999_999),
    }
    replies |= {name: await cancel(world, caller, {"orderId": number}) for name, (caller, number) in asked.items()}

    unknown = replies[999_999]
    assert unknown.status == 404
    assert unknown.error == {
        "code": "not_found",
        "field": None,
        "message": "You are not authorised or the id provided does not exist",
    }
    assert {name: reply for name, reply in replies.items() if reply != unknown} == {}
    assert await contents(world) == before
    assert (await cancel(world, me, {"orderId": mine})).status == 200


async def test_with_and_without_the_front_everything_is_answered_alike(both_worlds: World):
    """Each way in is held to the same bytes, so that they cannot drift apart."""
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    cancelled = await cancel(world, me, {"orderId": order_id})
    assert cancelled.header_lines[-1] == ("content-length", "0")
    assert [name for name, _ in cancelled.header_lines][6:] == ["x-request-id", "content-length"]
    reply = await cancel(world, me, {"orderId": order_id}, headers={"X-Request-Id": "r-1"})
    assert [name for name, _ in reply.header_lines][6:] == ["content-type", "x-request-id", "content-length"]
    assert reply.headers["x-request-id"] == "r-1"
    assert reply.body == (
        b'{"errors":[{"code":"order_not_cancellable","field":"orderId",'
        b'"message":"the order is cancelled, which cannot be cancelled"}]}'
    )

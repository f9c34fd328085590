import json

import pytest
from sqlalchemy import TextClause, text

from countermand.domain.orders.order_state import Transition
from support.breakage import takes_nothing
from support.connect_calls import CANCEL, cancel, send
from support.database_contents import contents
from support.world import World

METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"]


async def test_another_method_is_405_with_allow_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    replies = {method: await cancel(world, me, {"orderId": order_id}, method=method) for method in METHODS}
    answers = {method: (reply.status, reply.headers.get("allow")) for method, reply in replies.items()}
    assert answers == dict.fromkeys(METHODS, (405, "POST"))
    del replies["HEAD"]  # whose body no server sends
    for method, reply in replies.items():
        assert reply.codes == ["method_not_allowed"]
        assert method in reply.error["message"]
    assert await contents(world) == before


JSON_TYPES = [
    None,
    "",
    "application/json",
    "APPLICATION/JSON",
    "application/json;charset=UTF-8",
    "application/json; charset=utf-8",
    'application/json ; Charset="UTF-8"',
    "application/json;charset=utf8",
    "application/json; profile=x",
]


async def test_json_in_utf_8_is_read_however_its_name_is_written(both_worlds: World):
    me = await both_worlds.connect_client()
    for media_type in JSON_TYPES:
        order_id = await both_worlds.service_order(me)
        reply = await cancel(both_worlds, me, {"orderId": order_id}, headers={"Content-Type": media_type})
        assert (media_type, reply.status) == (media_type, 200)
        assert len(await both_worlds.rows("cancellations", order_id)) == 1


OTHER_TYPES = [
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/hal+json",
    "application/jsonp",
    "application/json, application/json",
    "application/json;charset=iso-8859-1",
    "application/json; charset=utf-16",
    "json",
    "*/*",
    ";charset=utf-8",
    b"\xff",
]


async def test_another_media_type_is_415_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    for media_type in OTHER_TYPES:
        reply = await cancel(world, me, {"orderId": order_id}, headers={"Content-Type": media_type})
        assert (media_type, reply.status) == (media_type, 415)
        assert reply.codes == ["unsupported_media_type"]
    assert await contents(world) == before


async def test_a_body_that_is_not_json_is_400_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    assert await world.service_order(me) == 1
    before = await contents(world)
    for body in (b"", b" \n", b"{", b"orderId=1", b"{'orderId':1}", b'{"orderId":1,}', b"\x00"):
        reply = await cancel(world, me, body)
        assert (body, reply.status) == (body, 400)
        assert reply.error["code"] == "bad_request"
        assert reply.error["message"].startswith("the body is ")
    assert await contents(world) == before


async def test_each_check_speaks_only_when_those_before_it_are_content(both_worlds: World):
    """One request with everything wrong, put right step by step (connect decision 13)."""
    world = both_worlds
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    theirs = await world.service_order(stranger)
    mine = await world.service_order(me)
    for order_id in (theirs, mine):
        await world.advance(order_id, Transition.ACCEPT)
        await world.advance(order_id, Transition.START)
        await world.advance(order_id, Transition.ACTIVATE)
    free = await world.service_order(me)
    before = await contents(world)

    no_token = {"Authorization": "Bearer x", "X-API-VERSION": "9", "Content-Type": "text/plain"}
    wrong: list[tuple[str, dict[str, str], bytes, int, str]] = [
        ("PUT", no_token, b"{", 405, "method"),
        ("POST", no_token, b"{", 415, "application/json"),
        ("POST", {**no_token, "Content-Type": "application/json"}, b"{", 401, "bearer token"),
        ("POST", {"X-API-VERSION": "9"}, b"{", 400, "X-API-VERSION"),
        ("POST", {"X-API-VERSION": "7"}, b"{", 400, "not JSON"),
        ("POST", {}, b'{"orderId":1,"orderId":"x"}', 400, "twice"),
        ("POST", {}, b'{"orderId":"x"}', 422, "whole number"),
        ("POST", {}, _body(999_999), 404, "does not exist"),
        ("POST", {}, _body(theirs), 404, "does not exist"),
    ]
    for method, headers, body, status, said in wrong:
        reply = await cancel(world, me, body, headers=headers, method=method)
        assert (reply.status, said in reply.error["message"]) == (status, True), reply
        assert await contents(world) == before
    assert (await cancel(world, me, _body(mine))).status == 422
    assert (await cancel(world, me, _body(free))).status == 200


async def test_an_unexpected_failure_is_500_that_says_nothing_about_itself_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    async with world.database.store.transaction() as tx:
        await tx.run(_renamed("cancellations", "elsewhere"))
    reply = await cancel(world, me, {"orderId": order_id})
    assert reply.status == 500
    assert reply.error == {
        "code": "unexpected",
        "field": None,
        "message": "There was an unexpected error processing the request",
    }
    assert reply.headers["x-request-id"]
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["submitted"]
    async with world.database.store.transaction() as tx:
        await tx.run(_renamed("elsewhere", "cancellations"))
    assert (await cancel(world, me, {"orderId": order_id})).status == 200


@pytest.mark.parametrize(
    ("table", "moves"),
    [("cancellations", ()), ("refusals", (Transition.ACCEPT, Transition.START, Transition.ACTIVATE))],
)
async def test_a_decision_that_the_database_refuses_is_500_in_our_words_alone_and_changes_nothing(
    both_worlds: World, table: str, moves: tuple[Transition, ...]
):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=moves)
    await takes_nothing(world, table, "words of its own")
    before = await contents(world)
    reply = await cancel(world, me, {"orderId": order_id})
    assert (reply.status, reply.codes) == (500, ["unexpected"])
    assert "retry-after" not in reply.headers  # it would be refused again
    assert "words of its own" not in reply.error["message"]
    assert await contents(world) == before


async def test_an_address_that_is_none_is_404_in_the_contracts_own_words(both_worlds: World):
    reply = await send(both_worlds, "POST", CANCEL + "/it", [])
    assert reply.status == 404
    assert reply.codes == ["not_found"]


def _body(order_id: int) -> bytes:
    return json.dumps({"orderId": order_id}).encode()


def _renamed(table: str, other: str) -> TextClause:
    return text(f"ALTER TABLE {table} RENAME TO {other}")

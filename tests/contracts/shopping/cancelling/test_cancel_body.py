"""Which bodies ask for a cancellation, and what is said about the others?"""

import json
from typing import Any

import httpx

from support.database_contents import changed, contents
from support.shared_world import shared_both_worlds, shared_world
from support.shopping_calls import cancel, kind
from support.world import PUBLIC_URL, World

world = shared_world
both_worlds = shared_both_worlds

_UID = "87a2195h3gd162fb35c5a3dbd7bapo1l"
_MALFORMED = {
    "a number": 525743,
    "null": None,
    "a list": [f"{PUBLIC_URL}/orders/{_UID}"],
    "an object": {"href": f"{PUBLIC_URL}/orders/{_UID}"},
    "nothing": "",
    "the bare uid": _UID,
    "a path alone": f"/orders/{_UID}",
    "another host": f"http://evil.test/orders/{_UID}",
    "a host that begins alike": f"{PUBLIC_URL}.evil.test/orders/{_UID}",
    "somebody before the host": f"http://me@shop.test/orders/{_UID}",
    "a port": f"{PUBLIC_URL}:80/orders/{_UID}",
    "another scheme": f"https://shop.test/orders/{_UID}",
    "capital letters in the host": f"HTTP://SHOP.TEST/orders/{_UID}",
    "a query": f"{PUBLIC_URL}/orders/{_UID}?x=1",
    "an empty query": f"{PUBLIC_URL}/orders/{_UID}?",
    "a fragment": f"{PUBLIC_URL}/orders/{_UID}#top",
    "another resource": f"{PUBLIC_URL}/events/{_UID}",
    "something below it": f"{PUBLIC_URL}/orders/{_UID}/cancellability",
    "two trailing slashes": f"{PUBLIC_URL}/orders/{_UID}//",
    "no uid": f"{PUBLIC_URL}/orders/",
    "31 characters": f"{PUBLIC_URL}/orders/{_UID[:-1]}",
    "33 characters": f"{PUBLIC_URL}/orders/{_UID}0",
    "a capital letter": f"{PUBLIC_URL}/orders/{_UID[:-1].upper()}L",
    "a digit of another script": f"{PUBLIC_URL}/orders/{_UID[:-1]}٣",
    "a newline after it": f"{PUBLIC_URL}/orders/{_UID}\n",
    "a space before it": f" {PUBLIC_URL}/orders/{_UID}",
}


async def test_an_order_that_is_no_order_uri_is_400_with_the_field_and_its_value(both_worlds: World):
    me = await both_worlds.shopping_client()
    await both_worlds.ticket_order(me, uid=_UID)
    before = await contents(both_worlds)
    told = {what: _told(await cancel(both_worlds, me, order), order) for what, order in _MALFORMED.items()}
    assert told == dict.fromkeys(_MALFORMED, (400, "BAD_REQUEST", "order", "with its value"))
    assert not changed(before, await contents(both_worlds))


async def test_a_trailing_slash_is_tolerated_and_a_uid_need_not_be_hexadecimal(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me, uid=_UID)
    answer = await cancel(both_worlds, me, both_worlds.uri(order) + "/")
    assert (answer.status_code, answer.json()["uid"]) == (200, _UID)


_NO_REASON = {
    "null": None,
    "empty": "",
    "spaces": "  \t\n ",
    "a no-break space": "\u00a0",
    "a number": 7,
    "a list": ["r"],
}


async def test_a_reason_that_says_nothing_is_as_good_as_missing(both_worlds: World):
    me = await both_worlds.shopping_client()
    uri = both_worlds.uri(await both_worlds.ticket_order(me))
    before = await contents(both_worlds)
    told = {what: _told(await cancel(both_worlds, me, uri, reason), reason) for what, reason in _NO_REASON.items()}
    assert told == dict.fromkeys(_NO_REASON, (400, "BAD_REQUEST", "reason", "with its value"))
    assert not changed(before, await contents(both_worlds))


async def test_a_reason_may_have_2000_characters_and_not_one_more(both_worlds: World):
    me = await both_worlds.shopping_client()
    for letter in ["r", "é", "→", "\U0001f39f"]:
        order = await both_worlds.ticket_order(me)
        before = await contents(both_worlds)
        answer = await cancel(both_worlds, me, both_worlds.uri(order), letter * 2001)
        assert (kind(answer), [one["path"] for one in answer.json()["errors"]]) == ((400, "BAD_REQUEST"), ["reason"])
        assert not changed(before, await contents(both_worlds))
        assert (await cancel(both_worlds, me, both_worlds.uri(order), letter * 2000)).status_code == 200
        (cancellation,) = await both_worlds.rows("cancellations", order.order.id)
        assert cancellation["reason"] == letter * 2000


async def test_a_missing_field_is_named_and_both_are_when_both_are_missing(both_worlds: World):
    me = await both_worlds.shopping_client()
    uri = both_worlds.uri(await both_worlds.ticket_order(me))
    for body, missing in [
        ({"order": uri}, ["reason"]),
        ({"reason": "r"}, ["order"]),
        ({}, ["order", "reason"]),
        ({"uid": uri, "Reason": "r"}, ["order", "reason"]),
    ]:
        answer = await _post(both_worlds, me, json.dumps(body).encode())
        assert kind(answer) == (400, "BAD_REQUEST")
        assert [one["path"] for one in answer.json()["errors"]] == missing
    assert await both_worlds.rows("cancellations") == []


async def test_everything_wrong_with_a_body_is_said_at_once(both_worlds: World):
    me = await both_worlds.shopping_client()
    answer = await cancel(both_worlds, me, "https://evil.test/orders/1", "   ")
    assert kind(answer) == (400, "BAD_REQUEST")
    assert sorted(one["path"] for one in answer.json()["errors"]) == ["order", "reason"]


async def test_fields_that_nobody_asked_for_are_ignored(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    body = {"order": both_worlds.uri(order), "reason": "r", "refund": True, "tickets": [1], "Order": None}
    answer = await _post(both_worlds, me, json.dumps(body).encode())
    assert answer.status_code == 200
    assert "reason" not in answer.json()


_NOT_JSON = {
    "nothing": b"",
    "half a body": b'{"order": "http://shop.test',
    "the page's single quotes": b"{'order': 'http://shop.test/orders/x', 'reason': 'r'}",
    "a trailing comma": b'{"order": "x", "reason": "r",}',
    "a form": b"order=x&reason=r",
    "NaN": b'{"order": NaN, "reason": "r"}',
    "bytes that are no text": b'{"order": "\xff", "reason": "r"}',
    "a byte order mark": b'\xef\xbb\xbf{"order": "x", "reason": "r"}',
    "a NUL": b'{"order": "x", "reason": "a\\u0000b"}',
    "half a surrogate pair": b'{"order": "x", "reason": "\\ud800"}',
    "a key twice": b'{"order": "x", "order": "y", "reason": "r"}',
    "brackets without end": b"[" * 60_000,
    "a number of 5000 digits": b'{"order": %s, "reason": "r"}' % (b"9" * 5000),
    "a list": b'["order", "reason"]',
    "null": b"null",
    "a string": b'"order"',
}


async def test_a_body_that_is_no_json_object_is_400_and_does_nothing(both_worlds: World):
    me = await both_worlds.shopping_client()
    await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    told = {what: kind(await _post(both_worlds, me, body)) for what, body in _NOT_JSON.items()}
    assert told == dict.fromkeys(_NOT_JSON, (400, "BAD_REQUEST"))
    assert not changed(before, await contents(both_worlds))


async def test_a_body_may_have_64_kib_and_not_one_byte_more(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    body = json.dumps({"order": both_worlds.uri(order), "reason": "r"}).encode()
    before = await contents(both_worlds)
    assert kind(await _post(both_worlds, me, body.ljust(64 * 1024 + 1))) == (413, "PAYLOAD_TOO_LARGE")
    assert not changed(before, await contents(both_worlds))
    assert (await _post(both_worlds, me, body.ljust(64 * 1024))).status_code == 200


_JSON = (
    None,
    "",
    "application/json",
    "application/hal+json",
    "Application/JSON; charset=UTF-8",
    'application/json;charset="utf-8"',
)
_NO_JSON_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin-1",
    "application/jsonp",
    "json",
)


async def test_json_is_read_under_its_names_and_under_none(both_worlds: World):
    me = await both_worlds.shopping_client()
    told = {}
    for given in _JSON:
        order = await both_worlds.ticket_order(me)
        body = json.dumps({"order": both_worlds.uri(order), "reason": "r"}).encode()
        told[given] = (await _post(both_worlds, me, body, given)).status_code
    assert told == dict.fromkeys(_JSON, 200)


async def test_another_media_type_is_415_and_does_nothing(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    body = json.dumps({"order": both_worlds.uri(order), "reason": "r"}).encode()
    told = {given: kind(await _post(both_worlds, me, body, given)) for given in _NO_JSON_TYPES}
    assert told == dict.fromkeys(_NO_JSON_TYPES, (415, "UNSUPPORTED_MEDIA_TYPE"))
    assert not changed(before, await contents(both_worlds))


async def _post(world: World, me: Any, body: bytes, media_type: str | None = "application/json") -> httpx.Response:
    headers = {"Authorization": me.basic} | ({} if media_type is None else {"Content-Type": media_type})
    return await world.http.post("/ordercancellation/", content=body, headers=headers)


def _told(answer: httpx.Response, value: Any) -> tuple[int, str, str, str]:
    """Status, type, the one field named, and whether its sentence repeats the value (cut short)."""
    (error,) = answer.json()["errors"]
    assert error["code"] == "INVALID_FIELD"
    assert error["message"] in answer.json()["message"]
    repeated = error["path"] in error["message"] and json.dumps(value)[:50] in error["message"]
    return *kind(answer), error["path"], "with its value" if repeated else error["message"]

import json
from pathlib import Path

from support.connect_calls import send
from support.shared_world import shared_both_worlds, shared_world
from support.world import World

world = shared_world
both_worlds = shared_both_worlds

GOLDEN = Path(__file__).parent / "golden"


async def test_the_printed_request_is_answered_as_printed(both_worlds: World):
    world = both_worlds
    method, path, printed_headers, body = printed_request()
    claims = claims_as_printed(world)
    me = await world.connect_client(claims["clientId"])
    order_id = await world.service_order(me)
    assert json.loads(body) == {"orderId": order_id} == {"orderId": 1}

    # The printed token has expired, and who holds its signing key is not us: ours has its claims and another signature.
    assert world.claims(me.subject, **claims).keys() == claims.keys()
    token = world.token(me, **claims)
    headers = [(name, value.replace("<token>", token)) for name, value in printed_headers]
    reply = await send(world, method, path, headers, body)

    status, expected = printed_response()
    assert reply.status == status == 200
    ours = [("x-request-id", reply.headers["x-request-id"]), ("content-length", "0")]
    assert list(reply.header_lines) == [*expected, *ours]
    assert reply.body == b""
    assert "content-type" not in reply.headers
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert len(await world.rows("cancellations", order_id)) == 1


def test_the_printed_request_is_the_one_the_page_describes():
    method, path, headers, body = printed_request()
    named = {name.lower(): value for name, value in headers}
    assert (method, path, body) == ("POST", "/api/connect/orders/cancel", b'{"orderId":1}')
    assert named["content-type"] == "application/json;charset=UTF-8"
    assert named["x-api-version"] == "7"
    assert named["content-length"] == "13" == str(len(body))


def printed_request() -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Our transcription of the page's request: method, path, headers, body."""
    head, body = (GOLDEN / "request.txt").read_bytes().split(b"\n\n")
    first, *lines = head.decode().splitlines()
    method, path, version = first.split(" ")
    assert version == "HTTP/1.1"
    return method, path, [(name, value) for name, value in (line.split(": ", 1) for line in lines)], body


def printed_response() -> tuple[int, list[tuple[str, str]]]:
    """Our transcription of the page's answer: status and headers. The page prints no body."""
    first, *lines = (GOLDEN / "response.txt").read_text().splitlines()
    return int(first.split(" ")[1]), [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]


def claims_as_printed(world: World) -> dict[str, str | int]:
    """The claims of the page's token, moved to the test's time."""
    printed = json.loads((GOLDEN / "token-claims.json").read_text())
    later_s = int(world.clock().timestamp()) - printed["iat"]
    return {**printed, "exp": printed["exp"] + later_s, "iat": printed["iat"] + later_s}

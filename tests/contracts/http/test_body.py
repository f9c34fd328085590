import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from countermand.actions.errors import FieldsError
from countermand.contracts.connect.messages import CancelRequest
from countermand.contracts.connect.translate import SIX_HEADERS as SAID_SIX
from countermand.contracts.http.answer import MalformedRequestError
from countermand.contracts.http.body import BODY_CAP_BYTES, decode, read, shown
from countermand.contracts.shopping.messages import CancelRequest as ShoppingCancelRequest
from support.connect_calls import CANCEL, SIX_HEADERS, Reply, send
from support.database_contents import contents
from support.shared_world import shared_both_worlds, shared_world
from support.world import World

world = shared_world
both_worlds = shared_both_worlds

CONTRACTS = ["connect", "shopping"]


@dataclass(frozen=True)
class Prepared:
    """A contract's cancel call, ready to be sent with any body."""

    world: World
    path: str
    headers: dict[str, str]
    good: bytes  # a body that cancels
    order_id: int
    field: str  # the body's field that names the order
    named: str  # what it names the order by, as JSON
    check: Callable[[Reply], None]

    async def send(self, *pieces: bytes, announced: bool = True, **more: str) -> Reply:
        length = {"Content-Length": str(sum(map(len, pieces)))} if announced else {"Transfer-Encoding": "chunked"}
        headers = self.headers | length | {name.replace("_", "-"): value for name, value in more.items()}
        return await send(self.world, "POST", self.path, headers.items(), *pieces)


# Bodies that are no JSON, or JSON that nobody should believe. Each is a 400 on both contracts. ORDER stands for what
# names the order, FIELD for the field that does: the call would cancel it, were the body believed.
NOT_TO_BE_BELIEVED: dict[str, bytes] = {
    "empty": b"",
    "spaces": b" \r\n\t ",
    "a lone NUL": b"\0",
    "cut off": b'{"FIELD":ORDER',
    "trailing garbage": b'{"FIELD":ORDER,"reason":"x"}x',
    "a second document": b'{"FIELD":ORDER,"reason":"x"}{}',
    "a trailing comma": b'{"FIELD":ORDER,"reason":"x",}',
    "single quotes": b"{'FIELD':1,'reason':'x'}",
    "a comment": b'{"FIELD":ORDER,"reason":"x"/* */}',
    "an unquoted name": b'{FIELD:ORDER,"reason":"x"}',
    "the field twice": b'{"FIELD":ORDER,"reason":"x","FIELD":ORDER}',
    "the field twice, once escaped": b'{"FIELD":ORDER,"reason":"x","\\u00ESCAPED":ORDER}',
    "an unknown field twice": b'{"FIELD":ORDER,"reason":"x","a":1,"a":1}',
    "a field twice further in": b'{"FIELD":ORDER,"reason":"x","a":[{"b":{"c":1,"c":2}}]}',
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"FIELD":ORDER,"reason":"x"}',
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a byte order mark further in": b'{\xef\xbb\xbf"FIELD":ORDER,"reason":"x"}',
    "UTF-16": b"\xff\xfe{\0}\0",
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "bad UTF-8": b'{"FIELD":ORDER,"reason":"\xff"}',
    "UTF-8 cut off": b'{"FIELD":ORDER,"reason":"\xc3"}',
    "UTF-8 too long": b'{"FIELD":ORDER,"reason":"\xc0\x80"}',
    "a surrogate in UTF-8": b'{"FIELD":ORDER,"reason":"\xed\xa0\x80"}',
    "a bare NUL": b'{"FIELD":ORDER,"reason":"a\0b"}',
    "a bare line end": b'{"FIELD":ORDER,"reason":"a\nb"}',
    "an escaped NUL": b'{"FIELD":ORDER,"reason":"a\\u0000b"}',
    "an escaped NUL in a name": b'{"FIELD":ORDER,"reason":"x","a\\u0000":1}',
    "an escaped NUL in an unknown field": b'{"FIELD":ORDER,"reason":"x","a":[{"b":"\\u0000"}]}',
    "a lone high surrogate": b'{"FIELD":ORDER,"reason":"a\\ud800b"}',
    "a lone low surrogate": b'{"FIELD":ORDER,"reason":"a\\udfffb"}',
    "surrogates the wrong way round": b'{"FIELD":ORDER,"reason":"\\ude00\\ud83d"}',
    "a lone surrogate in a name": b'{"FIELD":ORDER,"reason":"x","\\udc00":1}',
    "deep brackets": b"[" * 60_000,
    "deep braces": b'{"a":' * 12_000,
    "deep and whole": b'{"FIELD":ORDER,"reason":"x","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "one level deeper than is read": b'{"FIELD":ORDER,"reason":"x","a":' + b"[" * 64 + b"1" + b"]" * 64 + b"}",
    "NaN": b'{"FIELD":NaN,"reason":"x"}',
    "Infinity": b'{"FIELD":Infinity,"reason":"x"}',
    "-Infinity": b'{"FIELD":ORDER,"reason":"x","a":-Infinity}',
    "401 digits": b'{"FIELD":' + b"1" * 401 + b',"reason":"x"}',
    "60,000 digits": b'{"FIELD":' + b"9" * 60_000 + b',"reason":"x"}',
    "401 digits after the point": b'{"FIELD":0.' + b"1" * 401 + b',"reason":"x"}',
    "1e999999": b'{"FIELD":1e999999,"reason":"x"}',
    "1e-999999": b'{"FIELD":1e-999999,"reason":"x"}',
    "an exponent beyond all decimals": b'{"FIELD":1e9999999999999999999,"reason":"x"}',
    "an exponent below all decimals": b'{"FIELD":-1E-9999999999999999999,"reason":"x"}',
    "nothing, with an absurd exponent": b'{"FIELD":ORDER,"reason":"x","a":0e9999999999999999999}',
    "an exponent of 300 digits": b'{"FIELD":ORDER,"reason":"x","a":1e' + b"9" * 300 + b"}",
    "a number with a plus": b'{"FIELD":+1,"reason":"x"}',
    "a number with a zero in front": b'{"FIELD":01,"reason":"x"}',
    "other digits": '{"FIELD":\u0661,"reason":"x"}'.encode(),
    "hexadecimal": b'{"FIELD":0x1,"reason":"x"}',
}


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_body_that_is_not_to_be_believed_is_400_in_the_contracts_words_and_changes_nothing(
    both_worlds: World, contract: str
):
    call = await prepared(both_worlds, contract)
    before = await contents(both_worlds)
    replies = {name: await call.send(_filled(template, call)) for name, template in NOT_TO_BE_BELIEVED.items()}
    for reply in replies.values():
        call.check(reply)
        assert len(reply.body) < 1000
    assert {name: reply.status for name, reply in replies.items() if reply.status != 400} == {}
    assert await contents(both_worlds) == before
    assert (await call.send(call.good)).status == 200


@pytest.mark.parametrize("name", NOT_TO_BE_BELIEVED)
def test_the_sentence_says_what_is_wrong_with_a_body_and_can_be_printed(name: str):
    with pytest.raises(MalformedRequestError) as raised:
        decode(NOT_TO_BE_BELIEVED[name].replace(b"ORDER", b"1").replace(b"ESCAPED", b"46IELD"))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_odd_json_that_says_what_is_meant_is_believed(both_worlds: World, contract: str):
    for more in [
        b'"\\ud83d\\ude00":"\\ud83d\\ude00"',  # two surrogates that are one character
        b'"a":' + b"9" * 400,
        b'"a":1e400',
        b'"a":1e-400',
        b'"a":-0.0e0',
        b'"a":' + b"[" * 63 + b"1" + b"]" * 63,
        b'"":"\\\\u0000"',  # a backslash and letters, not a NUL
        b'"a":{"FIELD":1},"b":{"FIELD":2}',  # the same name in two objects is no name twice
    ]:
        call = await prepared(both_worlds, contract)
        reply = await call.send(b"\r\n\t " + call.good.replace(b"{", b"{" + _filled(more, call) + b",", 1) + b" \n")
        assert (more, reply.status) == (more, 200)
        assert len(await both_worlds.rows("cancellations", call.order_id)) == 1


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_byte_order_mark_before_the_json_is_read_over(both_worlds: World, contract: str):
    call = await prepared(both_worlds, contract)
    assert (await call.send(b"\xef\xbb\xbf" + call.good)).status == 200
    assert len(await both_worlds.rows("cancellations", call.order_id)) == 1


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("announced", [True, False], ids=["with Content-Length", "chunked"])
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_413(
    both_worlds: World, contract: str, pieces: int, *, announced: bool
):
    call = await prepared(both_worlds, contract)
    assert BODY_CAP_BYTES == 65_536
    before = await contents(both_worlds)
    reply = await call.send(*_pieces(call.good.ljust(65_537), pieces), announced=announced)
    assert reply.status == 413
    call.check(reply)
    assert await contents(both_worlds) == before
    reply = await call.send(*_pieces(call.good.ljust(65_536), pieces), announced=announced)
    assert reply.status == 200
    assert len(await both_worlds.rows("cancellations", call.order_id)) == 1


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("announced", ["65537", "9" * 30, "9" * 5000])
async def test_a_body_announced_as_too_large_is_413_unread(both_worlds: World, contract: str, announced: str):
    call = await prepared(both_worlds, contract)
    before = await contents(both_worlds)
    reply = await call.send(call.good, Content_Length=announced)
    assert reply.status == 413
    call.check(reply)
    assert await contents(both_worlds) == before


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_body_that_grows_past_what_was_announced_is_413(both_worlds: World, contract: str):
    call = await prepared(both_worlds, contract)
    before = await contents(both_worlds)
    reply = await call.send(*[b" " * 10_000] * 7, Content_Length="13")
    assert reply.status == 413
    call.check(reply)
    assert await contents(both_worlds) == before


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("message", [CancelRequest, ShoppingCancelRequest])
def test_at_no_depth_does_nesting_raise_anything_but_our_errors(message: Any, opening: bytes):
    """Near the interpreter's limit, whatever walks the value has a little less room than the reader had."""
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    limit = sys.getrecursionlimit()
    for depth in (1, 2, 100, *range(limit - 200, limit + 20)):
        nested = opening * depth + b"1" + closing * depth
        for body in (b'{"orderId":%b}' % nested, b'{"order":%b,"reason":"x"}' % nested, nested):
            with suppress(MalformedRequestError, FieldsError):
                read(message, decode(body))
                raise AssertionError(f"{body[:40]!r}, {depth} deep, was taken for a message")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | anything.map(lambda value: json.dumps(value).encode())
    | st.text(alphabet='{}[]",:\\u0d81e+-.natrufs \n', max_size=60).map(str.encode)
)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(body=bodies)
async def test_any_bytes_as_a_body_are_a_4xx_in_the_contracts_words_and_change_nothing(call: Prepared, body: bytes):
    before = await contents(call.world)
    reply = await call.send(body)
    assert 400 <= reply.status < 500
    call.check(reply)
    assert await contents(call.world) == before


@few
@given(value=anything | st.text(max_size=80).map(lambda text: f"http://shop.test/orders/{text}"))
async def test_any_json_value_as_the_order_is_a_4xx_in_the_contracts_words_and_changes_nothing(
    call: Prepared, value: Any
):
    assume(json.dumps(value) != call.named)
    before = await contents(call.world)
    reply = await call.send(json.dumps({call.field: value, "reason": "x"}).encode())
    assert 400 <= reply.status < 500
    call.check(reply)
    assert await contents(call.world) == before


@settings(max_examples=300, deadline=None)
@given(body=bodies)
def test_whatever_is_read_can_be_written_as_json_and_read_again(body: bytes):
    decoded = None
    with suppress(MalformedRequestError):
        decoded = decode(body)
    again = json.dumps(decoded, default=str, ensure_ascii=False).encode()  # so it has no lone surrogate
    assert b"\\u0000" not in again.replace(b"\\\\", b"")
    assert json.loads(again) == json.loads(json.dumps(decoded, default=str))


@pytest_asyncio.fixture(params=CONTRACTS, loop_scope="module")
async def call(world: World, request: pytest.FixtureRequest) -> Prepared:
    return await prepared(world, request.param)


async def prepared(world: World, contract: str) -> Prepared:
    """A new order, with its owner's call to cancel it."""
    if contract == "connect":
        subject = f"partner {next(world._numbers)}"
        me = await world.connect_client(subject)
        order_id = await world.service_order(me)
        good = b'{"orderId":%d}' % order_id
        headers = world.connect_headers(me)
        return Prepared(world, CANCEL, headers, good, order_id, "orderId", str(order_id), _check_connect)
    shop = await world.shopping_client()
    view = await world.ticket_order(shop)
    named = json.dumps(world.uri(view))
    good = f'{{"order":{named},"reason":"x"}}'.encode()
    headers = world.shopping_headers(shop)
    return Prepared(world, "/ordercancellation/", headers, good, view.order.id, "order", named, _check_shopping)


def _check_connect(reply: Reply) -> None:
    assert reply.errors
    assert {name.decode(): value.decode() for name, value in SAID_SIX} == SIX_HEADERS


def _check_shopping(reply: Reply) -> None:
    types = {400: "BAD_REQUEST", 404: "NOT_FOUND", 413: "PAYLOAD_TOO_LARGE", 500: "UNKNOWN_ERROR"}
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["type"] == types[reply.status]
    assert reply.json["message"]


def _filled(template: bytes, call: Prepared) -> bytes:
    """The template with the field and the order's name in their places."""
    field = call.field.encode()
    escaped = b"%02x" % field[0] + field[1:]
    return template.replace(b"ESCAPED", escaped).replace(b"FIELD", field).replace(b"ORDER", call.named.encode())


def _pieces(body: bytes, number: int) -> list[bytes]:
    size = -(-len(body) // number)
    return [body[start : start + size] for start in range(0, len(body), size)]


def test_an_error_repeats_a_number_as_a_number_and_a_string_as_a_string():
    assert (shown(decode(b"1.50")), shown(decode(b'"1.50"'))) == ("1.50", '"1.50"')

"""A body that is compressed, or in another encoding than UTF-8, is told as what it is."""

import gzip
import json
import zlib

import pytest

from countermand.actions.errors import NotAuthenticatedError
from countermand.contracts.http.answer import (
    MalformedRequestError,
    UnsupportedMediaTypeError,
    check_media_type,
    error_headers,
)
from countermand.contracts.http.body import decode
from support.world import World

BODY = '{"orderId":1,"reason":"caf\u00e9"}'
GZIP = "the body is compressed with gzip; send it uncompressed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(BODY.encode(), mtime=0), GZIP),
        (b"\x28\xb5\x2f\xfd\x04\x00", "the body is compressed with zstd; send it uncompressed"),
        (BODY.encode("utf-16"), "the body is UTF-16, not UTF-8; encode it as UTF-8"),
        (BODY.encode("utf-16-le"), "the body is UTF-16, not UTF-8; encode it as UTF-8"),
        (BODY.encode("utf-16-be"), "the body is UTF-16, not UTF-8; encode it as UTF-8"),
        (BODY.encode("utf-32"), "the body is UTF-32, not UTF-8; encode it as UTF-8"),
        (BODY.encode("utf-32-be"), "the body is UTF-32, not UTF-8; encode it as UTF-8"),
        (BODY.encode("latin-1"), "the body is Latin-1, not UTF-8: byte 26 is wrong; encode it as UTF-8"),
        (b'{"a":"\x85"}', "the body is not UTF-8: byte 6 is wrong"),
        (BODY.encode()[:-3], "the body is not UTF-8: byte 26 is wrong"),  # cut off within a character
        (b"\0\0", "the body is not JSON: Expecting value at byte 0"),
    ],
)
def test_the_sentence_says_how_the_body_is_encoded(body: bytes, said: str):
    with pytest.raises(MalformedRequestError) as raised:
        decode(body)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"content-encoding": "gzip"}, GZIP),
        ({"content-encoding": " GZIP "}, GZIP),
        ({"content-encoding": "br"}, "the body is compressed with br; send it uncompressed"),
        ({"content-encoding": "a\tb\xff"}, "the body is compressed with 'a\\tb\xff'; send it uncompressed"),
        ({"content-type": "application/json; charset=UTF-16"}, "the body must be in UTF-8, not in utf-16"),
        ({"content-type": 'application/json;charset="iso-8859-1"'}, "the body must be in UTF-8, not in iso-8859-1"),
        (
            {"content-type": "text/xml; charset=utf-8"},
            "the body must be application/json, not 'text/xml; charset=utf-8'",
        ),
    ],
)
def test_a_header_that_says_so_is_415(headers: dict[str, str], said: str):
    with pytest.raises(UnsupportedMediaTypeError) as raised:
        check_media_type({name.encode(): value.encode("latin-1") for name, value in headers.items()})
    assert str(raised.value) == said


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-encoding": b"identity"},
        {b"content-encoding": b""},
        {b"content-type": b"application/json;charset=utf8"},
    ],
)
def test_a_header_that_says_nothing_else_is_taken(headers: dict[bytes, bytes]):
    check_media_type(headers)


def test_only_a_compressed_body_is_answered_with_the_encoding_that_is_taken():
    assert error_headers(UnsupportedMediaTypeError(compression="gzip"), scheme="") == (
        (b"accept-encoding", b"identity"),
    )
    assert error_headers(UnsupportedMediaTypeError("text/xml"), scheme="") == ()
    assert error_headers(NotAuthenticatedError("x"), scheme="") == ()


async def test_both_contracts_and_the_operators_api_say_it_and_do_nothing(both_worlds: World):
    world = both_worlds
    partner, shop, operator = await world.connect_client(), await world.shopping_client(), await world.manage_client()
    order_id = await world.service_order(partner)
    calls = {
        "/api/connect/orders/cancel": world.connect_headers(partner),
        "/api/connect/orders/create": world.connect_headers(partner),
        "/ordercancellation/": world.shopping_headers(shop),
        "/orders": world.shopping_headers(shop),
        f"/manage/v1/orders/connect-{order_id}/cancel": world.manage_headers(operator),
    }
    whole = json.dumps({"orderId": order_id}).encode()
    for path, headers in calls.items():
        packed = headers | {"Content-Encoding": "deflate"}
        answer = await world.http.post(path, headers=packed, content=zlib.compress(whole))
        assert (path, answer.status_code, answer.headers.get("accept-encoding")) == (path, 415, "identity")
        assert "compressed with deflate" in answer.text, path
        answer = await world.http.post(path, headers=headers, content=gzip.compress(whole, mtime=0))
        assert (path, answer.status_code, GZIP in answer.text) == (path, 400, True)
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["submitted"]

"""The short cut answers as the server's own code does, byte for byte, whatever is sent and however it is split."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from support.in_memory import END_OF_SENDING
from support.short_cut_beside import CONNECT, OUTCOMES, REFUSED, Both, both_ways, post

LARGEST_BODY = 64 * 1024

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    async with both_ways(tmp_path_factory.mktemp("short")) as made:
        yield made


Make = Callable[[Both], bytes]
PLAIN_GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
# By name: what is sent, and how many of its requests take the short cut if it comes whole.
CONVERSATIONS: dict[str, tuple[Make, int]] = {
    "connect": (post, 1),
    "shopping": (lambda both: post(both, shopping=True), 1),
    "shopping without the slash": (lambda both: post(both, shopping=True, path=b"/ordercancellation"), 1),
    **{
        f"connect, outcome {number}": (lambda both, number=number: post(both, order=number), 1)
        for number in (*OUTCOMES, REFUSED)
    },
    "connect under a key": (lambda both: post(both, b"Idempotency-Key: k"), 1),
    "connect under two keys": (lambda both: post(both, b"Idempotency-Key: k", b"idempotency-key: l"), 0),
    "two at once": (lambda both: post(both) * 2, 1),
    "three of three kinds": (lambda both: post(both) + post(both, shopping=True) + PLAIN_GET, 1),
    "another call first": (lambda both: PLAIN_GET + post(both), 0),
    "expects 100": (lambda both: post(both, b"Expect: 100-continue"), 0),
    "chunked": (
        lambda both: post(
            both,
            b"Transfer-Encoding: chunked",
            length=False,
            body=b'4\r\n{"or\r\n9\r\nderId":1}\r\n0\r\n\r\n',
        ),
        0,
    ),
    "wants to close": (lambda both: post(both, b"Connection: close"), 0),
    "wants to close, and sends more": (lambda both: post(both, b"Connection: close") + post(both), 0),
    "wants to stay": (lambda both: post(both, b"Connection: keep-alive"), 1),
    "HTTP/1.0": (lambda both: post(both, version=b"1.0"), 0),
    "HTTP/1.0 that wants to stay": (lambda both: post(both, b"Connection: keep-alive", version=b"1.0"), 0),
    "HTTP/2.0": (lambda both: post(both, version=b"2.0"), 0),
    "no body": (lambda both: post(both, body=b""), 1),
    "no length": (lambda both: post(both, body=b"", length=False), 0),
    "a length that is none": (lambda both: post(both, b"Content-Length: abc", length=False), 0),
    "a length with a sign": (lambda both: post(both, b"Content-Length: +13", length=False), 0),
    "two lengths": (lambda both: post(both, b"Content-Length: 3"), 0),
    "a length of many digits": (lambda both: post(both, b"Content-Length: 000000013", length=False), 0),
    "a field twice": (lambda both: post(both, b"x-api-version: 7"), 0),
    "an upgrade": (
        lambda both: post(both, b"Connection: upgrade", b"Upgrade: h2c"),
        1,
    ),  # it is parsed once more, without the upgrade
    "an upgrade after a usual one": (
        lambda both: post(both) + post(both, b"Connection: upgrade", b"Upgrade: h2c"),
        1,
    ),
    "a query": (lambda both: post(both, path=CONNECT + b"?x=1"), 0),
    "a percent in the path": (lambda both: post(both, path=b"/api/connect/orders/c%61ncel"), 0),
    "a whole address": (lambda both: post(both, path=b"http://x" + CONNECT), 0),
    "GET": (lambda both: post(both).replace(b"POST", b"GET", 1), 0),
    "HEAD": (lambda both: post(both).replace(b"POST", b"HEAD", 1), 0),
    "OPTIONS": (lambda both: post(both).replace(b"POST", b"OPTIONS", 1), 0),
    "a method that is none": (lambda both: post(both).replace(b"POST", b"POSH", 1), 0),
    "an id of its own": (lambda both: post(both, b"X-Request-Id: mine"), 1),
    "an id that is none": (lambda both: post(both, b"X-Request-Id: two words"), 1),
    "an old version": (lambda both: post(both).replace(b"VERSION: 7", b"VERSION: 1"), 1),
    "no version": (lambda both: post(both).replace(b"X-API-VERSION: 7\r\n", b""), 1),
    "another media type": (lambda both: post(both).replace(b"application/json", b"text/plain"), 0),
    "HAL": (lambda both: post(both, shopping=True).replace(b"application/json", b"application/hal+json"), 1),
    "compressed": (lambda both: post(both, b"Content-Encoding: gzip"), 0),
    "no credentials": (lambda both: post(both).replace(b"Authorization", b"X-None"), 0),
    "wrong credentials": (lambda both: post(both).replace(b"Bearer ey", b"Bearer ez"), 0),
    "credentials of the other scheme": (lambda both: post(both, authorization=both.shop.basic.encode()), 0),
    "a wrong secret": (lambda both: post(both, shopping=True, authorization=b"Basic a2V5OnNlY3JldA=="), 0),
    "garbage behind": (lambda both: post(both) + b"\x00\x01garbage\r\n\r\n", 1),
    "empty lines between": (lambda both: post(both) + b"\r\n\r\n" + post(both), 1),
    **{
        f"body {body!r}": (lambda both, body=body: post(both, body=body), 1)
        for body in (
            b'{"orderId":',
            b'{"orderId":1,"orderId":2}',
            b'{"orderId":01}',
            b'{"orderId":-1}',
            b'{"orderId":1.0}',
            b'{"orderId":1e2}',
            b'{"orderId":true}',
            b'{"orderId":99999999999999999999}',
            b'\xef\xbb\xbf{"orderId":1}',
            b'{"orderId":1}\x0b',
            b'{"orderId":1,"x":2}',
            b'{"orderId":"1"}',
            b" [ ] ",
        )
    },
    **{
        f"reason {reason!r}": (
            lambda both, reason=reason: post(
                both, shopping=True, body=b'{"order":"%b","reason":"%b"}' % (both.uri.encode(), reason.encode())
            ),
            1,
        )
        for reason in ("   ", "x" * 300, "a\\u0041", "\x7f", '\\"q', "é", "\t", "")
    },
}
# What is too long to be split at every byte.
LARGE: dict[str, tuple[Make, int]] = {
    "twenty at once": (lambda both: post(both) * 20, 1),
    "the largest body": (lambda both: post(both, body=b'{"orderId":1}'.ljust(LARGEST_BODY)), 1),
    "a body that is too large": (lambda both: post(both, body=b'{"orderId":1}'.ljust(LARGEST_BODY + 1)), 0),
    "a body that is announced as too large": (lambda both: post(both, b"Content-Length: 99999999", length=False), 0),
    "a hundred fields": (lambda both: post(both, *(b"x-%d: y" % number for number in range(95))), 1),
    "a hundred and one fields": (lambda both: post(both, *(b"x-%d: y" % number for number in range(96))), 0),
    "a head that is too large": (
        lambda both: post(both, b"x: " + b"y" * 66_000),
        1,
    ),  # it is whole when its size is noticed
}


@pytest.mark.parametrize("name", [*CONVERSATIONS, *LARGE])
async def test_a_conversation_is_the_same_with_the_short_cut_and_without_it(both: Both, name: str):
    make, wanted = (CONVERSATIONS | LARGE)[name]
    sent = make(both)
    both.taken.clear()
    back, _ = await both.alike([sent])
    assert back.startswith(b"HTTP/1.1 ")
    assert len(both.taken) == wanted
    half, _ = await both.alike([sent, END_OF_SENDING])
    assert half
    pieces = [sent[at : at + 1000] for at in range(0, len(sent), 1000)]
    await both.alike(pieces)


@pytest.mark.long
@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_a_conversation_is_the_same_wherever_its_bytes_are_split(both: Both, name: str):
    sent = CONVERSATIONS[name][0](both)
    with capture_logs():  # to write out the traceback of a bug takes longer than all the rest
        for at in places(sent):
            await both.alike([sent[:at], sent[at:]])
        await both.alike([sent[at : at + 1] for at in range(len(sent))])


@pytest.mark.parametrize("shopping", [False, True])
async def test_a_client_that_ends_its_sending_anywhere_gets_the_same(both: Both, *, shopping: bool):
    sent = post(both, shopping=shopping)
    for at in places(sent):
        await both.alike([sent[:at], END_OF_SENDING])


def places(sent: bytes) -> Iterator[int]:
    """Every place to split, but of the long inside of a token only some."""
    begin = sent.find(b"Bearer ") + 20
    end = sent.find(b"\r\n", begin) - 20
    for at in range(1, len(sent)):
        if not (begin < at < end) or at % 101 == 0:
            yield at

"""One connection, byte for byte: what ends a request, what is a header, and what is answered in which order."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from countermand.web.http_protocol import FIELDS_CAP, HEAD_CAP_BYTES
from support.one_server import OneServer, an_answer, answers, left, one_server

# As Java's HttpClient sends it by default, where nobody asked for HTTP/1.1 alone.
JDK = (
    b"POST /ordercancellation/ HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 13\r\n"
    b"Host: 127.0.0.1\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
    b'User-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n{"orderId":1}'
)
WITH_LENGTH = (
    b'POST /a HTTP/1.1\r\nHost: x\r\nconnection: upgrade\r\nUPGRADE: %b\r\nContent-Length: 13\r\n\r\n{"orderId":1}'
)
CHUNKED = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
    b'6\r\n{"orde\r\n7;x=y\r\nrId":1}\r\n0\r\nX-Trailer: 1\r\n\r\n'
)
UPGRADES = {
    "java": JDK,
    **{f"{name}-length": WITH_LENGTH % name.encode() for name in ("h2c", "websocket", "TLS/1.2", "foo")},
    **{f"{name}-chunked": CHUNKED % name.encode() for name in ("h2c", "websocket", "TLS/1.2", "foo")},
}
PLAIN = b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[OneServer]:
    async with one_server() as running:
        yield running
        assert running.errors == []


@pytest.mark.parametrize("sent", UPGRADES.values(), ids=UPGRADES)
async def test_a_request_with_an_upgrade_ends_where_its_length_says_wherever_its_bytes_are_split(
    server: OneServer, sent: bytes
):
    for position in range(1, len(sent)):
        server.cut = lambda data, at=position: [piece for piece in (data[:at], data[at:]) if piece]
        reader, writer = await server.connect()
        writer.write(sent + PLAIN)
        (status, _, body), (after, _, _) = await answers(reader, 2)
        writer.write_eof()
        assert (status, json.loads(body)["body"], after, await left(reader)) == (200, '{"orderId":1}', 200, b"")
    assert [heard.path for heard in server.heard[1::2]] == ["/after"] * (len(sent) - 1)
    assert all(heard.is_whole for heard in server.heard)
    assert len(server.heard) == 2 * (len(sent) - 1)


@pytest.mark.parametrize("sent", UPGRADES.values(), ids=UPGRADES)
async def test_a_body_that_comes_after_its_upgrade_is_never_a_request_of_its_own(server: OneServer, sent: bytes):
    head, body = sent.split(b"\r\n\r\n", 1)
    reader, writer = await server.connect()
    writer.write(head + b"\r\n\r\n")
    await server.until(lambda: server.heard)  # the application has begun before the body comes
    writer.write(body)
    assert (await an_answer(reader))[0] == 200
    writer.write_eof()
    assert await left(reader) == b""
    assert [heard.body for heard in server.heard] == [b'{"orderId":1}']


async def test_every_field_but_the_upgrade_reaches_the_application_as_it_was_sent(server: OneServer):
    reader, writer = await server.connect()
    writer.write(JDK)
    await an_answer(reader)
    sent = [line.split(": ", 1) for line in JDK.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]]
    assert server.heard[0].headers == [(name.lower(), value) for name, value in sent if name != "Upgrade"]


async def test_requests_with_an_upgrade_are_answered_in_order_when_sent_at_once(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"".join(UPGRADES.values()) + PLAIN)
    told = await answers(reader, len(UPGRADES) + 1)
    assert [status for status, _, _ in told] == [200] * len(told)
    assert [heard.path for heard in server.heard] == ["/ordercancellation/", *["/a"] * 8, "/after"]


async def test_what_follows_a_connect_is_no_request(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n" + PLAIN)
    status, headers, _ = await an_answer(reader)
    assert (status, headers["connection"], await left(reader), server.heard) == (501, "close", b"", [])


@pytest.mark.parametrize("cut", [1, 7, 100_000])
async def test_what_follows_a_chunked_body_is_no_header(server: OneServer, cut: int):
    server.cut = lambda data: [data[at : at + cut] for at in range(0, len(data), cut)]
    reader, writer = await server.connect()
    chunked = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    writer.write(chunked + b"Authorization: Basic YTpi\r\nX-Other: 1\r\n\r\n" + PLAIN)
    assert [status for status, _, _ in await answers(reader, 2)] == [200, 200]
    assert server.heard[0].headers == [("host", "x"), ("transfer-encoding", "chunked")]
    assert server.heard[0].body == b"a"
    assert server.heard[1].headers == [("host", "x")]


@pytest.mark.parametrize("cut", [1, 7, 100_000])
async def test_a_client_that_wants_to_close_after_the_body_is_not_left_without_an_answer(server: OneServer, cut: int):
    server.cut = lambda data: [data[at : at + cut] for at in range(0, len(data), cut)]
    reader, writer = await server.connect()
    chunked = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    writer.write(chunked + b"Connection: close\r\n\r\n" + PLAIN)
    status, headers, _ = await an_answer(reader)
    assert (status, headers["connection"], await left(reader)) == (200, "close", b"")
    assert len(server.heard) == 1


@pytest.mark.parametrize("beside", [b"a" * 100, b"x-%d: 1\r\n", b""], ids=["one field", "many fields", "extension"])
async def test_what_stands_around_a_body_is_bounded(server: OneServer, beside: bytes):
    reader, writer = await server.connect()
    writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    writer.write(b"1;" if not beside else b"0\r\n" + (b"X-Long: " if beside[0] == ord("a") else b""))
    more = b"".join(beside % number for number in range(5)) if b"%" in beside else beside or b"e" * 100
    for _ in range(HEAD_CAP_BYTES // len(more) + 1):
        writer.write(more)
    status, headers, body = await an_answer(reader)
    assert (status, headers["connection"]) == (400, "close")
    assert b"nothing was done" in body
    assert await left(reader) == b""
    assert [heard.is_whole for heard in server.heard] == [False]


async def test_small_chunks_leave_no_more_room_for_what_follows_them(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 60_000)
    writer.write(b"0\r\nX: " + b"x" * (HEAD_CAP_BYTES + 40_000))
    assert (await an_answer(reader))[0] == 400
    assert await left(reader) == b""


async def test_a_body_as_large_as_may_be_can_come_byte_by_byte(server: OneServer):
    reader, writer = await server.connect()
    writer.write(
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 65_536 + b"0\r\n\r\n"
    )
    assert (await an_answer(reader))[0] == 200
    assert server.heard[0].body == b"a" * 65_536


def head_of(number_of_bytes: int) -> bytes:
    around = len(b"GET /a HTTP/1.1\r\nX: \r\n\r\n")
    return b"GET /a HTTP/1.1\r\nX: " + b"x" * (number_of_bytes - around) + b"\r\n\r\n"


async def test_a_head_has_64_kib_at_most(server: OneServer):
    reader, writer = await server.connect()
    writer.write(head_of(HEAD_CAP_BYTES))
    assert (await an_answer(reader))[0] == 200
    writer.write(head_of(HEAD_CAP_BYTES + 20_000))
    status, headers, body = await an_answer(reader)
    assert (status, headers["connection"]) == (431, "close")
    assert b"65536 bytes" in body
    assert await left(reader) == b""
    assert len(server.heard) == 1


async def test_a_head_has_100_fields_at_most(server: OneServer):
    reader, writer = await server.connect()
    for number, wanted in ((FIELDS_CAP, 200), (FIELDS_CAP + 1, 431)):
        writer.write(b"GET /a HTTP/1.1\r\n" + b"x: 1\r\n" * number + b"\r\n")
        assert (await an_answer(reader))[0] == wanted
    assert [len(heard.headers) for heard in server.heard] == [100]


async def test_empty_lines_between_requests_are_bounded(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"\r\n" * 10 + PLAIN)
    assert (await an_answer(reader))[0] == 200
    writer.write(b"\r\n" * HEAD_CAP_BYTES)
    assert (await an_answer(reader))[0] == 431
    assert await left(reader) == b""


async def test_requests_that_come_faster_than_they_are_answered_wait_in_the_client(server: OneServer):
    server.go.clear()
    reader, writer = await server.connect()
    number = 50_000
    writer.write(PLAIN * number)
    await server.until(lambda: server.heard)
    await asyncio.sleep(0.05)
    (protocol,) = server.protocols
    assert len(protocol.pipeline) <= 1_000
    server.go.set()
    largest = 0
    for _ in range(number):
        assert (await an_answer(reader))[0] == 200
        largest = max(largest, len(protocol.pipeline))
    assert len(server.heard) == number
    assert largest <= 1_000


@pytest.mark.parametrize("ends", [False, True], ids=["stays", "ends its sending"])
async def test_a_long_body_that_came_together_with_the_requests_before_it_is_not_waited_for(
    server: OneServer, *, ends: bool
):
    long = b"POST /long HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"a" * 60_000
    reader, writer = await server.connect()
    writer.write(PLAIN + PLAIN + long + PLAIN)
    if ends:
        writer.write_eof()
    told = await answers(reader, 4)
    assert [status for status, _, _ in told] == [200] * 4
    assert [len(heard.body) for heard in server.heard] == [0, 0, 60_000, 0]


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /a HTTP/1.1\r\nno colon\r\n\r\n"],
)
@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("ends", [False, True], ids=["stays", "ends its sending"])
async def test_what_is_no_request_is_refused_after_the_requests_before_it_are_answered(
    server: OneServer, garbage: bytes, before: int, *, ends: bool
):
    server.go.clear()
    reader, writer = await server.connect()
    writer.write(PLAIN * before + garbage)
    if ends:
        writer.write_eof()
    await server.until(lambda: server.heard)
    await asyncio.sleep(0.02)
    server.go.set()
    told = await answers(reader, before + 1)
    assert [status for status, _, _ in told] == [200] * before + [400]
    assert told[-1][1]["connection"] == "close"
    assert await left(reader) == b""
    assert len(server.heard) == before


@pytest.mark.parametrize("target", [b"http://x:99999/a", b"/a\xc3\xa9", b"?a"], ids=["port", "letter", "no path"])
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_an_address_that_is_none_is_refused_and_takes_no_answer_with_it(
    server: OneServer, target: bytes, before: int
):
    reader, writer = await server.connect()
    writer.write(PLAIN * before + b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    told = await answers(reader, before + 1)
    assert [status for status, _, _ in told] == [200] * before + [400]
    assert await left(reader) == b""


async def test_an_address_without_a_path_is_that_of_the_root(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await an_answer(reader))[0] == 200
    assert [heard.path for heard in server.heard] == ["/"]


async def test_a_body_that_breaks_off_into_garbage_is_refused_and_never_whole(server: OneServer):
    reader, writer = await server.connect()
    writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nnot a size\r\n")
    assert (await an_answer(reader))[0] == 400
    assert await left(reader) == b""
    assert [heard.is_whole for heard in server.heard] == [False]


@pytest.mark.parametrize("number", [1, 2, 3_000])
async def test_a_client_that_ends_its_sending_is_answered(server: OneServer, number: int):
    server.go.clear()
    reader, writer = await server.connect()
    writer.write(PLAIN * number)
    writer.write_eof()
    await server.until(lambda: server.heard)
    await asyncio.sleep(0.02)
    server.go.set()
    told = await answers(reader, number)
    assert [status for status, _, _ in told] == [200] * number
    assert await left(reader) == b""


async def test_a_request_that_was_not_whole_when_its_client_ended_is_not_answered_and_those_before_it_are(
    server: OneServer,
):
    server.go.clear()
    reader, writer = await server.connect()
    writer.write(PLAIN + b"POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    writer.write_eof()
    await server.until(lambda: server.heard)
    await asyncio.sleep(0.02)
    server.go.set()
    assert (await an_answer(reader))[0] == 200
    assert await left(reader) == b""
    assert [heard.path for heard in server.heard if heard.is_whole] == ["/after"]


async def test_an_answer_before_the_end_of_its_request_ends_the_connection_and_the_rest_is_no_request(
    server: OneServer,
):
    server.reads_bodies = False
    reader, writer = await server.connect()
    writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * len(PLAIN)))
    status, headers, _ = await an_answer(reader)
    assert (status, headers["connection"]) == (200, "close")
    assert "keep-alive" not in headers
    writer.write(PLAIN * 2 + PLAIN)
    assert await left(reader) == b""
    assert len(server.heard) == 1


async def test_what_a_client_sends_after_the_last_answer_does_not_cost_it_its_answers(server: OneServer):
    server.answer = b"x" * 100_000  # more than the client's side takes before it is read
    reader, writer = await server.connect(slow=True)
    writer.write(PLAIN + b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await server.until(server.protocols[0].transport.is_closing)
    for _ in range(20):
        writer.write(PLAIN)
        await asyncio.sleep(0.002)
    received = await reader.read()
    assert (received.count(b"HTTP/1.1 200 OK\r\n"), received.count(b"x" * 100_000)) == (2, 2)
    assert len(server.heard) == 2


@pytest.mark.parametrize("pipelined", [1, 5])
async def test_a_client_that_is_gone_before_its_answer_is_no_error(server: OneServer, pipelined: int):
    server.go.clear()
    server.answer = b"x" * 300_000
    for end in ("close", "abort"):
        _, writer = await server.connect()
        before = len(server.heard)
        writer.write(PLAIN * pipelined)
        await server.until(lambda before=before: len(server.heard) > before)
        writer.close() if end == "close" else writer.transport.abort()
    await asyncio.sleep(0.02)
    server.go.set()
    await server.until(lambda: all(protocol.transport.is_closing() for protocol in server.protocols))
    await asyncio.sleep(0.02)
    assert server.errors == []


async def test_a_client_that_is_gone_when_its_connection_is_closed_is_no_error(server: OneServer):
    server.go.clear()
    own = socket.create_connection(("127.0.0.1", server.port))
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    own.sendall(PLAIN + PLAIN)
    await server.until(lambda: server.protocols and server.protocols[0].flow.read_paused)
    own.close()
    server.protocols[0].transport.close()
    await server.until(lambda: not server.connections_open())


@pytest.mark.parametrize(("version", "asked_for"), [("1.1", True), ("1.0", False)])
async def test_only_a_client_that_knows_it_is_asked_for_its_body(server: OneServer, version: str, *, asked_for: bool):
    reader, writer = await server.connect()
    writer.write(b"POST /a HTTP/%b\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n" % version.encode())
    await server.until(lambda: server.heard)
    await asyncio.sleep(0.02)
    writer.write(b"a")
    if asked_for:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await an_answer(reader))[0] == 200


async def test_an_answer_says_how_long_the_connection_stays_open_unless_it_does_not():
    async with one_server(idle_s=75) as server:
        reader, writer = await server.connect()
        writer.write(PLAIN)
        assert (await an_answer(reader))[1]["keep-alive"] == "timeout=75"
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert "keep-alive" not in (await an_answer(reader))[1]
        assert await left(reader) == b""


SHORT = {"idle_s": 75, "head_s": 20, "body_s": 30, "write_s": 30}
HALF_HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\nX: "
HALF_BODY = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@pytest.mark.parametrize("used", [False, True], ids=["silent", "between requests"])
async def test_an_idle_connection_is_closed_without_a_word_and_not_a_moment_early(*, used: bool):
    async with one_server(**SHORT) as server:
        reader, writer = await server.connect()
        if used:
            writer.write(PLAIN)
            await an_answer(reader)
        server.now_s += 0.9  # after the last look
        writer.write(PLAIN)
        assert (await an_answer(reader))[0] == 200
        server.pass_by(75)
        await asyncio.sleep(0)
        assert server.connections_open() == 1
        server.pass_by(0.1)
        assert await left(reader) == b""
        assert server.counts.closed == {"idle": 1}


@pytest.mark.parametrize(("sent", "limit_s", "why"), [(HALF_HEAD, 20, "head"), (HALF_BODY, 30, "body")])
async def test_half_a_request_is_answered_and_let_go_after_its_time(sent: bytes, limit_s: float, why: str):
    async with one_server(**SHORT) as server:
        reader, writer = await server.connect()
        writer.write(sent)
        await server.until(lambda: server.protocols[0].waits_for().value == why)
        server.pass_by(limit_s - 0.1)
        assert server.counts.closed == {}
        server.pass_by(0.1)
        status, headers, body = await an_answer(reader)
        assert (status, headers["connection"]) == (408, "close")
        assert b"nothing was done; send it again" in body
        assert await left(reader) == b""
        assert server.counts.closed == {why: 1}
        assert [heard.is_whole for heard in server.heard] == [False] * len(server.heard)
        assert server.errors == []


async def test_bytes_that_trickle_in_do_not_renew_the_time_of_a_head():
    async with one_server(**SHORT) as server:
        reader, writer = await server.connect()
        writer.write(HALF_HEAD)
        for _ in range(20):
            await server.until(lambda: server.protocols[0].waits_for().value == "head")
            writer.write(b"x")
            await asyncio.sleep(0)
            server.pass_by(1)
        assert (await an_answer(reader))[0] == 408


async def test_a_request_that_takes_long_to_answer_is_waited_for():
    async with one_server(**SHORT) as server:
        server.go.clear()
        reader, writer = await server.connect()
        writer.write(PLAIN)
        await server.until(lambda: server.heard)
        server.pass_by(10_000)
        server.go.set()
        assert (await an_answer(reader))[0] == 200
        assert server.counts.closed == {}


async def test_half_a_request_behind_one_under_way_is_refused_after_that_one_is_answered():
    async with one_server(**SHORT) as server:
        server.go.clear()
        reader, writer = await server.connect()
        writer.write(PLAIN + HALF_HEAD)
        await server.until(lambda: server.heard)
        server.pass_by(20)
        server.go.set()
        assert [status for status, _, _ in await answers(reader, 2)] == [200, 408]
        assert await left(reader) == b""


async def test_a_body_that_had_to_wait_behind_other_requests_has_its_time_from_then_on():
    async with one_server(**SHORT) as server:
        server.go.clear()
        reader, writer = await server.connect()
        writer.write(PLAIN + PLAIN + HALF_BODY)
        await server.until(lambda: server.heard and server.protocols[0].flow.read_paused)
        server.pass_by(100)
        writer.write(b"a" * 99)
        server.go.set()
        await server.until(lambda: server.protocols[0].waits_for() is not None)
        server.pass_by(29.9)
        assert [status for status, _, _ in await answers(reader, 3)] == [200] * 3
        assert server.counts.closed == {}


async def test_a_client_that_takes_nothing_of_its_answer_is_let_go_and_a_slow_one_is_not():
    async with one_server(**SHORT) as server:
        server.answer = b"x" * 20_000_000
        reader, writer = await server.connect(slow=True)
        writer.write(PLAIN)
        protocol = server.protocols[0]
        await server.until(protocol.transport.unsent_bytes)
        for _ in range(5):  # takes a little in each half minute
            server.pass_by(29)
            unsent = protocol.transport.unsent_bytes()
            while protocol.transport.unsent_bytes() >= unsent:
                await reader.read(1_000_000)
        server.pass_by(0)
        assert server.counts.closed == {}
        server.pass_by(29.9)
        assert server.counts.closed == {}
        server.pass_by(0.1)
        assert server.counts.closed == {"write": 1}
        assert len(await left(reader)) < 20_000_000
        await server.until(lambda: not server.connections_open())


@pytest.mark.parametrize(("waits_s", "wanted"), [(0, 200), (29, 200), (30, 408)], ids=["early", "late", "too late"])
async def test_a_client_that_does_not_close_after_its_last_answer_is_cut_off(waits_s: float, wanted: int):
    async with one_server(**SHORT) as server:
        server.reads_bodies = False
        server.go.clear()
        reader, writer = await server.connect()
        writer.write(HALF_BODY)
        await server.until(lambda: server.heard)
        server.pass_by(waits_s)
        server.go.set()
        assert (await an_answer(reader))[0] == wanted
        for _ in range(2):
            server.pass_by(0.95)
            await asyncio.sleep(0)
            assert server.connections_open() == 1
        server.pass_by(0.1)
        await server.until(lambda: not server.connections_open())
        assert server.counts.closed == ({} if wanted == 200 else {"body": 1})


async def test_at_the_cap_those_that_waited_longest_without_a_request_make_room():
    async with one_server(cap=3) as server:
        server.go.clear()
        busy, ask = await server.connect()
        ask.write(PLAIN)
        await server.until(lambda: server.heard)
        server.pass_by(1)
        older, half = await server.connect()
        half.write(HALF_HEAD)
        await server.until(lambda: server.protocols[1].waits_for().value == "head")
        server.pass_by(1)
        newer, _ = await server.connect()
        _, third = await server.connect()
        assert await left(older) == b""
        assert not newer.at_eof()
        third.write(PLAIN)
        server.go.set()
        assert (await an_answer(busy))[0] == 200
        assert server.counts.closed == {"evicted": 1}
        server.pass_by(0)
        assert server.counts.open == 3


async def test_at_the_cap_a_newcomer_is_refused_where_every_connection_has_a_request_under_way():
    async with one_server(cap=2) as server:
        server.go.clear()
        for number in (1, 2):
            _, writer = await server.connect()
            writer.write(PLAIN)
            await server.until(lambda number=number: len(server.heard) == number)
        reader, _ = await server.connect()
        status, headers, _ = await an_answer(reader)
        assert (status, headers["connection"], await left(reader)) == (503, "close", b"")
        assert server.counts.closed == {"refused": 1}
        server.go.set()
        await server.until(lambda: all(protocol.waits_for() is not None for protocol in server.protocols[:2]))
        server.pass_by(1)  # after the next sweep there is room again
        reader, writer = await server.connect()
        writer.write(PLAIN)
        assert (await an_answer(reader))[0] == 200
        assert server.counts.closed == {"refused": 1, "evicted": 1}


async def test_at_the_cap_few_that_may_go_are_looked_for_once_between_two_sweeps():
    async with one_server(cap=200) as server:
        server.go.clear()
        for _ in range(199):
            _, writer = await server.connect()
            writer.write(PLAIN)
        await server.until(lambda: len(server.heard) == 199)
        for wanted in ({}, {"evicted": 1}, {"evicted": 1, "refused": 1}):
            await server.connect()
            assert server.counts.closed == wanted
        server.pass_by(1)
        await server.connect()
        assert server.counts.closed == {"evicted": 2, "refused": 1}


async def test_at_the_cap_one_that_had_its_last_answer_makes_room():
    async with one_server(cap=1) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await an_answer(reader))[0] == 200
        await server.until(server.protocols[0].transport.is_closing)
        server.pass_by(0)
        reader, writer = await server.connect()
        assert server.counts.closed == {"evicted": 1}
        writer.write(PLAIN)
        assert (await an_answer(reader))[0] == 200


async def test_at_the_cap_one_whose_answer_was_written_in_this_turn_does_not_make_room():
    async with one_server(cap=1) as server:
        reader, writer = await server.connect()
        writer.write(PLAIN)
        transport = server.protocols[0].transport
        await server.until(lambda: transport._held)
        assert not server.connections.admit(server.protocols[0])
        assert (await an_answer(reader))[0] == 200
        assert server.counts.closed == {"refused": 1}


async def test_a_thousand_connections_that_send_half_a_head_keep_nobody_from_being_served():
    async with one_server(cap=900) as server:
        for _ in range(1_000):
            _, writer = await server.connect()
            writer.write(HALF_HEAD)
        for _ in range(20):
            reader, writer = await server.connect()
            writer.write(PLAIN)
            assert (await an_answer(reader))[0] == 200
            server.pass_by(1)
        assert server.connections_open() <= 900

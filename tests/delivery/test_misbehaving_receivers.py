"""Receivers that answer garbage, endlessly, slowly or not at all: an attempt fails in its time, and harms no other."""

import asyncio
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from countermand.actions.delivering.sending import AttemptError, AttemptResult
from countermand.delivery.addresses import AddressRules, UnknownNameError
from support.receivers import Answer, a_receiver, a_sender, a_sending, says, status

pytestmark = pytest.mark.long

LIMIT_S = 1.0
MOST_BYTES = 20_000_000  # what the buffers of two sockets and of the sender may take from an endless answer
GOOD = 20


def endlessly(first: bytes, then: bytes, pause_s: float = 0) -> Answer:
    """Answer with bytes that never end."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written.append(len(first))
        writer.write(first)
        while True:
            writer.write(then)
            await writer.drain()
            written.append(len(then))
            await asyncio.sleep(pause_s)

    return write


written: list[int] = []


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


async def hangs(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def then_ends(answer: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        await asyncio.Event().wait()

    return write


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN: dict[str, Answer] = {
    "no answer, and the end": then_ends(b""),
    "a reset": resets,
    "noise": then_ends(bytes(range(256)) * 8),
    "noise without an end": endlessly(b"", b"\x00\xff" * 500),
    "a line without an end": endlessly(b"", b"A" * 65536),
    "another protocol": then_ends(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "HTTP of no version": then_ends(b"HTTP/9.x 200 OK\r\n\r\n"),
    "a status that is no number": then_ends(b"HTTP/1.1 two hundred\r\n\r\n"),
    "a status of one digit": then_ends(b"HTTP/1.1 2 OK\r\n\r\n"),
    "half a head": then_ends(OK + b"content-le"),
    "a header without a colon": then_ends(OK + b"nonsense\r\n\r\n"),
    "a header with a zero byte": then_ends(OK + b"a: \x00\r\n\r\n"),
    "two lengths": then_ends(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    "a negative length": then_ends(OK + b"content-length: -1\r\n\r\n"),
    "a length that is no number": then_ends(OK + b"content-length: many\r\n\r\n"),
    "a header that is too long": then_ends(OK + b"a: " + b"b" * 100_000 + b"\r\n\r\n"),
    "headers without an end": endlessly(OK, b"a: b\r\n" * 1000),
    "one header without an end": endlessly(OK + b"a: ", b"b" * 65536),
    "too many headers": then_ends(OK + b"".join(b"a%d: b\r\n" % number for number in range(1000)) + b"\r\n"),
}
SLOW: dict[str, Answer] = {
    "no answer": hangs,
    "a head a byte at a time": endlessly(OK, b"a", 0.01),
    "continue without an end": endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.001),
    "half an answer, and nothing more": endlessly(OK + b"a: b\r\n", b"", 0.1),
}
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
# The head has come, and says that the event was taken.
TAKEN: dict[str, Answer] = {
    "a body without an end": endlessly(OK + b"\r\n", b"x" * 65536),
    "chunks without an end": endlessly(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "a body a byte at a time": endlessly(OK + b"content-length: 1000000\r\n\r\n", b"x", 0.01),
    "a body that never comes": endlessly(OK + b"content-length: 5\r\n\r\n", b"", 0.1),
    "a body that ends early": then_ends(OK + b"content-length: 1000\r\n\r\nx"),
    "a chunk of 2^63 bytes": then_ends(CHUNKED + b"7fffffffffffffff\r\nx"),
    "a charset that is none": then_ends(
        OK + b"content-type: text/plain; charset=\xff\xfe\r\ncontent-length: 1\r\n\r\n\xff"
    ),
    "a wrong compression": then_ends(OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope"),
    "headers in another alphabet": then_ends(OK + "webhook-delivery: ü\r\ncontent-length: 0\r\n\r\n".encode()),
    "more after the answer": then_ends(OK + b"content-length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n"),
}
# What is wrong may come in one piece with the head, or after it.
EITHER: dict[str, Answer] = {
    "chunks that are none": then_ends(CHUNKED + b"zz\r\nnonsense"),
    "trailers without an end": endlessly(CHUNKED + b"0\r\n", b"a: b\r\n" * 1000),
}
ROWS = [
    *((name, answer, {AttemptError.BROKEN}) for name, answer in BROKEN.items()),
    *((name, answer, {AttemptError.TIMEOUT}) for name, answer in SLOW.items()),
    *((name, answer, {None}) for name, answer in TAKEN.items()),
    *((name, answer, {None, AttemptError.BROKEN}) for name, answer in EITHER.items()),
]


@pytest.mark.parametrize(("answer", "errors"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_an_attempt_ends_in_its_time_as_the_head_says_and_a_good_endpoint_gets_its_events_meanwhile(
    answer: Answer, errors: set[AttemptError | None]
):
    written.clear()
    async with (
        a_receiver(status(204)) as good,
        a_receiver(answer) as bad,
        a_sender(attempt_limit_s=LIMIT_S, connect_limit_s=1) as sender,
    ):
        attempts = [asyncio.create_task(sender.send(a_sending(bad.url()))) for _ in range(3)]
        for _ in range(GOOD):
            assert (await sender.send(a_sending(good.url()))).error is None
        results = await asyncio.wait_for(asyncio.gather(*attempts), timeout=60)

        assert len(good.requests) == GOOD
        assert {one.error for one in results} <= errors
        assert all(len(one.answer) <= 1024 for one in results)
        assert all((one.detail or "").isprintable() and len(one.detail or "") < 400 for one in results)
        assert (await sender.send(a_sending(good.url()))).error is None
    assert sum(written) < MOST_BYTES


async def test_the_detail_of_garbage_does_not_repeat_it():
    for answer in (b"S3cr3t of another service\r\n", OK + b"S3cr3t\r\n\r\n", OK + b"content-length: S3cr3t\r\n\r\n"):
        async with a_receiver(then_ends(answer)) as receiver, a_sender() as sender:
            result = await sender.send(a_sending(receiver.url()))
            assert result.error is AttemptError.BROKEN
            assert "the answer is not HTTP: " in (result.detail or "")
            assert "S3cr3t" not in f"{result.detail}{result.answer!r}"


async def test_no_answer_that_chance_makes_of_a_good_one_raises():
    chance = random.Random(16)
    good = (
        OK + b"content-length: 5\r\nretry-after: 5\r\nwebhook-delivery: disable\r\n\r\nhello",
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nset-cookie: a\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n",
    )

    async def attempt() -> AttemptResult:
        answer = bytearray(chance.choice(good))
        for _ in range(chance.randint(0, 5)):
            at = chance.randrange(len(answer))
            answer[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 3))
        async with a_receiver(then_ends(bytes(answer))) as receiver:
            return await sender.send(a_sending(receiver.url()))

    async with a_sender(attempt_limit_s=LIMIT_S) as sender:
        results = [one for _ in range(30) for one in await asyncio.gather(*(attempt() for _ in range(20)))]
    assert {None, AttemptError.BROKEN, AttemptError.STATUS} <= {one.error for one in results}
    assert all((one.detail or "").isprintable() for one in results)


async def test_a_receiver_that_takes_no_bytes_is_a_timeout():
    async with a_receiver(hangs, reads=False) as receiver, a_sender(attempt_limit_s=LIMIT_S) as sender:
        result = await sender.send(a_sending(receiver.url(), body=b"x" * 1_000_000))
        assert result.error is AttemptError.TIMEOUT


async def test_a_handshake_that_never_ends_is_a_timeout_of_the_connection():
    async with a_receiver(hangs, reads=False) as receiver, a_sender(connect_limit_s=0.5) as sender:
        result = await sender.send(a_sending(receiver.url("shop.example", "https")))
        assert result.error is AttemptError.TIMEOUT
        assert "no connection within 0.5 s" in (result.detail or "")


async def test_nobody_listens_at_a_port():
    with a_port() as port:
        async with a_sender() as sender:
            result = await sender.send(a_sending(f"http://127.0.0.1:{port}/"))
            assert (result.error, result.status, result.address) == (AttemptError.CONNECT, None, "127.0.0.1")


async def test_the_next_address_of_a_name_is_tried_if_nobody_listens_at_the_first():
    async def resolve(*_: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    rules = AddressRules(loopback=True, resolver=resolve)
    async with a_receiver(status(204)) as receiver, a_sender(rules) as sender:
        result = await sender.send(a_sending(receiver.url("localhost")))
        assert (result.error, result.address) == (None, "127.0.0.1")


async def test_a_name_server_that_never_answers_is_no_name_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    async def resolve(host: str, _: int) -> list[str]:
        if host == "silent.localhost":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    monkeypatch.setattr("countermand.delivery.addresses._RESOLVE_LIMIT_S", 0.3)
    async with (
        a_receiver(status(204)) as receiver,
        a_sender(AddressRules(loopback=True, resolver=resolve)) as sender,
    ):
        silent = asyncio.create_task(sender.send(a_sending(receiver.url("silent.localhost"))))
        for _ in range(GOOD):
            assert (await sender.send(a_sending(receiver.url("localhost")))).error is None
        result = await silent
        assert result.error is AttemptError.NAME
        assert "did not resolve within 0.3 s" in (result.detail or "")


async def test_this_machine_resolves_names_and_what_is_no_name_is_an_unknown_one():
    rules = AddressRules(loopback=True)
    assert "127.0.0.1" in await rules.resolve("localhost", 443)
    for name in ("a" * 64 + ".example", ""):  # which no name server is asked for
        with pytest.raises(UnknownNameError, match="does not resolve"):
            await rules.resolve(name, 443)


async def test_receivers_that_hang_take_no_connection_from_others():
    async with (
        a_receiver(hangs) as bad,
        a_receiver(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as good,
        a_sender(attempt_limit_s=LIMIT_S, connect_limit_s=1) as sender,
    ):
        attempts = [asyncio.create_task(sender.send(a_sending(bad.url()))) for _ in range(300)]
        await asyncio.sleep(0.3)
        results = [await sender.send(a_sending(good.url())) for _ in range(GOOD)]
        assert {one.error for one in results} == {None}
        assert bad.connections <= 256
        assert {one.error for one in await asyncio.gather(*attempts)} == {AttemptError.TIMEOUT}


async def test_closing_ends_the_attempts_under_way():
    async with a_receiver(hangs) as receiver, a_sender() as sender:
        attempt = asyncio.create_task(sender.send(a_sending(receiver.url())))
        await receiver.got_one.wait()
        await sender.close()
        assert (await asyncio.wait_for(attempt, timeout=30)).error is AttemptError.BROKEN


@contextmanager
def a_port() -> Iterator[int]:
    """Take a port at which nobody listens while the block runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]

"""A long answer to a slow client: whole, in order, and not kept whole while it waits."""

import asyncio
import json
import random

import pytest

from countermand.contracts.http.answer import Answer
from countermand.contracts.http.lists import list_answer
from countermand.web.long_answers import LONG_BYTES, LongAnswer, in_pieces

HEADERS = ((b"content-type", b"application/hal+json"),)


class Reader:
    """The server's side of a client, which takes a piece whenever it may."""

    def __init__(self, *, stops_after: int | None = None) -> None:
        self.goes_on = asyncio.Event()
        self.messages: list[dict] = []
        self._stops_after = stops_after

    async def send(self, message: dict) -> None:
        if self._stops_after is not None and len(self.messages) >= self._stops_after:
            await self.goes_on.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


def a_body(size: int) -> bytes:
    return b"".join(b'{"order":%d},' % random.randrange(10**9) for _ in range(size // 10))[:size]


@pytest.mark.parametrize(("size", "long"), [(LONG_BYTES, False), (LONG_BYTES + 1, True)])
def test_only_a_long_answer_is_sent_in_pieces(size: int, *, long: bool):
    answer = in_pieces(Answer(200, HEADERS, a_body(size)))
    assert isinstance(answer, LongAnswer) is long


@pytest.mark.parametrize("stops_after", [None, 1, 2, 7])
async def test_a_long_answer_comes_whole_to_swift_and_to_slow_clients(stops_after: int | None):
    body = a_body(3_000_001)
    reader = Reader(stops_after=stops_after)
    sending = asyncio.create_task(in_pieces(Answer(201, HEADERS, body))({}, None, reader.send))
    if stops_after is not None:
        await asyncio.sleep(1.2)  # longer than a client is waited for
        assert len(reader.messages) == stops_after
        reader.goes_on.set()
    await sending
    assert reader.body == body
    start, *pieces = reader.messages
    assert (start["status"], start["headers"]) == (
        201,
        [*HEADERS, (b"cache-control", b"no-store"), (b"content-length", b"3000001")],
    )
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(len(piece["body"]) for piece in pieces) <= 64 * 1024


async def test_a_list_stays_in_pieces_from_its_items_to_its_client():
    items = [{"n": number, "text": "é" * 3000} for number in range(300)]
    listed = await list_answer(items, dict, lambda shown: {"items": shown, "next": None}, headers=HEADERS)
    assert listed.more_body
    reader = Reader()
    await in_pieces(listed.with_headers((b"x-more", b"1")))({}, None, reader.send)
    assert json.loads(reader.body) == {"items": items, "next": None}
    assert dict(reader.messages[0]["headers"])[b"content-length"] == b"%d" % len(reader.body)
    assert max(len(message["body"]) for message in reader.messages[1:]) <= 64 * 1024 + 100


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_a_short_list_is_one_body(number: int):
    listed = await list_answer(range(number), str, lambda shown: {"items": shown})
    assert json.loads(listed.body) == {"items": [str(one) for one in range(number)]}
    assert listed.more_body == ()


async def test_an_answer_that_waits_for_its_client_is_not_kept_whole():
    reader = Reader(stops_after=1)
    kept = [Answer(200, HEADERS, a_body(3_000_000))]
    asked = in_pieces(kept.pop())
    sending = asyncio.create_task(asked({}, None, reader.send))
    await asyncio.sleep(1.2)
    assert asked.pieces == []
    held = sum(len(value) for value in sending.get_coro().cr_frame.f_locals.values() if isinstance(value, bytes))
    assert 0 < held < 1_500_000
    reader.goes_on.set()
    await sending
    assert len(reader.body) == 3_000_000

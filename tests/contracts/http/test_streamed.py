"""A streamed answer ends when its client is gone, and shows when it is not whole."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from countermand.contracts.http.streamed import HEAD_ONLY, StreamedAnswer

LIMIT_S = 60  # only guards against hanging


class Client:
    """Reads an answer, and leaves after some pieces."""

    def __init__(self, *, leaves_after: int | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._left = asyncio.Event()
        self._leaves_after = leaves_after

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self._leaves_after is not None and len(self.bodies) >= self._leaves_after:
            self._left.set()
        await asyncio.sleep(0)

    async def receive(self) -> Any:
        await self._left.wait()
        return {"type": "http.disconnect"}

    @property
    def bodies(self) -> list[bytes]:
        return [one["body"] for one in self.sent if one["type"] == "http.response.body"]


class Pieces:
    """Counts how many pieces were made, and whether the rest was given up."""

    def __init__(self, number: int, *, fails_at: int | None = None) -> None:
        self.number, self.fails_at = number, fails_at
        self.made, self.closed = 0, False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self.number):
                if number == self.fails_at:
                    raise OSError("the database is gone")
                self.made += 1
                yield b"" if number == 1 else b"%d" % number
        finally:
            self.closed = True


async def sent_to(client: Client, pieces: Pieces, **scope: object) -> None:
    answer = StreamedAnswer(status=200, headers=((b"content-type", b"text/csv"),), pieces=pieces())
    named: Any = answer.with_headers((b"x-request-id", b"1"))
    async with asyncio.timeout(LIMIT_S):
        await named({"type": "http", **scope}, client.receive, client.send)


async def test_every_piece_is_sent_in_order_and_no_length_is_said():
    client, pieces = Client(), Pieces(4)
    await sent_to(client, pieces)
    assert client.bodies == [b"0", b"2", b"3", b""]  # an empty piece would end the answer on the wire
    assert [one["more_body"] for one in client.sent[1:]] == [True, True, True, False]
    names = [name for name, _ in client.sent[0]["headers"]]
    assert names == [b"content-type", b"x-request-id", b"cache-control"]
    assert pieces.closed


async def test_for_a_client_that_left_no_more_pieces_are_made():
    client, pieces = Client(leaves_after=2), Pieces(1_000)
    await sent_to(client, pieces)
    assert pieces.made < 10
    assert pieces.closed


async def test_a_piece_that_cannot_be_made_leaves_the_answer_without_its_end():
    client, pieces = Client(), Pieces(9, fails_at=3)
    with pytest.raises(OSError, match="gone"):
        await sent_to(client, pieces)
    assert all(one["more_body"] for one in client.sent[1:])
    assert client.bodies == [b"0", b"2"]


async def test_head_makes_no_piece():
    client, pieces = Client(), Pieces(9)
    await sent_to(client, pieces, **{HEAD_ONLY: True})
    assert (client.bodies, pieces.made) == ([b""], 0)

"""Sends long answers to slow clients: a page of a list can have megabytes, and a client may take minutes to read it.

A long answer is sent in pieces, each after the transport has room for it. If the client makes the server wait, the rest
is kept compressed (lists shrink to a twentieth), so that many slow clients do not hold many whole pages in memory.
"""

import asyncio
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from countermand.contracts.http.answer import Answer

LONG_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 64 * 1024
_PACKED_PIECE_BYTES: Final = 16 * 1024
_PATIENCE_S: Final = 0.5
_FAST: Final = 1  # zlib's level


class LongAnswer(Answer, frozen=True):
    """An answer that keeps its body in a list with one entry. Sending takes the body out, so that memory is freed."""

    bodies: list[bytes] = msgspec.field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send the answer. It can be sent only once."""
        body = self.bodies.pop()
        headers = [*self.sent_headers(), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        sending = _Sending(send)
        sent = 0
        while sent < len(body) and sending.is_swift:
            await sending.piece(body[sent : sent + _PIECE_BYTES])
            sent += _PIECE_BYTES
        if sent < len(body):
            packed = await asyncio.to_thread(zlib.compress, memoryview(body)[sent:], _FAST)
            del body
            for piece in _unpacked(packed):
                await sending.piece(piece)
        await sending.end()


def in_pieces(answer: Answer) -> Answer:
    """Return the answer, to be sent in pieces if it is long. The caller must drop its own reference to `answer`."""
    if len(answer.body) <= LONG_BYTES:
        return answer
    return LongAnswer(answer.status, answer.headers, b"", [answer.body])


class _Sending:
    """Sends pieces in order. If a piece takes longer than `_PATIENCE_S`, the client counts as slow."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._under_way: asyncio.Task[None] | None = None

    @property
    def is_swift(self) -> bool:
        return self._under_way is None

    async def piece(self, piece: bytes) -> None:
        """Send a piece after the previous piece is sent."""
        await self._settled()
        task = asyncio.ensure_future(self._sent(piece, more=True))
        await asyncio.wait({task}, timeout=_PATIENCE_S)
        if task.done():
            task.result()
        else:
            self._under_way = task

    async def end(self) -> None:
        """Finish the answer after the last piece is sent."""
        await self._settled()
        await self._sent(b"", more=False)

    async def _settled(self) -> None:
        if self._under_way is not None:
            task, self._under_way = self._under_way, None
            await task

    async def _sent(self, piece: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})


def _unpacked(packed: bytes) -> Iterator[bytes]:
    unpacking = zlib.decompressobj()
    for start in range(0, len(packed), _PACKED_PIECE_BYTES):
        left = packed[start : start + _PACKED_PIECE_BYTES]
        while left:
            yield unpacking.decompress(left, _PIECE_BYTES)
            left = unpacking.unconsumed_tail
    yield unpacking.flush()

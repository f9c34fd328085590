"""Sends long answers to slow clients: a page of a list can have megabytes, and a client may take minutes to read it.

A long answer is sent in pieces, each after the transport has room for it. If the client makes the server wait, the rest
is kept compressed (lists shrink to a twentieth), so that many slow clients do not hold many whole pages in memory.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from litestar.types import Receive, Scope, Send

from countermand.contracts.http.answer import Answer
from countermand.contracts.http.lists import PIECE_BYTES

LONG_BYTES: Final = 256 * 1024
_PACKED_PIECE_BYTES: Final = 16 * 1024
_PATIENCE_S: Final = 0.5
_FAST: Final = 1  # zlib's level


@dataclass(frozen=True, slots=True)
class LongAnswer(Answer):
    """An answer that keeps its body in a list of pieces. Sending takes the pieces out, so that memory is freed."""

    pieces: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send the answer. It can be sent only once."""
        pieces = deque(self.pieces)
        self.pieces.clear()
        headers = [*self.sent_headers(), (b"content-length", b"%d" % sum(map(len, pieces)))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        sending = _Sending(send)
        while pieces and sending.is_swift:
            await sending.piece(pieces.popleft())
        if pieces:
            packed = await asyncio.to_thread(_packed, pieces)
            for piece in _unpacked(packed):
                await sending.piece(piece)
        await sending.end()


def in_pieces(answer: Answer) -> Answer:
    """Return the answer, to be sent in pieces if it is long. The caller must drop its own reference to `answer`."""
    if not answer.more_body and len(answer.body) <= LONG_BYTES:
        return answer
    body, size = answer.body, PIECE_BYTES
    pieces = [body] if len(body) <= size else [body[at : at + size] for at in range(0, len(body), size)]
    return LongAnswer(answer.status, answer.headers, pieces=[*pieces, *answer.more_body])


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


def _packed(pieces: deque[bytes]) -> bytes:
    """Return the pieces compressed, and take them out."""
    packing = zlib.compressobj(_FAST)
    packed = []
    while pieces:
        packed.append(packing.compress(pieces.popleft()))
    return b"".join([*packed, packing.flush()])


def _unpacked(packed: bytes) -> Iterator[bytes]:
    unpacking = zlib.decompressobj()
    for start in range(0, len(packed), _PACKED_PIECE_BYTES):
        left = packed[start : start + _PACKED_PIECE_BYTES]
        while left:
            yield unpacking.decompress(left, PIECE_BYTES)
            left = unpacking.unconsumed_tail
    yield unpacking.flush()

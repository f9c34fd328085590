"""An answer whose body is made while it is sent, so that a list of any length needs the memory of one page."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from litestar.types import Receive, Scope, Send

from countermand.contracts.http.answer import Answer

HEAD_ONLY: Final = "countermand.head_only"  # in the scope of a HEAD request, which gets the answer of GET


class StreamedAnswer(Answer, frozen=True, kw_only=True):
    """An answer with a body in pieces that are made one after the other. It can be sent only once.

    It has no Content-Length. If a piece cannot be made, the connection ends without the body's end, so that the client
    sees that the body is not whole.
    """

    pieces: AsyncGenerator[bytes, None]

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "StreamedAnswer":
        """See `Answer.with_headers`."""
        return StreamedAnswer(status=self.status, headers=(*self.headers, *headers), pieces=self.pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send each piece after the transport has room for it. Stop when the client is gone."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.sent_headers()})
        gone = asyncio.ensure_future(_client_gone(receive))
        try:
            if HEAD_ONLY not in scope:
                await self._send_pieces(gone, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self.pieces.aclose()

    async def _send_pieces(self, gone: asyncio.Future[None], send: Send) -> None:
        async for piece in self.pieces:
            if gone.done():
                return
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

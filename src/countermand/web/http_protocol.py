"""What we ask of a connection beyond what the server does by itself: heads that end, and answers in one piece."""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_CAP_BYTES: Final = 256 * 1024


class HttpProtocol(HttpToolsProtocol):
    """Hangs up on a request whose head does not end: the parser itself would gather it without bound."""

    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Write each answer in one piece."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, asyncio.get_running_loop())))

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _HEAD_CAP_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()


class OneWrite:
    """A transport that writes together what is written in one turn of the event loop.

    The server writes an answer's head and its body apart: two system calls, which cost more than making the answer,
    and two packets.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)

    def flush(self) -> None:
        """Write now."""
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Close once all is written."""
        self.flush()
        self._transport.close()

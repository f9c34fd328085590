"""A trivial receiver of events in a process of its own: it answers 204, and notes which event came when.

`GET /seen` returns what it noted since the last such request, as JSON: a list of id, path and instant (seconds since
1970, when the first byte came) for each event, and some whole requests. `GET /count` returns how many it noted.
"""

import asyncio
import json
import re
import sys
import time
from typing import Final, cast

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_DONE: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_WHOLE_EVERY: Final = 97  # requests, of which one is kept whole, so that its signature can be checked


class Noted:
    """What came since the last question."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, float]] = []
        self.whole: list[tuple[str, str]] = []

    def taken(self) -> bytes:
        """Return all as JSON, and begin anew."""
        said = json.dumps({"events": self.events, "whole": self.whole}).encode()
        self.events, self.whole = [], []
        return said


class Connection(asyncio.Protocol):
    """Reads requests, one after the other."""

    def __init__(self, noted: Noted) -> None:
        self._noted = noted
        self._received = b""
        self._came_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass

    def data_received(self, data: bytes) -> None:
        """Take a request or a piece of it."""
        if not self._received:
            self._came_at = time.time()
        self._received += data
        while _END_OF_HEAD in self._received:
            head, _, rest = self._received.partition(_END_OF_HEAD)
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self._received = rest[size:]
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            said = self._noted.taken() if path == b"/seen" else str(len(self._noted.events)).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
            return
        self._transport.write(_DONE)
        event = _ID.search(head)
        if len(self._noted.events) % _WHOLE_EVERY == 0:
            self._noted.whole.append((head.decode("latin-1"), body.decode("latin-1")))
        self._noted.events.append((event[1].decode() if event else "", path.decode(), self._came_at))


async def _serve() -> None:
    noted = Noted()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(noted), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve())

"""Runs an HTTP server with one small application, on our protocol class and real sockets, in the test's event loop."""

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from countermand.telemetry.requests import counted_ids
from countermand.web.http_connections import ConnectionLimits, Connections
from countermand.web.http_protocol import HttpProtocol

LONG = 7 * 24 * 3600.0
Cut = Callable[[bytes], Sequence[bytes]]


@dataclass
class Heard:
    """A request as the application heard it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    is_whole: bool = False


@dataclass
class Closed:
    """Fulfils `ConnectionCounts`."""

    open: int = 0
    closed: Counter[str] = field(default_factory=Counter)

    def connections_open(self, number: int) -> None:
        self.open = number

    def connection_closed(self, why: str) -> None:
        self.closed[why] += 1


@dataclass
class OneServer:
    """The running server. `go` lets the application answer; `cut` is how what comes is split before it is parsed."""

    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    counts: Closed = field(default_factory=Closed)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    answer: bytes = b""
    reads_bodies: bool = True
    now_s: float = 1000.0
    cut: Cut = lambda data: [data]
    protocols: list[HttpProtocol] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    connections: Connections = field(init=False)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, *, slow: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection; a slow one takes no more from the system than it is asked to read."""
        number = len(self.protocols)
        if slow:
            own = socket.socket()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            own.connect(("127.0.0.1", self.port))
            reader, writer = await asyncio.open_connection(sock=own, limit=1)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        await self.until(lambda: len(self.protocols) > number)
        return reader, writer

    async def until(self, holds: Callable[[], Any]) -> None:
        while not holds():  # noqa: ASYNC110 - what is waited for is the server's, which has no event for a test
            await asyncio.sleep(0)

    def connections_open(self) -> int:
        """How many are open, as of now."""
        self.connections.sweep()
        return self.counts.open

    def pass_by(self, seconds: float) -> None:
        """Let time go by, and the sweep come round."""
        self.now_s += seconds
        self.connections.sweep()

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        heard = Heard(scope["method"], scope["path"], headers)
        self.heard.append(heard)
        while self.reads_bodies:
            message = await receive()
            if message["type"] != "http.request":
                return
            heard.body += message["body"]
            if not message["more_body"]:
                heard.is_whole = True
                break
        await self.go.wait()
        told = self.answer or json.dumps({"path": heard.path, "body": heard.body.decode()}).encode()
        length = (b"content-length", str(len(told)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": told})


@asynccontextmanager
async def one_server(**limits: Any) -> AsyncIterator[OneServer]:
    """A server whose clock the test moves. Limits that a test does not name are too long to be met."""
    one = OneServer()
    one.go.set()
    given = {"cap": 10_000, "idle_s": LONG, "head_s": LONG, "body_s": LONG, "write_s": LONG} | limits
    one.connections = Connections(
        ConnectionLimits(**given), one.counts, new_id=counted_ids(), clock_s=lambda: one.now_s
    )
    config = uvicorn.Config(
        one.application, http=cast("Any", HttpProtocol), ws="none", lifespan="off", log_config=None, interface="asgi3"
    )
    config.load()
    state = ServerState()

    class Cutting(HttpProtocol):
        def connection_made(self, transport: Any) -> None:
            one.protocols.append(self)
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            for piece in one.cut(data):
                super().data_received(piece)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: one.errors.append(context))
    logged = _Kept(one.errors)
    logging.getLogger("uvicorn.error").addHandler(logged)
    serving = await loop.create_server(
        partial(Cutting, one.connections, config=config, server_state=state, app_state={}, _loop=loop), "127.0.0.1", 0
    )
    one.port = serving.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        logging.getLogger("uvicorn.error").removeHandler(logged)
        serving.close()
        for protocol in one.protocols:
            protocol.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        for writer in one.writers:
            writer.close()
        for _ in range(3):  # turns, in which they close
            await asyncio.sleep(0)
        loop.set_exception_handler(None)


class _Kept(logging.Handler):
    def __init__(self, lines: list[Any]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


async def answers(reader: asyncio.StreamReader, number: int) -> list[tuple[int, dict[str, str], bytes]]:
    """So many answers."""
    return [await an_answer(reader) for _ in range(number)]


async def an_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """The next answer: status, headers, body."""
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status_line.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def left(reader: asyncio.StreamReader) -> bytes:
    """What else comes, to the end of the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""

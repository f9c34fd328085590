"""Passes on and counts all bytes between a node and its PostgreSQL, until the test interferes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_SYNC = b"S"  # ends what a client asks and waits for: one each round trip
_SIMPLE = b"Q"
_ASKS_FOR_TLS = (80877103).to_bytes(4)


@dataclass(eq=False)
class _Line:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    deaf: bool = False


@dataclass(eq=False)
class Wire:
    """Lines of a node to its database. What is done to them is done to those that there are, not to later ones."""

    url: str
    past: str  # the address that does not lead through it
    messages: Counter[bytes] = field(default_factory=Counter)
    _lines: set[_Line] = field(default_factory=set)
    _fatal: bytes | None = None

    @property
    def round_trips(self) -> int:
        return self.messages[_SYNC] + self.messages[_SIMPLE]

    def deafen_at(self, words: bytes) -> None:
        """The next message with such words reaches the database; from then on, its line's node hears nothing."""
        self._fatal = words

    def deafen(self) -> None:
        """From now on, the node hears nothing; the database still does."""
        for line in self._lines:
            line.deaf = True

    def cut(self) -> None:
        """The node's ends are gone. The database's stay open, as when a network is parted: it does not notice."""
        self._fatal = None
        for line in self._lines:
            line.deaf = True
            line.client.transport.abort()


@asynccontextmanager
async def a_wire(url: str) -> AsyncIterator[Wire]:
    """A wire to the database at an address."""
    where = urlsplit(url)
    talks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, server = await asyncio.open_connection(where.hostname, where.port)
        line = _Line(writer, server)
        wire._lines.add(line)
        for talk in (_asked(reader, line, wire), _answered(from_server, line)):
            task = asyncio.create_task(talk)
            talks.add(task)
            task.add_done_callback(talks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1")
    port = listening.sockets[0].getsockname()[1]
    account = where.netloc.rpartition("@")
    wire = Wire(where._replace(netloc=f"{account[0]}{account[1]}127.0.0.1:{port}").geturl(), url)
    try:
        yield wire
    finally:
        listening.close()
        for line in wire._lines:
            line.client.transport.abort()
            line.server.transport.abort()
        await asyncio.gather(*talks, return_exceptions=True)


async def _asked(reader: asyncio.StreamReader, line: _Line, wire: Wire) -> None:
    """From the node to the database, message by message: a letter, a length, and so much more; greetings have none."""
    letter = b""
    try:
        while True:
            head = letter + await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(head[-4:]) - 4)
            wire.messages[letter] += 1
            if wire._fatal is not None and wire._fatal in body:
                wire._fatal, line.deaf = None, True
            line.server.write(head + body)
            await line.server.drain()
            letter = b"" if not letter and body.startswith(_ASKS_FOR_TLS) else await reader.readexactly(1)
    except (OSError, asyncio.IncompleteReadError):
        if line.deaf:  # cut off by the test
            return
    line.server.close()


async def _answered(reader: asyncio.StreamReader, line: _Line) -> None:
    try:
        while said := await reader.read(65536):
            if not line.deaf:
                line.client.write(said)
                await line.client.drain()
    except OSError:
        pass
    if not line.deaf:
        line.client.close()

"""Simulates a network between a node and PostgreSQL that loses messages: a TCP proxy that reads what it carries.

It recognises a statement, or the commit of a transaction that ran the statement, and can lose that, or the server's
answer to it.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

_STARTUP = 196608  # protocol 3.0, in a startup packet
CANCELS_A_BATCH = b"UPDATE orders AS o SET state = 'cancelled'"
TAKES_MONEY = b"INSERT INTO payments "
_BEGINS, _COMMITS = b"BEGIN", b"COMMIT;"


class Loses(Enum):
    """What becomes of a statement, and of its connection."""

    ANSWER_AND_ENDS = auto()  # the server has committed and answered; the connection ends without the answer
    ANSWER_AND_HOLDS = auto()  # the same, but nobody hears that the connection is dead
    STATEMENT_AND_ENDS = auto()
    STATEMENT_AND_HOLDS = auto()


@dataclass
class Proxy:
    """Made by `a_proxy`."""

    port: int
    to_port: int
    loses: Loses | None = None
    statement: bytes = b""  # what the statement has in it
    at_commit: bool = False
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    connections: "set[_Connection]" = field(default_factory=set)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    def lose(self, what: Loses, statement: bytes = CANCELS_A_BATCH, *, at_commit: bool = False) -> None:
        """Lose the next such statement, or the next commit of a transaction that ran such a statement, once.

        No other commit is lost: the background tasks of a node commit on the same connections at any moment.
        """
        self.loses, self.statement, self.at_commit = what, statement, at_commit
        self.lost.clear()

    def swallow_everything(self) -> None:
        """Nothing goes through any more, on no connection, old or new; and none of them ends."""
        self.is_open.clear()

    def let_through(self) -> None:
        """What was held goes on its way, late."""
        self.is_open.set()

    async def deliver_late(self) -> None:
        """Hand the server what was lost on its way there, as a network may."""
        for connection in self.connections:
            if connection.late:
                connection.to_server.write(connection.late)
                connection.late = b""
                with suppress(ConnectionError):
                    await connection.to_server.drain()


@asynccontextmanager
async def a_proxy(to_port: int) -> AsyncIterator[Proxy]:
    """A proxy to a server on loopback."""
    proxy = Proxy(0, to_port)
    proxy.is_open.set()
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _Connection.carried(proxy, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the connection has ended, or the test has
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    """One client's connection through the proxy."""

    def __init__(self, proxy: Proxy, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter) -> None:
        self.proxy, self.to_client, self.to_server = proxy, to_client, to_server
        self.statements: dict[bytes, bytes] = {}  # prepared, by name
        self.transaction: list[bytes] = []  # what the open transaction has run, and at last its commit
        self.losing: Loses | None = None
        self.late = b""

    @classmethod
    async def carried(cls, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.is_open.wait()
        from_server, to_server = await asyncio.open_connection("127.0.0.1", proxy.to_port)
        connection = cls(proxy, writer, to_server)
        proxy.connections.add(connection)
        both = [
            asyncio.ensure_future(connection.from_client(reader)),
            asyncio.ensure_future(connection.from_server(from_server)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            proxy.connections.discard(connection)
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            to_server.close()

    async def from_client(self, reader: asyncio.StreamReader) -> None:
        try:
            await self.messages(reader)
        except (OSError, asyncio.IncompleteReadError):
            if self.losing in {Loses.ANSWER_AND_HOLDS, Loses.STATEMENT_AND_HOLDS}:
                await asyncio.Event().wait()  # that the client has hung up is lost, too
            raise

    async def messages(self, reader: asyncio.StreamReader) -> None:
        await self.startup(reader)
        while True:
            kind = await reader.readexactly(1)
            size = await reader.readexactly(4)
            content = await reader.readexactly(struct.unpack("!i", size)[0] - 4)
            message = kind + size + content
            if kind == b"P":
                name, text = content.split(b"\0")[:2]
                self.statements[name] = text
            if self.is_wanted(self.runs(kind, content)):
                self.losing, self.proxy.loses = self.proxy.loses, None
            if self.losing in {Loses.STATEMENT_AND_ENDS, Loses.STATEMENT_AND_HOLDS}:
                self.late += message
                self.proxy.lost.set()
                if self.losing is Loses.STATEMENT_AND_ENDS:
                    return
                continue
            await self.passed(message, self.to_server)

    def is_wanted(self, sql: bytes) -> bool:
        """Whether the proxy loses this statement. A message that runs no SQL has the empty text."""
        if sql.startswith(_BEGINS):
            self.transaction.clear()
        if sql:
            self.transaction.append(sql)
        if self.proxy.loses is None or not sql:
            return False
        if self.proxy.at_commit:
            return sql.startswith(_COMMITS) and any(self.proxy.statement in earlier for earlier in self.transaction)
        return self.proxy.statement in sql

    def runs(self, kind: bytes, content: bytes) -> bytes:
        """The SQL that a message makes the server run."""
        if kind == b"Q":
            return content
        return self.statements[content.split(b"\0")[1]] if kind == b"B" else b""

    async def from_server(self, reader: asyncio.StreamReader) -> None:
        answer = b""
        while piece := await reader.read(65536):
            if self.losing is None:
                await self.passed(piece, self.to_client)
                continue
            answer += piece  # the server has done it once it says that it is ready for the next
            if _is_ready(answer):
                self.proxy.lost.set()
                if self.losing is Loses.ANSWER_AND_ENDS:
                    return
        if self.losing is Loses.ANSWER_AND_HOLDS:
            await asyncio.Event().wait()

    async def startup(self, reader: asyncio.StreamReader) -> None:
        """Packets without a type, up to the one that begins the session."""
        while True:
            size = await reader.readexactly(4)
            content = await reader.readexactly(struct.unpack("!i", size)[0] - 4)
            await self.passed(size + content, self.to_server)
            if struct.unpack("!i", content[:4])[0] == _STARTUP:
                return

    async def passed(self, message: bytes, to: asyncio.StreamWriter) -> None:
        await self.proxy.is_open.wait()
        to.write(message)
        await to.drain()


def _is_ready(answer: bytes) -> bool:
    """Whether the messages so far end with ReadyForQuery."""
    kind = b""
    while len(answer) >= 5:
        kind, size = answer[:1], struct.unpack("!i", answer[1:5])[0]
        if len(answer) < 1 + size:
            return False
        answer = answer[1 + size :]
    return kind == b"Z" and not answer

"""Talks to the protocol of a service in memory, without sockets: what is sent can be split anywhere, quickly."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from countermand.telemetry.requests import counted_ids
from countermand.web.http_connections import ConnectionLimits, Connections, Waiting
from countermand.web.http_protocol import HttpProtocol
from support.world import World

LIMITS = ConnectionLimits(cap=100, idle_s=75, head_s=20, body_s=30, write_s=30)
END_OF_SENDING = b""  # as a piece: the client closes its sending side
_TURNS = 12  # of the event loop, in which everything is written that can be
REQUEST_ID = re.compile(rb"(?<=x-request-id: )(?!mine)[0-9a-f-]+")


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and how the server ended it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self.written = bytearray()
        self.ending: list[str] = []

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ending.append("end of sending")

    def close(self) -> None:
        self.ending.append("closed")

    def abort(self) -> None:
        self.ending.append("aborted")

    def is_closing(self) -> bool:
        return "closed" in self.ending or "aborted" in self.ending

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Uncounted:
    """Connections that nobody counts."""

    def connections_open(self, number: int) -> None:
        pass

    def connection_closed(self, why: str) -> None:
        pass


@dataclass
class Service:
    """A service behind protocols that `make` makes, as `countermand serve` has them."""

    world: World
    make: Callable[..., HttpProtocol]
    state: ServerState = field(default_factory=ServerState)

    def __post_init__(self) -> None:
        self.state.default_headers = [(b"date", b"today")]
        application = self.world.service.application
        self.config = uvicorn.Config(application, ws="none", lifespan="off", log_config=None, interface="asgi3")
        self.config.load()
        self.connections = Connections(LIMITS, Uncounted(), new_id=counted_ids())

    def connected(self) -> tuple[HttpProtocol, Wire]:
        """A connection."""
        protocol = self.make(self.connections, config=self.config, server_state=self.state, app_state={})
        wire = Wire()
        protocol.connection_made(wire)
        return protocol, wire

    async def talk(self, pieces: Iterable[bytes]) -> tuple[bytes, Sequence[str]]:
        """Send pieces over a connection; return what came back, without the ids of requests, and how it ended."""
        protocol, wire = self.connected()
        for piece in pieces:
            if piece == END_OF_SENDING:
                if not protocol.eof_received():
                    wire.close()
            elif not wire.is_closing():
                protocol.data_received(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await answered(protocol)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        back = REQUEST_ID.sub(b"ID", bytes(wire.written)), list(wire.ending)
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return back


async def answered(protocol: HttpProtocol) -> None:
    """Wait until every whole request is answered."""
    while (  # noqa: ASYNC110 - a protocol has no event for a test
        protocol.pipeline or (protocol._is_answering() and protocol._incoming is Waiting.IDLE)
    ):
        await asyncio.sleep(0)

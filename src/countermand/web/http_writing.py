"""What is written to a connection, and when it is read on: an answer in one write, no more than a client takes."""

import asyncio
from collections.abc import Sized
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl

_HELD_CAP_BYTES: Final = 64 * 1024


class OneWrite:
    """A transport that writes together what is written in one turn of the event loop.

    The server writes an answer's head and its body apart: two system calls, which cost more than making the answer,
    and two packets. A long answer in many pieces is written as it comes, so that the transport can say that it is full.
    """

    __slots__ = ("_held", "_held_bytes", "_loop", "_lost", "_transport", "lingering", "may_send", "written_bytes")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._lost = False
        self.written_bytes = 0
        self.may_send = True  # whether something can still come from the client
        self.lingering = False  # all is written, and what still comes is thrown away

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn, or now where it is much."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= _HELD_CAP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write now. A client that is gone gets nothing, and that is nobody's error."""
        if self._held:
            held, self._held = b"".join(self._held), []
            self._held_bytes = 0
            if not self._lost:
                self.written_bytes += len(held)
                self._transport.write(held)

    def close(self) -> None:
        """Close once all is written.

        While something can still come, only our side is closed at first: with bytes unread the system would reset the
        connection, and the client could lose the answers that it has not read yet.
        """
        self.flush()
        if self._lost or self._transport.is_closing():
            return
        if self.may_send and not self.lingering:
            self.lingering = True
            with suppress(OSError):  # the client is gone, which reading finds
                self._transport.write_eof()
            self._transport.resume_reading()
        elif not self.lingering:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be asked or answered."""
        return self.lingering or self._lost or self._transport.is_closing()

    def lose(self) -> None:
        """The connection is gone."""
        self._lost = True
        self._held.clear()

    def unsent_bytes(self) -> int:
        """What the client has not taken yet, beyond what the system keeps for it."""
        return 0 if self._lost else self._held_bytes + self._transport.get_write_buffer_size()


class Flow(FlowControl):
    """Reads on only where no request waits for its turn: a client could send them faster than they are answered."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self.at_end = False  # the client sends no more

    def resume_reading(self) -> None:
        """Read on, unless requests wait or none can come."""
        if self.read_paused and not self._waiting and not self.at_end:
            super().resume_reading()

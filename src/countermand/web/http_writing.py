"""Writes answers to a connection with one write each, and pauses reading while requests wait for their turn."""

import asyncio
from collections.abc import Sized
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl

_HELD_CAP_BYTES: Final = 64 * 1024


class OneWrite:
    """Wraps a transport and joins all writes of one turn of the event loop into one.

    Uvicorn writes an answer's head and its body separately: two system calls, which cost more than making the answer,
    and two packets. Pieces of a long answer are written at once, so that the transport can report that it is full.
    """

    __slots__ = ("_held", "_held_bytes", "_loop", "_lost", "_transport", "lingering", "may_send", "written_bytes")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._lost = False
        self.written_bytes = 0
        self.may_send = True  # whether the client can still send bytes
        self.lingering = False  # everything is written, and received bytes are discarded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the event loop; write at once when 64 KiB or more are held."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= _HELD_CAP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the held bytes now. If the client is gone, drop them without an error."""
        if self._held:
            held, self._held = b"".join(self._held), []
            self._held_bytes = 0
            if not self._lost:
                self.written_bytes += len(held)
                self._transport.write(held)

    def close(self) -> None:
        """Close the connection after everything is written.

        While the client can still send bytes, close only the server's sending side first: if a connection is closed
        with unread bytes, the system resets it, and the client could lose answers that it has not read yet.
        """
        self.flush()
        if self._lost or self._transport.is_closing():
            return
        if self.may_send and not self.lingering:
            self.lingering = True
            with suppress(OSError):  # the client is gone; reading will detect that
                self._transport.write_eof()
            self._transport.resume_reading()
        elif not self.lingering:
            self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the connection takes no more requests and no more answers."""
        return self.lingering or self._lost or self._transport.is_closing()

    def lose(self) -> None:
        """Note that the connection is lost, and drop the held bytes."""
        self._lost = True
        self._held.clear()

    def unsent_bytes(self) -> int:
        """Return how many bytes wait for the client, not counting those in the system's own buffer."""
        return 0 if self._lost else self._held_bytes + self._transport.get_write_buffer_size()


class Flow(FlowControl):
    """Resumes reading only if no request waits: a client could send requests faster than the server answers them."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self.at_end = False  # the client has closed its sending side

    def resume_reading(self) -> None:
        """Resume reading, unless requests wait or the client has closed its sending side."""
        if self.read_paused and not self._waiting and not self.at_end:
            super().resume_reading()

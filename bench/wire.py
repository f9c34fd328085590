"""Counts the round trips between a server and PostgreSQL: a TCP proxy in a thread, which reads what the client sends.

The driver ends each round trip with one of two messages: a simple query, or the end of an extended query.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from own_postgres import ADDRESS

_ENDS_A_ROUND_TRIP: Final = {b"Q", b"S"}
_PROTOCOL: Final = 3 << 16
_PIECE: Final = 65536


class RoundTrips:
    """Carries connections to a port of this machine, and counts."""

    def __init__(self, to_port: int) -> None:
        self.count = 0
        self._to_port = to_port
        self._listening = socket.create_server((ADDRESS, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((ADDRESS, self._to_port))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:  # noqa: FBT001
        left, is_typed = b"", False
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                target.sendall(piece)
                if counts:
                    left, is_typed = self._read(left + piece, is_typed)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _read(self, sent: bytes, is_typed: bool) -> tuple[bytes, bool]:  # noqa: FBT001
        """Count what is complete; return the rest. The messages before the start-up have no type."""
        while len(sent) >= (5 if is_typed else 8):
            begins = 1 if is_typed else 0
            length = begins + struct.unpack_from(">I", sent, begins)[0]
            if len(sent) < length:
                break
            if not is_typed:
                is_typed = struct.unpack_from(">I", sent, 4)[0] == _PROTOCOL  # otherwise it asks for encryption
            else:
                self.count += sent[:1] in _ENDS_A_ROUND_TRIP
            sent = sent[length:]
        return sent, is_typed


@contextmanager
def counted(to_port: int) -> Iterator[RoundTrips]:
    """Count the round trips of everything that connects to the `port` of what is yielded."""
    counting = RoundTrips(to_port)
    try:
        yield counting
    finally:
        counting.close()

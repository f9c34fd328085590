"""Pretends to be an older PostgreSQL server: it accepts clients, and does nothing else."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

_SSL_REQUEST = 80877103
_SETTINGS = {
    "server_version": "14.19",
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
}


@contextmanager
def an_old_postgres() -> Iterator[int]:
    """Gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=_serve, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # or the thread would wait for somebody
            thread.join()


def _serve(listening: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            with client, suppress(OSError, struct.error):
                _let_in(client)


def _let_in(client: socket.socket) -> None:
    while True:
        size, code = struct.unpack("!ii", client.recv(8))
        client.recv(size - 8)
        if code != _SSL_REQUEST:
            break
        client.sendall(b"N")
    said = _message(b"R", struct.pack("!i", 0))
    for name, value in _SETTINGS.items():
        said += _message(b"S", f"{name}\0{value}\0".encode())
    client.sendall(said + _message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I"))
    while (asked := client.recv(4096)) and not asked.startswith(b"X"):  # whatever it asks is not answered
        pass


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(content)) + content

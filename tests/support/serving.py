"""Runs `countermand serve` as a separate process on the database of a world, which the test can still read."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import httpx

from support.processes import Process, Running, forked, until_stopped
from support.world import ISSUER, PUBLIC_URL, World

PREFIX = "COUNTERMAND_"

_numbers = count(1)


@dataclass
class Served(Running):
    """A running server: where it really listens, and the file its log goes to."""

    port: int = 0
    log_file: Path = field(default_factory=Path)

    @property
    def here(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        """The log as values: fails on a line that is no JSON object."""
        return [json.loads(line) for line in self.log.splitlines()]

    def client(self, **more: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.here, timeout=120, trust_env=False, **more)


def database_of(world: World) -> dict[str, str]:
    """The setting that names the world's database."""
    url = world.settings.database_url
    return (
        {"database_path": str(world.settings.database_path)}
        if url is None
        else {"database_url": url.get_secret_value()}
    )


def environment_of(world: World, **settings: Any) -> dict[str, str]:
    """The environment that makes a server serve the world's database. A setting of None is left out."""
    given = (
        database_of(world)
        | {
            "connect_issuer": ISSUER,
            "connect_key_set": world.folder / "key-set.json",
            "client_refresh_s": 0.2,
            "public_url": PUBLIC_URL,
        }
        | settings
    )
    return {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}


@contextmanager
def a_server(world: World, *arguments: str, **settings: Any) -> Iterator[Served]:
    """A running server on the world's database, and on a port that was free a moment ago.

    Port 0 will not do here: with a public address, the server announces that, and not where it listens.
    """
    environment = environment_of(world, **settings)
    with started(
        lambda port, log: forked("serve", "--port", port, *arguments, environment=environment, stderr=log), world.folder
    ) as served:
        yield served


@contextmanager
def started(start: Callable[[str, TextIO], Process], folder: Path) -> Iterator[Served]:
    """A running server. `start` gets a port that was free a moment ago, and the file that takes the log."""
    port = free_port()
    log_file = folder / f"server-{port}-{next(_numbers)}.log"
    with log_file.open("w") as log:
        process = start(str(port), log)
    with until_stopped(process) as (base_url, said):
        yield Served(process, base_url, said, port=port, log_file=log_file)


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def a_connection(port: int) -> socket.socket:
    """A plain connection, for what no HTTP library would send."""
    return socket.create_connection(("127.0.0.1", port), timeout=120)


def next_answer(
    connection: socket.socket, left: bytes = b"", *, has_body: bool = True
) -> tuple[int, dict[str, str], bytes, bytes]:
    """Read one answer with a Content-Length: status, headers, body, and what came after it already."""
    while b"\r\n\r\n" not in left:
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {left!r}"
        left += piece
    head, _, left = left.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3})", status_line)
    assert found, status_line
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers["content-length"]) if has_body else 0
    while len(left) < length:
        piece = connection.recv(65536)
        assert piece, f"the connection ended within a body: {left!r}"
        left += piece
    return int(found[1]), headers, left[:length], left[length:]


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as bytes; a Content-Length is added unless one is given."""
    lines = {"Host": "127.0.0.1", "Content-Length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

"""Receives events for four endpoints, and writes each arrival to a file, flushed to the disk, before it answers.

The path of a request says how the receiver behaves: `/good` accepts at once, `/slow` after a while, `/failing` accepts
half of the requests, and `/dead` has a port of its own, where nobody listens until a file exists. The arguments are a
folder, the two ports, and the milliseconds that `/slow` takes. The folder has `secrets.json`, a secret for each path.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvloop

JOURNAL: Final = "arrivals.tsv"
SECRETS: Final = "secrets.json"
ALIVE: Final = "alive"  # this file lets the receiver listen for /dead
_HALF: Final = 0.5
_LOOK_EVERY_S: Final = 0.1
_TOLERANCE_S: Final = 300
_ACCEPTED: Final = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
_REFUSED: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request as the receiver wrote it down. `is_right` says whether the signature and its time were right."""

    path: str
    event_id: str
    version: int
    attempt: int
    previous: str | None
    accepted: bool
    is_right: bool


class Journal:
    """Reads the arrivals that were flushed, also while the receiver writes more."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._read_up_to = 0

    def new(self) -> Iterator[Arrival]:
        """Yield the arrivals since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_up_to)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return
        self._read_up_to += len(whole) + 1
        for line in whole.decode().split("\n"):
            path, event_id, version, attempt, previous, accepted, is_right = line.split("\t")
            yield Arrival(
                path=path,
                event_id=event_id,
                version=int(version),
                attempt=int(attempt),
                previous=previous or None,
                accepted=accepted == "1",
                is_right=is_right == "1",
            )


class _Writer:
    """Appends lines to the journal. Lines that come during a flush share the next one."""

    def __init__(self, folder: Path) -> None:
        path = folder / JOURNAL
        if path.exists():  # a line that a kill cut in two was not answered
            with path.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._lines: list[tuple[bytes, Callable[[], None]]] = []
        self._has_lines = asyncio.Event()

    def add(self, line: bytes, then: Callable[[], None]) -> None:
        """Write a line, and call `then` once it is on the disk."""
        self._lines.append((line, then))
        self._has_lines.set()

    async def run(self) -> None:
        """Write until the end of the process."""
        while True:
            await self._has_lines.wait()
            self._has_lines.clear()
            lines, self._lines = self._lines, []
            await asyncio.to_thread(self._flush, b"".join(line for line, _ in lines))
            for _, then in lines:
                then()

    def _flush(self, text: bytes) -> None:
        os.write(self._file, text)
        os.fsync(self._file)


class _Connection(asyncio.Protocol):
    """A connection of HTTP/1.1 with requests that have a length."""

    def __init__(self, writer: _Writer, secrets: Mapping[str, bytes], slow_s: float) -> None:
        self._writer, self._secrets, self._slow_s = writer, secrets, slow_s
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take each whole request."""
        self._bytes += data
        while b"\r\n\r\n" in self._bytes:
            head, _, rest = self._bytes.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
            length = int(headers["content-length"])
            if len(rest) < length:
                return
            self._bytes = rest[length:]
            self._take(first.split()[1], headers, rest[:length])

    def _take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        accepts = path != "/failing" or random.random() < _HALF
        fields = (
            path.removeprefix("/"),
            headers["webhook-id"],
            headers["countermand-order-version"],
            headers["countermand-attempt"],
            headers.get("countermand-previous-event", ""),
            str(int(accepts)),
            str(int(_is_right(self._secrets[path.removeprefix("/")], headers, body))),
        )
        later_s = self._slow_s if path == "/slow" else 0.0
        answer = partial(self._answer, _ACCEPTED if accepts else _REFUSED, later_s)
        self._writer.add("\t".join(fields).encode() + b"\n", answer)

    def _answer(self, answer: bytes, later_s: float) -> None:
        if later_s:
            asyncio.get_running_loop().call_later(later_s, self._answer, answer, 0.0)
            return
        if not self._transport.is_closing():
            self._transport.write(answer)


def _is_right(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether the request is signed as Standard Webhooks says, now."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    is_signed = any(hmac.compare_digest(wanted, one) for one in headers["webhook-signature"].split())
    return is_signed and abs(time.time() - int(headers["webhook-timestamp"])) < _TOLERANCE_S


async def _serve(folder: Path, port: int, dead_port: int, slow_s: float) -> None:
    shown = json.loads((folder / SECRETS).read_text())
    secrets = {path: base64.b64decode(secret.removeprefix("whsec_")) for path, secret in shown.items()}
    writer = _Writer(folder)
    loop = asyncio.get_running_loop()
    writing = asyncio.create_task(writer.run())
    connection = partial(_Connection, writer, secrets, slow_s)
    await loop.create_server(connection, "127.0.0.1", port)
    while not (folder / ALIVE).exists():  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(_LOOK_EVERY_S)
    await loop.create_server(connection, "127.0.0.1", dead_port)
    await writing


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000))

"""Sends many requests over real HTTP to several nodes at once, and collects the answers."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

log = logging.getLogger(__name__)

CALLERS = 48
HANG_S = 250  # no request may wait for ever
PAUSE_S = 0.05  # before asking again, where the answer says so
CONNECT, SHOPPING = "/api/connect/orders/cancel", "/ordercancellation/"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request; `node` says at which of the nodes, `about` what it is counted under."""

    node: int
    about: Any
    path: str
    headers: Mapping[str, str]
    body: Any
    method: str = "POST"

    def written(self) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        lines = {**self.headers, "Host": "localhost", "Content-Type": "application/json", "Content-Length": len(body)}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body


@dataclass(frozen=True)
class Reply:
    """An answer. A status of 0: the connection ended without one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at_s: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One connection at a time to each node, kept open as long as the node keeps it. HTTP by hand: a client library
    takes longer over thousands of requests than the nodes do.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._open: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(self, ask: Ask) -> Reply:
        """Send it once."""
        try:
            if ask.node not in self._open:
                self._open[ask.node] = await asyncio.open_connection("127.0.0.1", self._ports[ask.node])
            reader, writer = self._open[ask.node]
            writer.write(ask.written())
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self._hang_up(ask.node)
            return Reply(0, at_s=time.monotonic())
        if headers.get("connection") == "close":
            self._hang_up(ask.node)
        return Reply(int(first.split()[1]), headers, body, time.monotonic())

    def close(self) -> None:
        for node in list(self._open):
            self._hang_up(node)

    def _hang_up(self, node: int) -> None:
        if node in self._open:
            self._open.pop(node)[1].close()


@dataclass
class Heard:
    """Every answer, by what the request was about, in the order in which they came."""

    replies: dict[Any, list[Reply]] = field(default_factory=dict)

    def add(self, about: Any, reply: Reply) -> None:
        self.replies.setdefault(about, []).append(reply)

    def statuses(self, about: Any) -> list[int]:
        return [reply.status for reply in self.replies.get(about, [])]

    def counted(self) -> Counter[int]:
        return Counter(reply.status for replies in self.replies.values() for reply in replies)

    def with_status(self, status: int) -> set[Any]:
        return {about for about in self.replies if status in self.statuses(about)}

    def tell(self) -> None:
        """For whoever wants to know, with `--log-cli-level=info`."""
        log.info("%.2f s without a success, %s", self.longest_pause_s(), dict(self.counted()))

    def longest_pause_s(self) -> float:
        """The longest time without any success: how long the service was away."""
        at = sorted(reply.at_s for replies in self.replies.values() for reply in replies if reply.status == 200)
        return max(later - earlier for earlier, later in pairwise(at))


async def drive(
    ports: Sequence[int],
    asks: Iterable[Ask],
    *,
    until: Callable[[Reply], bool] = lambda _: True,
    after: int = -1,
    happens: Callable[[], Any] | None = None,
    callers: int = CALLERS,
) -> Heard:
    """Send all, many at a time, in this order; each is sent again `until` its answer is final, at the next node.

    After so many successes something `happens`, in a thread, while all go on asking.
    """
    heard, waiting, successes = Heard(), iter(asks), 0
    happening: list[asyncio.Future[Any]] = []

    async def call() -> None:
        nonlocal successes
        caller = Caller(ports)
        for ask in waiting:
            node = ask.node
            while True:
                reply = await caller.ask(ask if node == ask.node else _at(ask, node))
                heard.add(ask.about, reply)
                if reply.status == 200:
                    successes += 1
                    if successes == after and happens is not None:
                        happening.append(asyncio.ensure_future(asyncio.to_thread(happens)))
                if until(reply):
                    break
                node = (node + 1) % len(ports)
                await asyncio.sleep(PAUSE_S)
        caller.close()

    async with asyncio.timeout(HANG_S):
        await asyncio.gather(*(call() for _ in range(callers)))
        await asyncio.gather(*happening)
    return heard


def _at(ask: Ask, node: int) -> Ask:
    return Ask(node=node, about=ask.about, path=ask.path, headers=ask.headers, body=ask.body, method=ask.method)


async def one(port: int, ask: Ask) -> Reply:
    """One request on a connection of its own."""
    caller = Caller([port])
    try:
        async with asyncio.timeout(HANG_S):
            return await caller.ask(ask)
    finally:
        caller.close()

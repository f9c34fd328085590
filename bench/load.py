"""A load generator for machines without wrk: keep-alive connections on one event loop, in a process of its own.

It costs about as much as the server it drives, so its absolute numbers are lower than wrk's; ratios hold. It says the
same on standard output as bench/cancel.lua.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final, cast

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

PATH: Final = "/api/connect/orders/cancel"
_END_OF_HEAD: Final = b"\r\n\r\n"


class Requests:
    """The requests in their sequence, each used once; wraps around when the ids are used up, as cancel.lua does."""

    def __init__(self, ids: Path, tokens: Path, first: int, host: str) -> None:
        self.used = first
        self._pairs = [line.split() for line in ids.read_text().splitlines()]
        self._heads = [
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "X-API-VERSION: 7\r\nContent-Type: application/json\r\nContent-Length: "
            for token in tokens.read_text().split()
        ]

    def next(self) -> bytes:
        """The next request, whole."""
        order, client = self._pairs[self.used % len(self._pairs)]
        self.used += 1
        body = f'{{"orderId":{order}}}'
        return f"{self._heads[int(client)]}{len(body)}\r\n\r\n{body}".encode()


class Tally:
    """What was answered until `ends_at` (seconds of the performance counter)."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.statuses: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.broken = 0


class Caller(asyncio.Protocol):
    """One connection: asks, waits for the answer, asks again."""

    def __init__(self, requests: Requests, tally: Tally) -> None:
        self._requests = requests
        self._tally = tally
        self._received = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first time."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        self._ask()

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of one."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end or len(body) < _content_length(head):
            return
        now = time.perf_counter()
        if now >= self._tally.ends_at:
            return
        self._tally.statuses[head[9:12].decode()] += 1
        self._tally.took_s.append(now - self._asked_at)
        self._received = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Before the end, that is an error."""
        self._tally.broken += time.perf_counter() < self._tally.ends_at

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked_at = time.perf_counter()
        self._transport.write(self._requests.next())


def _content_length(head: bytes) -> int:
    before, found, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.split(b"\r\n", 1)[0]) if found and before else 0


async def _run(host: str, port: int, connections: int, seconds: float, requests: Requests) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    tally = Tally(began + seconds)
    made = await asyncio.gather(
        *(loop.create_connection(lambda: Caller(requests, tally), host, port) for _ in range(connections))
    )
    # A little more than to the end, which uvloop's timers meet a millisecond early.
    await asyncio.sleep(tally.ends_at - time.perf_counter() + 0.01)
    for transport, _ in made:
        transport.abort()
    took_s = sorted(tally.took_s) or [0.0]
    return {
        "used": requests.used,
        "statuses": dict(tally.statuses),
        "broken": tally.broken,
        "duration_s": seconds,
        "p50_ms": took_s[len(took_s) // 2] * 1000,
        "p99_ms": took_s[len(took_s) * 99 // 100] * 1000,
    }


def main() -> None:
    """Cancel for a while, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the server's address")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--connections", type=int, default=64, help="connections, each with one request under way")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long")
    parser.add_argument("--ids", type=Path, required=True, help="a file with `order client` a line")
    parser.add_argument("--tokens", type=Path, required=True, help="a file with a token a line, client by client")
    parser.add_argument("--first", type=int, default=0, help="how many of the ids were used before")
    given = parser.parse_args()
    requests = Requests(given.ids, given.tokens, given.first, f"{given.host}:{given.port}")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        said = runner.run(_run(given.host, given.port, given.connections, given.seconds, requests))
    print(json.dumps(said))


if __name__ == "__main__":
    main()

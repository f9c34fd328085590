"""Generates load on machines without wrk, and at a constant rate: keep-alive connections on one event loop.

It costs about as much as the server it drives, so its absolute numbers are lower than wrk's; ratios hold. It prints the
same output as bench/cancel.lua. With a rate, requests are sent when they are due, whether or not earlier requests were
answered, and a request's time counts from then: a server's pause counts for every request that was due in it.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Final, Protocol, cast

from sample import LINE_BYTES

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

_END_OF_HEAD: Final = b"\r\n\r\n"
_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TICK_S: Final = 0.002


class Source(Protocol):
    """Gives requests, one after the other."""

    def next(self) -> bytes:
        """Return the next request's bytes."""
        ...


class Requests:
    """The requests in their sequence, each used once. After the last the sequence begins again, as in cancel.lua."""

    def __init__(self, requests: Path, headers: Path, first: int, host: str) -> None:
        self.used = first
        self._file = requests.open()
        self._file.seek(first * LINE_BYTES)
        self._uri = f"http://{host}/orders/"
        self._heads = [_head(authorization, host) for authorization in headers.read_text().splitlines()]

    def next(self) -> bytes:
        """Return the next request's bytes."""
        line = self._file.read(LINE_BYTES)
        if not line:
            self._file.seek(0)
            line = self._file.read(LINE_BYTES)
        self.used += 1
        name = line[5:].rstrip()
        if line[0] == "s":
            body = f'{{"order":"{self._uri}{name}","reason":"The visitor cannot come"}}'
        else:
            body = f'{{"orderId":{name}}}'
        return f"{self._heads[int(line[1:4])]}{len(body)}\r\n\r\n{body}".encode()


def _head(authorization: str, host: str) -> str:
    by_key = authorization.startswith("Basic ")
    path = "/ordercancellation/" if by_key else "/api/connect/orders/cancel"
    version = "" if by_key else "X-API-VERSION: 7\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n{version}"
        "Content-Type: application/json\r\nContent-Length: "
    )


class Tally:
    """Counts the answers until `ends_at` (seconds of the performance counter), or until there are enough."""

    def __init__(self, ends_at: float, stop_after: int) -> None:
        self.ends_at = ends_at
        self.stop_after = stop_after
        self.ended_at = ends_at
        self.over = asyncio.Event()
        self.statuses: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.told = 0
        self.broken = 0

    def answered(self, status: str, took_s: float, now: float) -> None:
        """Count an answer, unless it came too late."""
        if now >= self.ends_at or self.over.is_set():
            return
        self.statuses[status] += 1
        self.took_s.append(took_s)
        if len(self.took_s) == self.stop_after:
            self.ended_at = now
            self.over.set()

    def since_last_told(self) -> dict[str, float]:
        """Return the numbers since the last call of this method."""
        took_s, self.told = self.took_s[self.told :], len(self.took_s)
        return {"answers": len(took_s), **percentiles(took_s)}


class Caller(asyncio.Protocol):
    """Runs one connection: sends a request, and after its answer the next one; without a pace, at once."""

    def __init__(self, requests: Source, tally: Tally, pace: "Pace | None") -> None:
        self._requests = requests
        self._tally = tally
        self._pace = pace
        self._received = b""
        self._due_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Take an answer or a piece of it."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        length = _CONTENT_LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        now = time.perf_counter()
        self._tally.answered(head[9:12].decode(), now - self._due_at, now)
        self._received = b""
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Count an error, unless the run is over."""
        self._tally.broken += time.perf_counter() < self._tally.ends_at and not self._tally.over.is_set()

    def ask(self, due_at: float) -> None:
        """Send the next request, which was due at `due_at` (seconds of the performance counter)."""
        assert self._transport is not None
        self._due_at = due_at
        self._transport.write(self._requests.next())

    def _go_on(self) -> None:
        if self._tally.over.is_set() or time.perf_counter() >= self._tally.ends_at:
            return
        if self._pace is None:
            self.ask(time.perf_counter())
        else:
            self._pace.is_free(self)


class Pace:
    """Sends requests at a constant rate, over any connection that is free."""

    def __init__(self, a_second: float) -> None:
        self._every_s = 1 / a_second
        self._free: deque[Caller] = deque()
        self._next_at = time.perf_counter()

    def is_free(self, caller: Caller) -> None:
        """Note that a connection waits for work."""
        self._free.append(caller)

    async def run(self, ends_at: float) -> None:
        """Send requests when they are due, until the end."""
        while (now := time.perf_counter()) < ends_at:
            while self._next_at <= now and self._free:
                self._free.popleft().ask(self._next_at)
                self._next_at += self._every_s
            await asyncio.sleep(_TICK_S)


async def _run(given: argparse.Namespace, requests: Requests) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    tally = Tally(began + given.seconds, given.stop_after)
    pace = Pace(given.rate) if given.rate else None
    made = await asyncio.gather(
        *(
            loop.create_connection(lambda: Caller(requests, tally, pace), given.host, given.port)
            for _ in range(given.connections)
        )
    )
    pacing = asyncio.create_task(pace.run(tally.ends_at)) if pace is not None else None
    telling = asyncio.create_task(_tell(tally, given.tell_every)) if given.tell_every else None
    # Wait a little beyond the end, because uvloop's timers fire a millisecond early.
    loop.call_later(tally.ends_at - time.perf_counter() + 0.01, tally.over.set)
    await tally.over.wait()
    for transport, _ in made:
        transport.abort()
    if pacing is not None:
        await pacing
    if telling is not None:
        telling.cancel()
    return {
        "used": requests.used,
        "answers": tally.statuses.total(),
        "refused": sum(times for status, times in tally.statuses.items() if status >= "400"),
        "statuses": dict(tally.statuses),
        "broken": tally.broken,
        "duration_s": tally.ended_at - began,
        **percentiles(tally.took_s),
    }


async def _tell(tally: Tally, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        print(json.dumps(tally.since_last_told()), flush=True)


def percentiles(took_s: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, by name."""
    ascending = sorted(took_s) or [0.0]
    middle, high = ascending[len(ascending) // 2], ascending[len(ascending) * 99 // 100]
    return {"p50_ms": middle * 1000, "p99_ms": high * 1000}


def main() -> None:
    """Send cancels for a while, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the server's address")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--connections", type=int, default=64, help="connections, each with one request under way")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long")
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: as many as are answered")
    parser.add_argument("--tell-every", type=float, default=0, help="seconds after which to say how it goes; 0: never")
    parser.add_argument("--stop-after", type=int, default=0, help="answers after which to stop; 0: none")
    parser.add_argument("--requests", type=Path, required=True, help="the requests, as bench/sample.py writes them")
    parser.add_argument("--headers", type=Path, required=True, help="a client's Authorization a line")
    parser.add_argument("--first", type=int, default=0, help="how many of the requests were used before")
    given = parser.parse_args()
    requests = Requests(given.requests, given.headers, given.first, f"{given.host}:{given.port}")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        said = runner.run(_run(given, requests))
    print(json.dumps(said))


if __name__ == "__main__":
    main()

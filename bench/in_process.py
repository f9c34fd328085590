"""Calls the application in this process, and measures how long each step of the event loop takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A status and a body."""

    status: int
    body: bytes


Asking = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Answered]]


@dataclass
class Longest:
    """The longest step of the event loop: in seconds of its thread's CPU, and in seconds of the wall clock."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    steps: int = 0


@contextmanager
def steps_measured() -> Iterator[Longest]:
    """Measure each step that asyncio's own event loop takes.

    A step is everything between two looks at what is ready.
    """
    longest = Longest()
    original = asyncio.events.Handle._run  # noqa: SLF001 - asyncio has no other place to look at each step

    def measured(handle: asyncio.Handle) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        original(handle)
        longest.cpu_s = max(longest.cpu_s, time.thread_time() - cpu)
        longest.wall_s = max(longest.wall_s, time.perf_counter() - wall)
        longest.steps += 1

    asyncio.events.Handle._run = measured  # type: ignore[method-assign,assignment]  # noqa: SLF001
    try:
        yield longest
    finally:
        asyncio.events.Handle._run = original  # type: ignore[method-assign]  # noqa: SLF001


def asking(application: ASGIApp) -> Asking:
    """Return a function that calls the application as a server does, without a connection."""

    async def ask(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
        left = [body]
        status, pieces = 0, []

        async def receive() -> Any:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                pieces.append(message.get("body", b""))

        path, _, query = path.partition("?")
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8080),
            "state": {},
        }
        await application(scope, receive, send)
        return Answered(status=status, body=b"".join(pieces))

    return ask

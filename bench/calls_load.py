"""Sends given requests over keep-alive connections, in turns, for some seconds. It runs in a process of its own.

The file of requests has one JSON object a line: method, path, headers, body. It prints the same object as `load.py`.
"""

import argparse
import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

from load import Caller, Tally, percentiles

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop


class GivenRequests:
    """The requests of a file. After the last one, the first one comes again."""

    def __init__(self, file: Path, host: str) -> None:
        self._requests = cycle([_wire_form(json.loads(line), host) for line in file.read_text().splitlines()])

    def next(self) -> bytes:
        """Return the next request's bytes."""
        return next(self._requests)


def _wire_form(given: dict[str, Any], host: str) -> bytes:
    headers = {"Host": host, **given["headers"]}
    body: bytes = given["body"].encode()
    if body:
        headers |= {"Content-Type": "application/json"}
    if given["method"] == "POST":
        headers |= {"Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{given['method']} {given['path']} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def _run(given: argparse.Namespace) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    requests = GivenRequests(given.requests, f"127.0.0.1:{given.port}")
    began = time.perf_counter()
    tally = Tally(began + given.seconds, given.stop_after)
    made = await asyncio.gather(
        *(
            loop.create_connection(lambda: Caller(requests, tally, None), "127.0.0.1", given.port)
            for _ in range(given.connections)
        )
    )
    loop.call_later(tally.ends_at - time.perf_counter() + 0.01, tally.over.set)
    await tally.over.wait()
    for transport, _ in made:
        transport.abort()
    return {
        "answers": tally.statuses.total(),
        "statuses": dict(tally.statuses),
        "broken": tally.broken,
        "duration_s": tally.ended_at - began,
        **percentiles(tally.took_s),
    }


def main() -> None:
    """Send requests for a while, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the server's port, on this machine")
    parser.add_argument("--connections", type=int, required=True, help="connections, each with one request under way")
    parser.add_argument("--seconds", type=float, required=True, help="how long at most")
    parser.add_argument("--stop-after", type=int, default=0, help="answers after which to stop; 0: none")
    parser.add_argument("--requests", type=Path, required=True, help="the requests")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(runner.run(_run(parser.parse_args()))))


if __name__ == "__main__":
    main()

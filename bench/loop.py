"""Measures how long each route holds the event loop, with the largest input that the route allows.

While the loop is held, no other request goes on, and no cancellation. The service runs in this process, on SQLite and
on a PostgreSQL of its own. `--write` writes the results to bench/results/loop.json and into docs/performance.md; no
test asserts them.
"""

import asyncio
import gc
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from litestar.types import ASGIApp

from countermand.bootstrap.database import address_of, open_database
from countermand.bootstrap.service import build
from countermand.settings import read_settings
from countermand.storage.schema import migrate
from in_process import Asking, Longest, asking, steps_measured
from largest_inputs import PUBLIC, Largest, LargestInputs
from own_postgres import OwnPostgres
from report import write_into

_TURNS: Final = 3
_HERE: Final = Path(__file__).parent
Measured = dict[tuple[str, str], dict[str, Longest]]


def main() -> int:
    """Measure, write the results, and print them."""
    found: Measured = {}
    if "--only-postgresql" not in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "loop.sqlite3")
            asyncio.run(_measure({"database_path": path}, "sqlite", found))
    if "--only-sqlite" not in sys.argv:
        with OwnPostgres() as server:
            server.create_database("loop")
            asyncio.run(_measure({"database_url": server.url("loop")}, "postgresql", found))
    table = _table(found)
    print(table)
    if "--write" in sys.argv:
        write_into(_HERE.parent / "docs" / "performance.md", "loop", table)
        rows = [
            {"route": route, "input": what, **{name: round(one.cpu_s * 1000, 1) for name, one in of.items()}}
            for (route, what), of in found.items()
        ]
        (_HERE / "results" / "loop.json").write_text(json.dumps({"cpu_ms": rows}, indent=2) + "\n")
    return 0


async def _measure(database: Mapping[str, Any], name: str, found: Measured) -> None:
    settings = read_settings(
        None,
        **database,
        connect_issuer="",
        connect_key_set="",
        connect_token_endpoint=True,
        sandbox_payments=True,
        log_level="error",
    )
    await asyncio.to_thread(migrate, address_of(settings))
    opened = await open_database(settings)
    service = build(settings, opened, PUBLIC)
    stop = await _started(service.application)
    ask = asking(service.application)
    inputs = LargestInputs(ask, opened, on_postgres=settings.database_url is not None)
    requests = await inputs.fill()
    gc.collect()
    gc.freeze()  # as `countermand serve` does
    gc.set_threshold(50_000, 100, 100)
    for request in requests:
        turns = [await _longest(ask, request) for _ in range(1 if request.once else _TURNS)]
        found.setdefault((request.route, request.what), {})[name] = _median(turns)
        print(name, request.route, request.what, turns, flush=True)
    together = await inputs.cancelled_together()
    found.setdefault((together.route, together.what), {})[name] = await _longest(ask, together)
    await stop()
    await opened.close()


async def _longest(ask: Asking, request: Largest) -> Longest:
    with steps_measured() as longest:
        answers = await asyncio.gather(
            *(ask(request.method, request.path, request.headers, body) for body in request.bodies)
        )
    for answer in answers:
        assert answer.status == request.status, (request, answer.status, answer.body[:300])
    return longest


def _median(turns: list[Longest]) -> Longest:
    return Longest(
        cpu_s=statistics.median(turn.cpu_s for turn in turns),
        wall_s=statistics.median(turn.wall_s for turn in turns),
        steps=turns[-1].steps,
    )


def _table(found: Measured) -> str:
    names = ["sqlite", "postgresql"]
    lines = [
        f"| `{route}` | {what} | "
        + " | ".join(f"{of[name].cpu_s * 1000:.1f} ({of[name].wall_s * 1000:.0f})" for name in names if name in of)
        + " |"
        for (route, what), of in found.items()
    ]
    heads = f"| route | largest input | {' | '.join(f'{name}, ms' for name in names)} |\n| --- | --- | --- | --- |\n"
    return heads + "\n".join(lines) + "\n"


async def _started(application: ASGIApp) -> Any:
    """Start the application as a server does; return the function that stops it."""
    to_application: asyncio.Queue[Any] = asyncio.Queue()
    from_application: asyncio.Queue[Any] = asyncio.Queue()
    scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(application(scope, to_application.get, from_application.put))
    await to_application.put({"type": "lifespan.startup"})
    await from_application.get()

    async def stop() -> None:
        await to_application.put({"type": "lifespan.shutdown"})
        await from_application.get()
        await task

    return stop


if __name__ == "__main__":
    sys.exit(main())

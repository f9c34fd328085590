"""Runs the product at a constant rate for ten minutes, and records memory and latency for each minute."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from check import check, counts
from databases import OrdersDatabase
from driving import Asking, LoadError, in_python
from processes import cpu_s, rss_mb
from sample import MIXED, Credentials
from servers import BATCHED, running

RATE: Final = 1_500  # requests a second: about a tenth of the product's best rate, so that nothing queues
CONNECTIONS: Final = 64
MINUTE_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Minute:
    """The results of one minute. Times count from when a request was due."""

    minute: int
    cancels_a_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float | None
    server_cpu_us: float | None


def soak(
    credentials: Credentials, database: OrdersDatabase, *, minutes: int, rate: int, tell: Callable[[Minute], None]
) -> list[Minute]:
    """Run the soak, and check the database afterwards. Raises `LoadError`, `CheckError`."""
    turns = database.sample.turns[MIXED]
    asking = Asking(generator="python", credentials=credentials, connections=CONNECTIONS)
    before = counts(database)
    went: list[Minute] = []
    with running(BATCHED, credentials, database) as server:
        seconds = minutes * MINUTE_S + 1  # so that the last minute is reported before the end
        command = in_python(asking, turns, server.port, first=0, seconds=seconds)
        command += ["--rate", str(rate), "--tell-every", str(MINUTE_S)]
        seen: dict[str, Any] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout is not None
            used_s = cpu_s([server.pid])
            for line in load.stdout:
                seen = json.loads(line)
                if "used" in seen:  # the last line, with the totals
                    break
                now_s = cpu_s([server.pid])
                cpu_us = None if now_s is None or used_s is None else (now_s - used_s) / max(seen["answers"], 1) * 1e6
                used_s = now_s
                went.append(
                    Minute(
                        minute=len(went) + 1,
                        cancels_a_second=seen["answers"] / MINUTE_S,
                        p50_ms=seen["p50_ms"],
                        p99_ms=seen["p99_ms"],
                        rss_mb=rss_mb([server.pid]),
                        server_cpu_us=cpu_us,
                    )
                )
                tell(went[-1])
    if load.returncode != 0 or set(seen["statuses"]) != {"200"} or seen["broken"]:
        raise LoadError(f"the load ended with {load.returncode}: {seen}")
    database.used(turns, seen["used"])
    check(database, turns, before, answered=seen["answers"], under_way=CONNECTIONS, first=0, until=seen["used"])
    return went

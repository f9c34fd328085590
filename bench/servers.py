"""Starts the servers that are measured over HTTP. They differ in one thing each; every server is its own process."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from databases import OrdersDatabase
from sample import ISSUER, Credentials

_HERE: Final = Path(__file__).parent
_READY: Final = "Countermand is ready at "
_START_LIMIT_S: Final = 60
_STOP_LIMIT_S: Final = 60
FLIGHTS_UNBATCHED: Final = 32  # as many as pgbench has clients


class ServerError(Exception):
    """Raised if a server did not start, or did not stop properly."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of server to measure: its command, its settings, and whether it really cancels."""

    name: str
    about: str
    command: tuple[str, ...]
    settings: Mapping[str, str]
    cancels: bool = True
    workers: int = 1


NO_OP: Final = Kind(
    name="no-op",
    about="HTTP, credentials, contract and answer, no store (bench/no_op.py)",
    command=(str(_HERE / "no_op.py"),),
    settings={},
    cancels=False,
)
BATCHED: Final = Kind(
    name="batched",
    about="the product as it is: group commit",
    command=("-m", "countermand", "serve"),
    settings={},
)
TWO_WORKERS: Final = Kind(
    name="two workers",
    about="the product as it is, with `--workers 2`",
    command=("-m", "countermand", "serve", "--workers", "2"),
    settings={},
    workers=2,
)
UNBATCHED: Final = Kind(
    name="unbatched",
    about="the product with a transaction for each cancellation: COUNTERMAND_BATCH_CAP=1, and on PostgreSQL "
    f"COUNTERMAND_FLIGHTS={FLIGHTS_UNBATCHED} connections",
    command=("-m", "countermand", "serve"),
    settings={"COUNTERMAND_BATCH_CAP": "1", "COUNTERMAND_FLIGHTS": str(FLIGHTS_UNBATCHED)},
)
KINDS: Final = (NO_OP, BATCHED, TWO_WORKERS, UNBATCHED)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that is ready."""

    pid: int
    port: int


@contextmanager
def running(kind: Kind, credentials: Credentials, database: OrdersDatabase) -> Iterator[Server]:
    """Start a server on a free port, and stop it. After that, the database has everything that the server answered."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
    environment = {
        **clean,
        "COUNTERMAND_PORT": "0",
        "COUNTERMAND_CONNECT_ISSUER": ISSUER,
        "COUNTERMAND_CONNECT_KEY_SET": str(credentials.key_set),
        "COUNTERMAND_LOG_FORMAT": "json",  # one line per request, as in production
        **database.settings(),
        **kind.settings,
    }
    log = credentials.key_set.with_name("server.log")
    with log.open("wb") as its_log:
        process = subprocess.Popen(
            [sys.executable, *kind.command],
            stdout=subprocess.PIPE,
            stderr=its_log,
            text=True,
            env=environment,
            cwd=credentials.key_set.parent,
        )
    try:
        yield Server(pid=process.pid, port=_port(process, log))
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if process.returncode != 0:
        raise ServerError(f"the {kind.name} server ended with {process.returncode}: {_complaints(log)}")
    if complaints := _complaints(log):
        raise ServerError(f"the {kind.name} server complained: {complaints}")


def _complaints(log: Path) -> str:
    """Return the end of the server's log without the lines of requests."""
    with log.open() as lines:
        return "".join(deque((line for line in lines if '"level":"info","event":"request"' not in line), 20))


def _port(process: subprocess.Popen[str], log: Path) -> int:
    assert process.stdout is not None
    too_long = threading.Timer(_START_LIMIT_S, process.kill)
    too_long.start()
    try:
        for line in process.stdout:
            if line.startswith(_READY):
                return int(line.rpartition(":")[2])
    finally:
        too_long.cancel()
    process.wait()
    raise ServerError(f"a server did not become ready: {_complaints(log)}")

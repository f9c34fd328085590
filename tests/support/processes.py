"""Runs the service as a separate process, over real HTTP on loopback."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx

from support.forked import Forked

Process = subprocess.Popen[str] | Forked

START_LIMIT_S = 120  # the machine may be busy; nothing here asserts a time
STOP_LIMIT_S = 120


@dataclass
class Running:
    """A process, and where it listens."""

    process: Process
    base_url: str
    said: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_LIMIT_S)

    def stop(self) -> int:
        """As an operator would; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_LIMIT_S)


@dataclass
class Demo(Running):
    """A running demo, with what its demo.json says."""

    folder: Path = Path()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads((self.folder / "demo.json").read_text())

    def connect_headers(self, token: str = "access_token") -> dict[str, str]:
        token = self.json["connect"][token]
        return {"Authorization": f"Bearer {token}", "X-API-VERSION": "7", "Content-Type": "application/json"}

    def manage_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.json['manage']['token']}", "Content-Type": "application/json"}

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, timeout=120, trust_env=False, **more)

    @property
    def database(self) -> Path:
        return self.folder / "countermand.sqlite3"


def countermand(*arguments: str, environment: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, from nothing, with a clean environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "countermand", *arguments],
        stdout=subprocess.PIPE,
        stderr=more.pop("stderr", subprocess.PIPE),
        text=True,
        env=_clean() | (environment or {}),
        **more,
    )


def forked(*arguments: str, environment: dict[str, str] | None = None, stderr: TextIO | None = None) -> Process:
    """The same without two seconds of importing, where a process can be forked from one that has imported all."""
    if sys.platform != "linux":
        return countermand(*arguments, environment=environment, stderr=stderr or subprocess.PIPE)
    return Forked(list(arguments), _clean() | (environment or {}), stderr)


def finished(*arguments: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run a command to its end: the exit code, and what it printed on standard output and standard error."""
    process = forked(*arguments, environment=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        out, err = process.stdout.read(), process.stderr.read()
    return process.wait(STOP_LIMIT_S), out, err


def _clean() -> dict[str, str]:
    """Our environment without settings; what is compiled may be kept, or each process would compile it again."""
    left_out = ("COUNTERMAND_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def until_ready(process: Process) -> tuple[str, list[str]]:
    """Read what it says until it is ready: the address, and the lines so far."""
    said: list[str] = []
    ends_at = time.monotonic() + START_LIMIT_S
    assert process.stdout is not None
    while time.monotonic() < ends_at:
        readable, _, _ = select.select([process.stdout], [], [], 0.1)
        if readable and (line := process.stdout.readline()):
            said.append(line.rstrip("\n"))
            if line.startswith("Countermand is ready at "):
                return line.split()[-1], said
        elif process.poll() is not None:
            break
    process.kill()
    raise AssertionError(f"it did not become ready: {said} {process.stderr and process.stderr.read()}")


@contextmanager
def until_stopped(process: Process) -> Iterator[tuple[str, list[str]]]:
    """Wait until a process that was started is ready, and stop it in the end: gives its address, and what it said."""
    try:
        yield until_ready(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_LIMIT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def a_demo(
    folder: Path,
    *arguments: str,
    port: int = 0,
    environment: dict[str, str] | None = None,
    with_lines: bool = False,
) -> Iterator[Demo]:
    """A running demo on a free port. `with_lines` leaves it its lines of requests, which wait once the pipe is full."""
    quiet = {} if with_lines else {"COUNTERMAND_LOG_LEVEL": "warning"}
    process = forked(
        "demo", "--data-dir", str(folder), "--port", str(port), *arguments, environment=quiet | (environment or {})
    )
    with until_stopped(process) as (base_url, said):
        yield Demo(process, base_url, said, folder)

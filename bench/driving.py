"""Runs the load generator and reads its results: wrk if the system has it, otherwise bench/load.py."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sample import Credentials, Turns

_HERE: Final = Path(__file__).parent
_PATIENCE_S: Final = 60  # added to the requested seconds, for a machine under other load
_OK: Final = "200"


class LoadError(Exception):
    """Raised if the load could not be generated, or if answers other than 200 came back."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """The results of one run of the load generator."""

    used: int  # requests that were handed out, by earlier runs, too
    cancelled: int  # answers 200
    duration_s: float
    p50_ms: float
    p99_ms: float

    @property
    def cancels_a_second(self) -> float:
        """Cancellations per second."""
        return self.cancelled / self.duration_s


NOTHING: Final = Load(used=0, cancelled=0, duration_s=0, p50_ms=0, p99_ms=0)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How the load is generated: with wrk or in Python, the credentials, and the connections.

    Each connection has one request at a time.
    """

    generator: str
    credentials: Credentials
    connections: int


def generators() -> list[str]:
    """Return the load generators that this machine can run, the best first."""
    return ["wrk", "python"] if shutil.which("wrk") else ["python"]


def drive(
    asking: Asking, turns: Turns, port: int, *, first: int, seconds: int, stop_after: int = 0, statuses: bool = False
) -> Load:
    """Cancel from the turn `first` on, for `seconds` seconds or until enough requests were answered.

    Raises `LoadError` unless every answer was 200. By itself, wrk distinguishes only answers below 400 from others;
    with `statuses` it checks each answer, which costs some microseconds per answer. The database is checked afterwards
    for what each 200 did.
    """
    if asking.generator == "wrk":
        command = ["wrk", "-t1", f"-c{asking.connections}", f"-d{seconds}s", "--timeout", f"{_PATIENCE_S}s"]
        command += ["-s", str(_HERE / "cancel.lua"), f"http://127.0.0.1:{port}"]
        environment = {
            "BENCH_REQUESTS": str(turns.requests),
            "BENCH_HEADERS": str(asking.credentials.headers),
            "BENCH_FIRST": str(first),
            "BENCH_STOP_AFTER": str(stop_after),
            "BENCH_STATUSES": str(int(statuses)),
        }
    else:
        command = in_python(asking, turns, port, first=first, seconds=seconds)
        command += ["--stop-after", str(stop_after)]
        environment = {}
    seen = _seen(command, seconds, environment)
    _all_well(seen, turns)
    return Load(
        used=seen["used"],
        cancelled=seen["answers"],
        duration_s=seen["duration_s"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
    )


def in_python(asking: Asking, turns: Turns, port: int, *, first: int, seconds: int) -> list[str]:
    """Return the command that runs `load.py`."""
    command = [sys.executable, str(_HERE / "load.py"), "--port", str(port), "--seconds", str(seconds)]
    command += ["--connections", str(asking.connections), "--first", str(first)]
    return [*command, "--requests", str(turns.requests), "--headers", str(asking.credentials.headers)]


def _all_well(seen: Mapping[str, Any], turns: Turns) -> None:
    if seen["refused"] or seen["broken"] or set(seen["statuses"]) - {_OK}:
        why = f"{seen['refused']} of {seen['answers']} answers were refusals or errors"
        why += f" (by status: {seen['statuses'] or 'not counted'}), broken connections: {seen['broken']}"
        if seen["used"] > turns.length:
            why += f"; {turns.length} orders were too few for so long: give more with --orders"
        raise LoadError(why)


def _seen(command: list[str], seconds: int, environment: Mapping[str, str]) -> dict[str, Any]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    complaints: list[str] = []

    def listen() -> None:
        for line in process.stderr or ():
            if line == "enough\n":
                process.send_signal(signal.SIGINT)  # wrk then ends and prints its results
            else:
                complaints.append(line)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    too_long = threading.Timer(seconds + _PATIENCE_S, process.kill)
    too_long.start()
    try:
        assert process.stdout is not None
        said = process.stdout.read()
        process.wait()
    finally:
        too_long.cancel()
        process.kill()
        listener.join()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
    if process.returncode != 0 or complaints:
        raise LoadError(f"{command[0]} ended with {process.returncode}: {(said + ''.join(complaints))[-1000:]}")
    seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    return seen

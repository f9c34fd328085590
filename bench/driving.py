"""Who asks, and what came back? wrk where the system has it, otherwise bench/load.py."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sample import Sample

_HERE: Final = Path(__file__).parent
_PATIENCE_S: Final = 60  # beyond the seconds asked for: reading a million ids, and a machine under other load


class LoadError(Exception):
    """The load could not be made, or answers other than 200 came back."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one run of the load generator saw."""

    used: int  # ids handed out so far, by earlier runs, too
    cancelled: int  # answers 200
    duration_s: float
    p50_ms: float
    p99_ms: float


def generators() -> list[str]:
    """The load generators that can run here, the best first."""
    return ["wrk", "python"] if shutil.which("wrk") else ["python"]


def drive(generator: str, sample: Sample, port: int, *, connections: int, seconds: int, first: int) -> Load:
    """Cancel for so many seconds. Raises `LoadError` unless every answer was 200."""
    if generator == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{_PATIENCE_S}s"]
        command += ["-s", str(_HERE / "cancel.lua"), f"http://127.0.0.1:{port}"]
        said = _output(command, seconds, {"BENCH_FIRST": str(first), **_files(sample)})
    else:
        command = [sys.executable, str(_HERE / "load.py"), "--port", str(port), "--connections", str(connections)]
        command += ["--seconds", str(seconds), "--first", str(first)]
        command += ["--ids", str(sample.ids), "--tokens", str(sample.tokens)]
        said = _output(command, seconds, {})
    seen = json.loads(said.splitlines()[-1])
    statuses: dict[str, int] = seen["statuses"]
    if set(statuses) != {"200"} or seen["broken"]:
        why = f"answers by status: {statuses}, broken connections: {seen['broken']}"
        if seen["used"] > sample.orders:
            why += f"; {sample.orders} orders were too few for so long: give more with --orders"
        raise LoadError(why)
    return Load(
        used=seen["used"],
        cancelled=statuses["200"],
        duration_s=seen["duration_s"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
    )


def _files(sample: Sample) -> Mapping[str, str]:
    return {"BENCH_IDS": str(sample.ids), "BENCH_TOKENS": str(sample.tokens)}


def _output(command: list[str], seconds: int, environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **environment},
            timeout=seconds + _PATIENCE_S,
        )
    except subprocess.CalledProcessError as error:
        raise LoadError(f"{command[0]} failed: {(error.stdout + error.stderr)[-1000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{command[0]} did not end within {seconds + _PATIENCE_S} seconds") from error
    if done.stderr:
        raise LoadError(f"{command[0]} complained: {done.stderr[-1000:]}")
    return done.stdout

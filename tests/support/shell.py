"""Runs lines in a shell, as a person does who pastes them."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shell = Callable[..., str]

_STAND_INS = Path(__file__).with_name("stand_ins.py")
_REAL = ("curl", "openssl")


@pytest.fixture(params=["stand-ins", pytest.param("the programs", marks=pytest.mark.needs(*_REAL))])
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """Runs lines in bash and gives what they print: with stand-ins for curl and openssl, and with the programs."""
    environment = os.environ | {"NO_PROXY": "*"}
    if request.param == "stand-ins":
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in _REAL:
            command = shlex.join([sys.executable, str(_STAND_INS), name])
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o700)
        environment["PATH"] = f"{programs}:{environment['PATH']}"

    def run(lines: str, folder: Path | None = None) -> str:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=environment,
        ).stdout

    return run

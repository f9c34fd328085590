"""Builds the distributions that users install with `pip`: the wheel, and the archive of the source."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]

_BUILD = "import sys; from flit_core import buildapi; print(getattr(buildapi, sys.argv[1])(sys.argv[2]))"


def build(kind: Literal["wheel", "sdist"], into: Path) -> Path:
    """Build it, and give the file."""
    command = [sys.executable, "-c", _BUILD, f"build_{kind}", str(into)]
    return into / subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()[-1]

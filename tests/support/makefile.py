"""Runs make as from a separate shell, although make runs the tests themselves."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make(*arguments: str) -> str:
    """What make prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def planned(*target: str) -> str:
    """What make would run for a target, with nothing made yet."""
    return make("--dry-run", "--always-make", *target)

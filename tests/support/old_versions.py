"""Builds earlier versions from the history; each runs in its own environment, with the packages of its lock file.

An environment is made once and kept in `.old-versions`, so that only the first run takes half a minute.
"""

import fcntl
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from support.nodes import Shop, environment_of
from support.serving import Served, started

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / ".old-versions"
_LIMIT_S = 280


@dataclass(frozen=True)
class OldVersion:
    """A commit, and the newest schema that its code knows (its `NEWEST_SCHEMA`)."""

    commit: str
    schema: int

    def works_with(self, oldest_code: int) -> bool:
        """Whether it goes on with a schema that works with code from `oldest_code` on."""
        return oldest_code <= self.schema


# The versions that may still be running when somebody upgrades, the newest last. A change of the schema after which old
# nodes would decide wrongly raises `oldest_code`: then add the commit before that change, with the schema it knows.
OLD_VERSIONS = (OldVersion(commit="f4375c1", schema=4), OldVersion(commit="2f0ef4c", schema=5))


def countermand_of(version: OldVersion) -> Path:
    """The command `countermand` of that version. Fails, and says what is missing, where it cannot be built."""
    here = _KEPT / f"{version.commit}-{sys.implementation.cache_tag}"
    command, ready = here / "bin" / "countermand", here / ".ready"
    _KEPT.mkdir(exist_ok=True)
    with (_KEPT / f"{here.name}.lock").open("w") as lock:  # several processes of the tests may need it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(here, ignore_errors=True)
            _build(version, here)
            ready.touch()
    return command


def _build(version: OldVersion, here: Path) -> None:
    archive = _run(
        f"the commit {version.commit} cannot be read from this clone's history, so no node of it can be run; "
        "fetch the whole history with: git fetch --unshallow",
        "git",
        "-C",
        str(_ROOT),
        "archive",
        "--format=tar",
        version.commit,
    )
    source = here / "source"
    source.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(source, filter="data")
    cannot = f"the requirements of {version.commit} cannot be installed, so no node of it can be run"
    _run(cannot, sys.executable, "-m", "venv", str(here))
    pip = [str(here / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    locked = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(source / "requirements" / "run.txt")]
    _run(cannot, *pip, "install", *locked)
    wheels = here / "wheels"
    cannot = f"the wheel of {version.commit} cannot be built, so no node of it can be run"
    _run(cannot, *pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source))
    # Without its declared dependencies, of which it had forgotten some: they are all there.
    _run(cannot, *pip, "install", "--no-deps", *map(str, wheels.glob("*.whl")))


def _run(cannot: str, *command: str) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        pytest.fail(f"{cannot}: {said or error}", pytrace=False)
    return done.stdout


def migrated_by(version: OldVersion, shop: Shop) -> None:
    """Make the database's schema as that version has it."""
    environment = {"PATH": "/usr/bin:/bin", **environment_of(shop)}
    command = [countermand_of(version), "migrate"]
    subprocess.run(command, env=environment, cwd=shop.folder, check=True, capture_output=True, timeout=_LIMIT_S)


@contextmanager
def an_old_node(version: OldVersion, shop: Shop, **settings: object) -> Iterator[Served]:
    """A running node of that version. `settings` overrides any setting."""

    def start(port: str, log: TextIO) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [countermand_of(version), "serve", "--port", port],
            env={"PATH": "/usr/bin:/bin", **environment_of(shop, **settings)},
            cwd=shop.folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    with started(start, shop.folder) as node:
        yield node

"""Makes a disk without room: a limit on the size of files, which needs no privileges, or a small file system."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from support.world import World


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """This process's files may not grow beyond this: what is written there fails, as with a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_room(world: World) -> Iterator[None]:
    """Not a page more for the world's database."""
    path = world.settings.database_path
    with files_no_larger_than(path.with_name(path.name + "-wal").stat().st_size):
        yield


@cache
def unsharing() -> tuple[str, ...] | None:
    """The command that gives a process mounts of its own, which nobody else sees; None where that is not allowed."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return None
    for rights in ((), ("--user", "--map-root-user")):
        command = ("unshare", *rights, "--mount", "--propagation", "private")
        mounting = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(mounting, capture_output=True, check=False).returncode == 0:
            return command
    return None


def on_a_small_file_system(folder: Path, size: str, *command: str, read_only: bool = False) -> list[str]:
    """The command line that runs a command with a file system of its own at `folder`, filled from `folder`.seed."""
    unshare = unsharing()
    assert unshare is not None
    fill = 'mount -t tmpfs -o "size=$1" none "$2" && cp "$2.seed"/* "$2"'
    close = ' && mount -o remount,ro "$2"' if read_only else ""
    return [*unshare, "sh", "-c", f'{fill}{close} && shift 2 && exec "$@"', "sh", size, str(folder), *command]


def seen_by(pid: int, path: Path) -> Path:
    """A path as a process sees it that has mounts of its own."""
    return Path(f"/proc/{pid}/root{path}")

"""One process alone serves an SQLite file; its lock ends with it, however it ends."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from countermand.storage.sqlite.serving_lock import ServedElsewhereError, only_server_of

HOLDS = """
import sys
from pathlib import Path
from countermand.storage.sqlite.serving_lock import only_server_of
with only_server_of(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_server_of(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "orders.sqlite3"
    made.touch()
    return made


def test_a_second_server_is_refused_with_the_process_and_the_machine_of_the_first(path: Path):
    with another_server_of(path) as other:
        with pytest.raises(ServedElsewhereError) as raised, only_server_of(path):
            pass
        assert str(path) in str(raised.value)
        assert f"process {other.pid} on {socket.gethostname()}" in str(raised.value)
        with only_server_of(path.with_name("others.sqlite3")):
            pass  # another file is another matter


def test_a_process_that_is_killed_leaves_no_lock(path: Path):
    with another_server_of(path) as other:
        other.kill()
        other.wait()
        with only_server_of(path):
            holder = path.with_name("orders.sqlite3-serving").read_text()
            assert holder == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_it_ends_with_its_block_and_is_not_inherited_by_a_program_that_is_started_meanwhile(path: Path):
    with only_server_of(path):
        started = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with only_server_of(path):
        pass
    started.communicate(b"")
    assert path.with_name("orders.sqlite3-serving").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_served_with_a_warning(path: Path, number: int, monkeypatch: pytest.MonkeyPatch):
    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with structlog.testing.capture_logs() as lines, only_server_of(path):
        pass
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["path"] == str(path)
    assert line["reason"] == os.strerror(number)


def test_without_its_folder_nothing_is_made(tmp_path: Path):
    with only_server_of(tmp_path / "new" / "orders.sqlite3"):
        pass
    assert list(tmp_path.iterdir()) == []

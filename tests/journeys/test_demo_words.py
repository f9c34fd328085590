"""`countermand demo` from outside: what it says, where it says it, and how it refuses."""

import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from countermand.serving import is_loopback
from support.command_line import Run, assert_one_sentence, runner
from support.demo_orders import cancel_service_order, is_cancelled
from support.processes import START_LIMIT_S, Demo, a_demo
from support.shell import Shell

OUTCOMES = [200, 422, 404, 401, 200, 403, 409, 400]  # connect's four, then shopping's


# what it says


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def test_it_says_that_it_is_ready_when_it_answers_and_where_its_secrets_are_but_not_which(demo: Demo):
    with demo.client() as http:  # the line was read a moment ago
        assert http.get("/readyz").status_code == 200
    made = demo.json
    assert demo.said == [f"Countermand is ready at {made['base_url']}"]
    demo.process.send_signal(signal.SIGINT)  # Ctrl-C
    assert demo.process.wait(120) == 0
    assert demo.process.stdout is not None
    assert demo.process.stderr is not None
    said = demo.process.stdout.read()
    assert demo.process.stderr.read() == ""
    assert str(demo.folder / "demo.json") in said
    assert [secret for secret in secrets_of(made) if secret in said] == []
    assert "curl" not in said


def test_on_a_terminal_it_prints_a_request_for_each_outcome_and_each_works_as_printed(shell: Shell, tmp_path: Path):
    folder = tmp_path / "it's a demo"  # a name that a shell would trip over
    with a_demo_on_a_terminal(folder) as said:
        assert re.search(r"^Countermand is ready at http://127\.0\.0\.1:\d+$", said, flags=re.MULTILINE)
        printed = re.findall(r"^ *# .*: (\d{3})\n *(curl .*)$", said, flags=re.MULTILINE)
        assert [int(promised) for promised, _ in printed] == OUTCOMES
        assert len(re.findall(r"^ *curl ", said, flags=re.MULTILINE)) == len(OUTCOMES)
        answers = [shell(command) for _, command in printed]
        assert [(status_in(answer), command) for answer, (_, command) in zip(answers, printed, strict=True)] == [
            (int(promised), command) for promised, command in printed
        ]
        assert all(answer.endswith("\n") for answer in answers)  # the shell's next prompt begins a line


@pytest.mark.parametrize(
    ("host", "is_ours_alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.com", False),
    ],
)
def test_what_others_can_reach_is_known(host: str, *, is_ours_alone: bool):
    assert is_loopback(host) is is_ours_alone


def test_it_warns_where_others_can_reach_it(tmp_path: Path):
    with a_demo(tmp_path / "demo", "--host", "0.0.0.0") as running:
        with running.client() as http:
            assert http.get("/readyz").status_code == 200
        running.process.terminate()
        _, complained = running.process.communicate(timeout=120)
    assert complained.count("\n") == 1
    assert "0.0.0.0" in complained
    assert "other machines" in complained


# what it refuses


def test_a_taken_port_is_one_sentence_and_nothing_is_made(run: Run, tmp_path: Path):
    folder = tmp_path / "demo"
    with a_taken_port() as port:
        said = run("demo", "--data-dir", str(folder), "--port", str(port))
    assert_one_sentence(said, f"127.0.0.1:{port}", "--port", "make run PORT=")
    assert not folder.exists()


def test_a_taken_port_with_fresh_takes_nothing_away(run: Run, tmp_path: Path):
    with a_demo(tmp_path / "demo") as running:
        before = running.json
        port = running.base_url.rpartition(":")[2]
        said = run("demo", "--data-dir", str(running.folder), "--port", port, "--fresh")
        assert_one_sentence(said, f"127.0.0.1:{port}")
        assert running.json == before
        with running.client() as http:
            order_id = before["connect"]["orders"]["cancellable"][0]
            assert cancel_service_order(http, running, order_id).status_code == 200
        assert is_cancelled(running, order_id)


def file_in_the_way(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file"


def file_above(tmp_path: Path) -> Path:
    return file_in_the_way(tmp_path) / "demo"


def folder_for_a_file(tmp_path: Path) -> Path:
    (tmp_path / "demo" / "demo-secrets.json").mkdir(parents=True)
    return tmp_path / "demo"


def database_that_is_none(tmp_path: Path) -> Path:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "countermand.sqlite3").write_text("mine, and longer than the header of a database " * 4)
    return tmp_path / "demo"


@pytest.mark.parametrize(
    "place", [file_in_the_way, file_above, folder_for_a_file, database_that_is_none], ids=lambda one: one.__name__
)
def test_a_folder_that_cannot_be_used_is_one_sentence(place: Callable[[Path], Path], run: Run, tmp_path: Path):
    folder = place(tmp_path)
    assert_one_sentence(run("demo", "--data-dir", str(folder), "--port", "0"), str(folder))
    assert not (folder / "demo.json").exists()


@contextmanager
def a_demo_on_a_terminal(folder: Path) -> Iterator[str]:
    """A demo whose standard output is a terminal; gives what it said by the time it was done."""
    ours, its = pty.openpty()
    with (folder.parent / "complaints").open("w") as complaints:
        process = subprocess.Popen(
            [*countermand_command(), "demo", "--data-dir", str(folder), "--port", "0"], stdout=its, stderr=complaints
        )
    os.close(its)
    try:
        said, ends_at = "", time.monotonic() + START_LIMIT_S
        while "Ctrl-C stops." not in said:
            assert time.monotonic() < ends_at, said
            assert process.poll() is None, said
            if select.select([ours], [], [], 0.1)[0]:
                said += os.read(ours, 65536).decode()
        yield said.replace("\r\n", "\n")
    finally:
        process.terminate()
        process.wait(120)
        os.close(ours)


def countermand_command() -> list[str]:
    """The command as a person types it."""
    found = shutil.which("countermand", path=str(Path(sys.executable).parent))
    assert found is not None
    return [found]


def status_in(said: str) -> int:
    statuses = re.findall(r"^HTTP/1\.1 (\d{3})", said, flags=re.MULTILINE)
    assert len(statuses) == 1, said
    return int(statuses[0])


def secrets_of(made: dict[str, Any]) -> list[str]:
    found = [value for name, value in made["connect"].items() if name.endswith("token")]
    found += [value for name, value in made["shopping"].items() if name.endswith("secret")]
    return [*found, *(token.partition(".")[2] for token in made["manage"].values())]


@contextmanager
def a_taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])

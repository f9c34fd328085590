"""The receivers that docs/events.md shows verify what is really sent, and store each event once."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from socket import create_connection

import pytest

from countermand.delivery.signing import new_secret
from support.clients import NODE, PACKAGES, PYTHON
from support.pages import ROOT, blocks
from support.receivers import BOX, a_sender, a_sending
from support.serving import free_port

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "events.md"
PORT = "9001"  # of the page
SECRET = new_secret()
START_LIMIT_S = 120


def program(language: str) -> str:
    (found,) = [one.text for one in blocks(PAGE) if one.language == language and "standardwebhooks" in one.text]
    assert PORT in found
    return found


@contextmanager
def running(folder: Path, language: str) -> Iterator[int]:
    """A receiver of the page in a process of its own, on a free port."""
    port = free_port()
    file = folder / {"python": "receiver.py", "javascript": "receiver.mjs"}[language]
    file.write_text(program(language).replace(PORT, str(port)))
    (folder / "node_modules").symlink_to(PACKAGES)
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET}
    command = [{"python": PYTHON, "javascript": NODE}[language], file]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until_it_listens(port, process)
            yield port
        finally:
            process.terminate()


def until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < ends_at:
        with suppress(OSError), create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError("the receiver does not listen")


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_a_receiver_takes_an_event_each_time_it_comes_and_refuses_a_wrong_signature(
    language: str, tmp_path: Path
):
    with running(tmp_path, language) as port:
        url = f"http://127.0.0.1:{port}/"
        async with a_sender() as sender:
            right, wrong = (BOX.encrypt(one.encode()) for one in (SECRET, new_secret()))
            sent = [
                await sender.send(a_sending(url, secret=secret, event_id=event_id))
                for secret, event_id in ((right, "evt_1"), (right, "evt_1"), (wrong, "evt_2"), (right, "evt_3"))
            ]
    assert [one.status for one in sent] == [204, 204, 401, 204]
    if language == "python":
        with closing(sqlite3.connect(tmp_path / "inbox.sqlite3")) as inbox:
            assert [row[0] for row in inbox.execute("SELECT id FROM inbox ORDER BY id")] == ["evt_1", "evt_3"]

"""Drives a headless Chromium over a pair of pipes (`--remote-debugging-pipe`), without a driver or a port."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.browser_choice import choose

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 120
# Chromium reads its orders from 3 and answers on 4, whatever numbers the pipes have here.
_LAUNCH = "import os, sys; r, w, *c = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(c[0], c)"


@dataclass
class Page:
    """A tab, and everything it asked for and complained of since it was opened."""

    browser: "Browser"
    session: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    def open(self, url: str) -> None:
        self.browser.tell("Page.navigate", self.session, url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, script: str) -> Any:
        """What a script comes to, in the page."""
        answer = self.browser.tell("Runtime.evaluate", self.session, expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        ends_at = time.monotonic() + _PATIENCE_S
        while not self.value(f"document.body !== null && ({condition})"):  # between two pages there is none
            assert time.monotonic() < ends_at, f"{condition} did not come true; {self.complaints}"
            time.sleep(0.05)

    def screenshot(self, file: Path) -> None:
        shot = self.browser.tell("Page.captureScreenshot", self.session, format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def hear(self, event: dict[str, Any]) -> None:
        it = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.asked.append(it["request"]["url"])
            case "Network.responseReceived":
                self.statuses[it["response"]["url"]] = it["response"]["status"]
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(it["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if it["type"] in {"error", "warning", "assert"}:
                self.complaints.append(json.dumps(it["args"]))
            case "Log.entryAdded" if it["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(json.dumps(it["entry"]))


@dataclass
class Browser:
    """A running Chromium."""

    orders: int
    answers: int
    log: Path
    pages: dict[str, Page] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)
    _left: bytes = b""

    def new_page(self) -> Page:
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.tell(f"{domain}.enable", session)
        return page

    def tell(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give an order and wait for its answer; what happens meanwhile is heard by the pages."""
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, (order, message)
                return message["result"]
            if (page := self.pages.get(message.get("sessionId", ""))) is not None and "method" in message:
                page.hear(message)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            readable, _, _ = select.select([self.answers], [], [], _PATIENCE_S)
            piece = os.read(self.answers, 1 << 16) if readable else b""
            assert piece, f"Chromium says nothing any more: {self.log.read_text(errors='replace')[-2000:]}"
            self._left += piece
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)


@contextmanager
def a_browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with a new, empty profile in `profile`."""
    chosen, log = choose(), profile / "said.txt"
    assert os.access(chosen.program, os.X_OK), f"{chosen.program} is not there: `make test` puts it there"
    orders_out, orders = _pipe()
    answers, answers_in = _pipe()
    launch = [sys.executable, "-c", _LAUNCH, str(orders_out), str(answers_in), chosen.program, *_FLAGS]
    with log.open("w") as said:
        process = subprocess.Popen(
            [*launch, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(orders_out, answers_in),
            stdout=said,
            stderr=said,
            env=chosen.environment(profile),
        )
    os.close(orders_out)
    os.close(answers_in)
    try:
        browser = Browser(orders, answers, log)
        yield browser
        with contextlib.suppress(AssertionError, OSError):
            browser.tell("Browser.close")
        process.wait(60)
    finally:
        os.close(orders)
        os.close(answers)
        if process.poll() is None:
            process.kill()
            process.wait(60)


def _pipe() -> tuple[int, int]:
    """Both ends above 9, so that neither stands where Chromium wants the other."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return read, write

"""Starts the processes that are killed under fire: nodes, the receiver of events, and PostgreSQL."""

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_START_LIMIT_S: Final = 120
_READY: Final = "Countermand is ready at "
_PORTS: Final = range(12_000, 20_000)  # below those that systems give to outgoing connections


class NotReadyError(Exception):
    """Raised if a node did not become ready. The message ends with the node's log."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Killable:
    """A process that is killed as `kill -9` does, and started again with the same arguments."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command = [sys.executable, *command]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERMAND_")}
        self._environment = {**clean, **environment}
        self.log_file = folder / f"{name}.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process."""
        with self.log_file.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )

    def wait_until_ready(self) -> None:
        """Return once a node says that it is ready. Raises `NotReadyError`."""
        assert self._process is not None
        assert self._process.stdout is not None
        too_long = threading.Timer(_START_LIMIT_S, self._process.kill)
        too_long.start()
        try:
            for line in self._process.stdout:
                if line.startswith(_READY):
                    return
        finally:
            too_long.cancel()
        raise NotReadyError(f"{self.name} did not become ready: {self.log_file.read_text()[-2000:]}")

    def kill(self) -> None:
        """End the process at once, if it runs."""
        self._end(subprocess.Popen.kill)

    def stop(self) -> None:
        """End the process as an operator does."""
        self._end(subprocess.Popen.terminate)

    def _end(self, how: Callable[[subprocess.Popen[str]], None]) -> None:
        process, self._process = self._process, None
        if process is not None:
            how(process)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the process logged, since its first start."""
        return self.log_file.read_text() if self.log_file.exists() else ""


class Node(Killable):
    """A node on a port of its own, with a schedule of seconds."""

    def __init__(self, number: int, pauses_s: Sequence[float], settings: Mapping[str, str], folder: Path) -> None:
        self.port = free_port()
        environment = {
            "COUNTERMAND_PORT": str(self.port),
            "COUNTERMAND_LOG_LEVEL": "warning",
            "COUNTERMAND_WEBHOOK_ALLOW_LOOPBACK": "true",
            **settings,
        }
        command = [str(_HERE / "fire_node.py"), *(f"{pause_s:g}" for pause_s in pauses_s)]
        super().__init__(f"node-{number}", command, environment, folder)

    @property
    def url(self) -> str:
        """The address of the node."""
        return f"http://127.0.0.1:{self.port}"


class ReceiverProcess(Killable):
    """The receiver of all endpoints (`fire_receiver.py`)."""

    def __init__(self, folder: Path, slow_ms: int) -> None:
        self.port, self.dead_port = free_port(), free_port()
        arguments = [str(folder), str(self.port), str(self.dead_port), str(slow_ms)]
        super().__init__("receiver", [str(_HERE / "fire_receiver.py"), *arguments], {}, folder)

    def url_of(self, path: str) -> str:
        """The URL of an endpoint."""
        return f"http://127.0.0.1:{self.dead_port if path == 'dead' else self.port}/{path}"

"""Runs the command line in a process that is forked from a process with the imports done, which saves seconds.

It is an ordinary process with arguments, an environment, a folder, files and an end of its own. Tests of a start from
nothing use `support.processes.countermand` instead.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TextIO

_TESTS = Path(__file__).parents[1]
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(_TESTS)!r}); from support.forked import run_when_asked; run_when_asked()"
)
_LARGEST_ASK = 1 << 17
_LOST = -1


class Forked:
    """A process of the command line, with what these tests ask of a `Popen`."""

    def __init__(self, arguments: list[str], environment: dict[str, str], stderr: TextIO | None) -> None:
        """Standard output is a pipe, and standard error, too, unless there is a file for it."""
        self.returncode: int | None = None
        self._told, told = os.pipe()
        out, its_out = os.pipe()
        err, its_err = os.pipe() if stderr is None else (None, os.dup(stderr.fileno()))
        ask = json.dumps({"arguments": arguments, "environment": environment, "folder": str(Path.cwd())}).encode()
        socket.send_fds(_forking(), [ask], [its_out, its_err, told])
        for one in (its_out, its_err, told):
            os.close(one)
        self.stdout: TextIO | None = os.fdopen(out)
        self.stderr: TextIO | None = None if err is None else os.fdopen(err)
        self.pid = int(self._next_told() or _LOST)
        assert self.pid != _LOST, "no process was forked"

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("countermand", timeout or 0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it said since. Little enough for a pipe to hold."""
        self.wait(timeout)
        return _read_and_closed(self.stdout), _read_and_closed(self.stderr)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        self.returncode = int(self._next_told() or _LOST)
        os.close(self._told)

    def _next_told(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (piece := os.read(self._told, 1)):
            line += piece
        return line


def _read_and_closed(stream: TextIO | None) -> str:
    if stream is None:
        return ""
    with stream:
        return stream.read()


@cache
def _forking() -> socket.socket:
    """Where to ask for a process; who forks it is started once, and ends with whoever asks."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=its,
        stdout=subprocess.DEVNULL,
        env=clean,
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# the other side


def run_when_asked() -> None:
    """Fork a process for each ask, until nobody can ask any more."""
    asks = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    main = _imported()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the processes
    while True:
        ask, fds, _, _ = socket.recv_fds(asks, _LARGEST_ASK, 3)
        _forget_ended()
        if not ask:
            return
        if os.fork() == 0:
            asks.close()
            _keep(main, json.loads(ask), *fds)
        for one in fds:
            os.close(one)


def _imported() -> Callable[[], None]:
    """The command line's entry point, with all that its commands import only where they need it."""
    gc.disable()
    import alembic.command  # noqa: F401, PLC0415 - only where processes are forked
    import httpx  # noqa: F401, PLC0415

    import countermand.cli.key_files  # noqa: PLC0415
    import countermand.contracts.manage.catalogue_files  # noqa: PLC0415
    import countermand.demo.run  # noqa: PLC0415
    import countermand.workers  # noqa: F401, PLC0415
    from countermand.cli import main  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return main


def _forget_ended() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(main: Callable[[], None], ask: dict[str, Any], out: int, err: int, told: int) -> NoReturn:
    """Be the parent of the process, and tell its number and, at its end, its exit code."""
    if (pid := os.fork()) == 0:
        os.close(told)
        for ours, standard in ((out, 1), (err, 2)):
            os.dup2(ours, standard)
            os.close(ours)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(ask["folder"])
        os.environ.clear()
        os.environ.update(ask["environment"])
        sys.argv = ["countermand", *ask["arguments"]]
        main()
        sys.exit()
    os.close(out)
    os.close(err)
    os.write(told, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)

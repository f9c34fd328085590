"""How do several processes serve one address? A parent, which answers nothing, starts them and sees that they stay.

The server has a supervisor of its own, which does not fit: it restarts what dies at once without a pause, cannot say
that all are ready, nor why one could not start, and waits for those that stop without a bound.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog

from countermand.actions.errors import CountermandError, UnavailableError
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS
from countermand.serving import ServingError, WorkerSlot, bound, serve, set_up_logging
from countermand.settings import Settings, SettingsError
from countermand.telemetry.counts import SHARED_FOLDER, forget_worker

log = structlog.get_logger()

_SETTLED_S: Final = 10.0  # who dies sooner has died at once
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_LAST_WORDS_S: Final = 5.0  # beyond the stop limit, for what comes after the last answer


@dataclass(frozen=True)
class _Ready:
    url: str


@dataclass(frozen=True)
class _CannotStart:
    why: str
    may_pass: bool


def serve_with_workers(
    settings: Settings,
    workers: int,
    *,
    contracts: Sequence[Contract] = CONTRACTS,
    announce: Callable[[str], None],
) -> None:
    """Serve `contracts` with so many processes until told to stop.

    `announce` gets the clients' address once all are ready. Raises `ServingError` where one of them cannot start.
    """
    if os.name == "nt":
        raise ServingError(f"--workers {workers}: processes cannot share an address on Windows; start one")
    set_up_logging(settings)
    resource_tracker.ensure_running()  # else the first worker's start would start it, and that lets SIGINT in again
    with (
        bound(settings.host, settings.port) as listening,
        TemporaryDirectory(prefix="countermand-", ignore_cleanup_errors=True) as folder,
        _shared_counts(folder),
    ):
        asyncio.run(_Supervisor(settings, contracts, workers, listening, folder, announce).run())


@contextmanager
def _shared_counts(folder: str) -> Iterator[None]:
    """Let the processes started within count together; the metrics' library reads this when it is imported."""
    before = os.environ.get(SHARED_FOLDER)
    os.environ[SHARED_FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[SHARED_FOLDER]
        if before is not None:
            os.environ[SHARED_FOLDER] = before


@dataclass
class _Worker:
    """A process, what it last told, and when it was started."""

    number: int
    process: SpawnProcess
    told: Connection
    started_s: float = field(default_factory=time.monotonic)
    cannot_start: _CannotStart | None = None

    @property
    def lived_s(self) -> float:
        return time.monotonic() - self.started_s

    async def ended(self, heard: Callable[[str], None]) -> None:
        """Wait for its end. `heard` is called with the address once it is ready."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self.told.fileno(), self._listen, heard)
        loop.add_reader(self.process.sentinel, ended.set)
        await ended.wait()
        loop.remove_reader(self.process.sentinel)
        self._listen(heard)
        loop.remove_reader(self.told.fileno())
        self.told.close()
        self.process.join()

    def _listen(self, heard: Callable[[str], None]) -> None:
        try:
            while self.told.poll():
                match self.told.recv():
                    case _Ready(url):
                        heard(url)
                    case _CannotStart() as why:
                        self.cannot_start = why
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self.told.fileno())


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        contracts: Sequence[Contract],
        workers: int,
        listening: socket.socket,
        folder: str,
        announce: Callable[[str], None],
    ) -> None:
        self._settings, self._listening, self._folder = settings, listening, folder
        self._contracts, self._announce = contracts, announce
        self._numbers = range(1, workers + 1)
        self._workers: dict[int, _Worker] = {}
        self._ready: set[int] = set()
        self._announced = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until told to stop, or until a worker cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        keepers = {asyncio.create_task(self._keep(number), name=f"worker {number}") for number in self._numbers}
        told_to_stop = asyncio.create_task(self._stopping.wait(), name="until told to stop")
        try:
            done, _ = await asyncio.wait({told_to_stop, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._stop(keepers)
            told_to_stop.cancel()
        for keeper in done & keepers:
            keeper.result()

    async def _keep(self, number: int) -> None:
        """See that there is a worker of this number. Raises `ServingError` where there cannot be one."""
        pause_s = 0.0
        while not self._stopping.is_set():
            worker = self._workers[number] = self._started(number)
            await worker.ended(lambda url: self._heard(number, url))
            self._ready.discard(number)
            forget_worker(self._folder, worker.process.pid or 0)
            if self._stopping.is_set():
                return
            self._refuse_to_restart(worker)
            pause_s = 0.0 if worker.lived_s >= _SETTLED_S else min(max(pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            log.error("a worker ended", ended=number, exit_code=worker.process.exitcode, again_in_s=pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    def _refuse_to_restart(self, worker: _Worker) -> None:
        """Before all were ready once, any end is the end of all; later, only one that no waiting can mend."""
        why = worker.cannot_start
        if why is not None and not (self._announced and why.may_pass):
            raise ServingError(why.why)
        if not self._announced:
            raise ServingError(f"a worker ended with {worker.process.exitcode} before it was ready: the log says why")

    def _started(self, number: int) -> _Worker:
        told, tells = multiprocessing.get_context("spawn").Pipe(duplex=False)
        with tells, _one_more(self._listening) as its_own:  # closed here, so that they end with the worker
            process = multiprocessing.get_context("spawn").Process(
                target=_work,
                args=(self._settings.model_dump(), self._contracts, number, its_own, tells),
                name=f"countermand worker {number}",
            )
            # Ctrl-C reaches all processes of a terminal at once. The parent alone answers it, and tells the workers.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return _Worker(number, process, told)

    def _heard(self, number: int, url: str) -> None:
        self._ready.add(number)
        if not self._announced and len(self._ready) == len(self._numbers):
            self._announced = True
            self._announce(url)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():  # told again: at once
            self._kill()
        self._stopping.set()

    async def _stop(self, keepers: set[asyncio.Task[None]]) -> None:
        self._stopping.set()
        self._listening.close()  # or, where workers share it, callers would be let in whom nobody will answer
        for worker in self._workers.values():
            worker.process.terminate()
        _, slow = await asyncio.wait(keepers, timeout=self._settings.stop_limit_s + _LAST_WORDS_S)
        if slow:
            log.warning("workers did not stop in time", workers=len(slow))
            self._kill()
            await asyncio.wait(slow)

    def _kill(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()


def _one_more(bound_one: socket.socket) -> socket.socket:
    """Another socket at the same address, for one worker.

    Linux then deals callers out evenly. Of one socket that all workers accept from, whoever wakes first takes all that
    have queued up: of 64 callers at once, one of two workers got 61 (measured). Elsewhere there is no such dealing out.
    """
    if sys.platform != "linux":
        return bound_one.dup()
    bound_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # only now: when it was bound, the port was free
    another = socket.socket(bound_one.family, bound_one.type)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    another.bind(bound_one.getsockname())
    return another


def _work(
    settings: Mapping[str, Any],
    contracts: Sequence[Contract],
    number: int,
    listening: socket.socket,
    tells: Connection,
) -> None:
    """Serve as one of the workers. The settings were read, and checked, by the parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        serve(
            Settings.model_construct(**settings),
            contracts=contracts,
            announce=lambda url: tells.send(_Ready(url)),
            listening=listening,
            slot=WorkerSlot(worker=number, parent_ended=parent.sentinel),
        )
    except (CountermandError, SettingsError, ServingError) as error:
        tells.send(_CannotStart(str(error), isinstance(error, UnavailableError)))
        raise SystemExit(2) from None

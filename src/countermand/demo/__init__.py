"""Runs a service with sample data on a laptop. It needs no configuration, and writes only to one folder."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from countermand.bootstrap.database import Database
from countermand.demo.credentials import Credentials, private_file
from countermand.demo.sample_orders import SampleOrders
from countermand.demo.welcome import welcome
from countermand.serving import ServingError, bound, is_loopback, serve
from countermand.settings import Settings, read_settings
from countermand.storage.schema import migrate
from countermand.web.pages.sample_credentials import SampleCredential

_DATABASE: Final = "countermand.sqlite3"
# All files that the demo makes; --fresh removes exactly these.
_MADE: Final = (
    _DATABASE,
    f"{_DATABASE}-wal",
    f"{_DATABASE}-shm",
    "demo.json",
    *Credentials.FILES,
)


def run_demo(*, data_dir: Path, host: str, port: int, fresh: bool) -> None:
    """Make what is missing, serve it, and print example requests. Raises `ServingError` if that is not possible."""
    # The port is bound first, so that a taken port is found before a file is made or, with --fresh, removed.
    with bound(host, port) as listening:
        _run(data_dir, host, port, fresh=fresh, listening=listening)


def _run(data_dir: Path, host: str, port: int, *, fresh: bool, listening: socket.socket) -> None:
    folder = data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if fresh:
            for name in _MADE:
                (folder / name).unlink(missing_ok=True)
        credentials = Credentials.of(folder)
    except OSError as error:
        raise ServingError(f"{data_dir} cannot be used: {error.strerror or error}") from error
    migrate(folder / _DATABASE)
    settings = read_settings(
        database_path=folder / _DATABASE,
        database_url="",  # overrides the environment, because the demo writes only to its folder
        host=host,
        port=port,
        connect_issuer="",
        connect_key_set="",
        connect_token_endpoint=True,
        sandbox_payments=True,
        pages_time_zone="Europe/Amsterdam",
        log_level="warning",
    )
    made: dict[str, Any] = {}

    async def prepare(settings: Settings, database: Database, url: str) -> Sequence[SampleCredential]:
        made.update(await SampleOrders(settings, database, credentials, url, folder).prepare())
        # The file is complete before the first request is answered, and only its owner can read it.
        public = {name: part for name, part in made.items() if not name.startswith("_")}
        private_file(folder / "demo.json", public)
        credentials.write_headers(folder, made["connect"]["access_token"])
        return credentials.shown(made["connect"]["access_token"]) if is_loopback(host) else ()

    serve(settings, prepare=prepare, announce=lambda url: welcome(folder, url, made), listening=listening)

"""Runs a service with sample data on a laptop. It needs no configuration, and writes only to one folder."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from countermand.bootstrap.database import Database
from countermand.delivery.secret_box import new_key
from countermand.demo.credentials import DATABASE, WEBHOOK_KEY, Credentials, private_file, private_text
from countermand.demo.request_lines import lines_for_people
from countermand.demo.sample_orders import SampleOrders
from countermand.demo.welcome import welcome
from countermand.serving import ServingError, bound, is_loopback, serve
from countermand.settings import LOOPBACK_ORIGINS, Settings, read_settings
from countermand.storage.schema import migrate
from countermand.storage.sqlite.serving_lock import only_server_of
from countermand.web.pages.sample_credentials import SampleCredential

# The files that --fresh removes: all that the demo makes but the lock, which this process holds.
_MADE: Final = (
    DATABASE,
    f"{DATABASE}-wal",
    f"{DATABASE}-shm",
    "demo.json",
    WEBHOOK_KEY,
    *Credentials.FILES,
)


def run_demo(*, data_dir: Path, host: str, port: int, fresh: bool) -> None:
    """Make what is missing, serve it, and print example requests. Raises `ServingError` if that is not possible."""
    # The port is bound first, so that a taken port is found before a file is made or, with --fresh, removed.
    advice = "choose another with --port or, for make, with PORT=, as in: make run PORT=8081"
    with bound(host, port, advice=advice) as listening:
        _run(data_dir, host, port, fresh=fresh, listening=listening)


def _run(data_dir: Path, host: str, port: int, *, fresh: bool, listening: socket.socket) -> None:
    folder = data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServingError(f"{data_dir} cannot be used: {error.strerror or error}") from error
    with only_server_of(folder / DATABASE):  # before a file of another demo in this folder is removed
        _serve(data_dir, folder, host, port, fresh=fresh, listening=listening)


def _webhook_key_file(folder: Path) -> Path:
    """Return the file with the key that encrypts the secrets of endpoints. Make it first if there is none."""
    file = folder / WEBHOOK_KEY
    if not file.exists():
        private_text(file, new_key() + "\n")
    return file


def _serve(data_dir: Path, folder: Path, host: str, port: int, *, fresh: bool, listening: socket.socket) -> None:
    try:
        if fresh:
            for name in _MADE:
                (folder / name).unlink(missing_ok=True)
        credentials = Credentials.of(folder)
        webhook_key = _webhook_key_file(folder)
    except OSError as error:
        raise ServingError(f"{data_dir} cannot be used: {error.strerror or error}") from error
    migrate(folder / DATABASE)
    settings = read_settings(
        database_path=folder / DATABASE,
        database_url="",  # overrides the environment, because the demo writes only to its folder
        host=host,
        port=port,
        connect_issuer="",
        connect_key_set="",
        connect_token_endpoint=True,
        sandbox_payments=True,
        webhook_secret_key="",
        webhook_secret_key_command="",
        webhook_secret_key_file=webhook_key,
        webhook_allow_loopback=True,
        pages_time_zone="Europe/Amsterdam",
    )
    # A developer's page comes from a web server on this machine, at whichever port was free.
    origins = [*settings.shopping_allowed_origins, *LOOPBACK_ORIGINS]
    settings = settings.model_copy(update={"shopping_allowed_origins": origins})
    made: dict[str, Any] = {}

    async def prepare(settings: Settings, database: Database, url: str) -> Sequence[SampleCredential]:
        made.update(await SampleOrders(settings, database, credentials, url, folder).prepare())
        # The file is complete before the first request is answered, and only its owner can read it.
        public = {name: part for name, part in made.items() if not name.startswith("_")}
        private_file(folder / "demo.json", public)
        credentials.write_headers(folder, made["connect"]["access_token"])
        return credentials.shown(made["connect"]["access_token"]) if is_loopback(host) else ()

    serve(
        settings,
        prepare=prepare,
        announce=lambda reached: welcome(folder, reached.url, made),
        listening=listening,
        render=lines_for_people(),
        is_locked=True,
    )

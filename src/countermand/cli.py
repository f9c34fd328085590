"""The command line: serve, demo, migrate, and who may call."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from countermand import __version__
from countermand.actions.errors import CountermandError
from countermand.bootstrap import FORGOTTEN_AT_ONCE, address_of, open_database, retention_of, utc_now
from countermand.demo import run_demo
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Door
from countermand.serving import ServingError, is_loopback, serve
from countermand.settings import Settings, SettingsError, read_settings
from countermand.storage.clients import SqlClients
from countermand.storage.retention import Kept, count_old, forget
from countermand.storage.schema import migrate as migrate_database
from countermand.storage.store import SqlStore
from countermand.web.auth import hash_of
from countermand.workers import serve_with_workers

app = typer.Typer(
    name="countermand",
    help="An order service whose heart is order cancellation done right.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
clients = typer.Typer(help="Who may call: add, list, rotate and revoke clients.", no_args_is_help=True)
app.add_typer(clients, name="client")
errors = Console(stderr=True, soft_wrap=True, highlight=False)

Given = TypeVar("Given")

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", envvar="COUNTERMAND_SETTINGS", help="A TOML file; COUNTERMAND_… variables win over it."),
]

# What a client may do where nothing is said. Cancelling tickets is granted by the operator, never by default.
_DEFAULT_PERMISSIONS = {
    Door.CONNECT: frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL}),
    Door.SHOPPING: frozenset({Permission.CREATE, Permission.READ}),
    Door.MANAGE: frozenset({Permission.READ, Permission.RECORD, Permission.CANCEL}),
}


def main() -> None:
    """Run the command line; an error of ours is a sentence, not a stack trace."""
    try:
        app()
    except (CountermandError, SettingsError, ServingError) as error:
        errors.print(f"countermand: {error}", markup=False)
        raise SystemExit(2) from None


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"countermand {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and stop.")
    ] = False,
) -> None:
    pass


@app.command(name="serve")
def serve_command(
    settings: SettingsFile = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.  [default: 8080]")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the address. SQLite has one writer, so one.")
    ] = 1,
) -> None:
    """Serve the configured database until told to stop (Ctrl-C, SIGTERM).

    Every setting can be given as a COUNTERMAND_… variable or in the file; docs/settings.md lists them all.
    """
    read = read_settings(settings, host=host, port=port)
    if workers > 1 and read.is_sqlite:
        raise ServingError(f"--workers {workers}: SQLite has one writer, so there can be one process alone")
    if read.connect_issuer is None or read.connect_key_set is None:
        errors.print(
            "No COUNTERMAND_CONNECT_ISSUER and COUNTERMAND_CONNECT_KEY_SET: every connect token will be refused.",
            markup=False,
        )
    if workers > 1:
        serve_with_workers(read, workers, announce=_say_ready)
    else:
        serve(read, announce=_say_ready)


def _say_ready(url: str) -> None:
    typer.echo(f"Countermand is ready at {url}")


@app.command()
def demo(
    data_dir: Annotated[Path, typer.Option(help="Where the sample data is kept.")] = Path(".countermand"),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8080,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew: remove what it made before.")] = False,  # noqa: FBT002
) -> None:
    """Start a service with sample data, and print requests to paste: nothing to configure."""
    if not is_loopback(host):
        errors.print(f"Careful: {host} can be reached from other machines, and this is a demo.", markup=False)
    run_demo(data_dir=data_dir, host=host, port=port, fresh=fresh)


@app.command()
def migrate(settings: SettingsFile = None) -> None:
    """Make the database, or bring it to the newest schema."""
    where = address_of(read_settings(settings))
    before, after = migrate_database(where)
    typer.echo(f"{where}: schema {after}" + (", as it was" if before == after else f" (was {before or 'none'})"))


@app.command()
def prune(
    settings: SettingsFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be forgotten.")] = False,  # noqa: FBT002
) -> None:
    """Forget what is old: idempotency keys, delivered facts, refusals; cancellations where a setting says so.

    A running server does the same every ten minutes. How long each is kept: the settings *_kept_h and *_kept_d.
    """
    read = read_settings(settings)

    async def run() -> None:
        database = await open_database(read)
        try:
            for kept, age in retention_of(read).items():
                await _prune(database.store, kept, utc_now() - age, dry_run=dry_run)
        finally:
            await database.close()

    asyncio.run(run())


async def _prune(store: SqlStore, kept: Kept, before: datetime, *, dry_run: bool) -> None:
    old = await count_old(store, kept, before)
    about = f"{kept.name} from before {before:%Y-%m-%d %H:%M}Z"
    if dry_run:
        typer.echo(f"{about}: {old:,}")
        return
    forgotten = 0
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task(kept.name, total=old)
        while now_forgotten := await forget(store, kept, before, at_most=FORGOTTEN_AT_ONCE):
            forgotten += now_forgotten
            progress.update(task, completed=forgotten)
    typer.echo(f"{about}: {forgotten:,} forgotten")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def bench(context: typer.Context) -> None:
    """Measure the cancellation path on this machine, beside what it could be at best; --help lists the options."""
    program = Path(__file__).parents[2] / "bench" / "run.py"
    if not program.is_file():
        raise ServingError("the benchmark comes with the source: clone it, then `make bench`")
    raise typer.Exit(subprocess.call([sys.executable, str(program), *context.args]))  # noqa: S603 - the caller's own words


class DoorName(StrEnum):
    """The doors, for the command line."""

    CONNECT = "connect"
    SHOPPING = "shopping"
    MANAGE = "manage"


@clients.command("add")
def add_client(
    contract: Annotated[DoorName, typer.Option(help="Where it may call.")],
    name: Annotated[str, typer.Option(help="Whose it is, for people.")],
    permission: Annotated[
        list[Permission] | None,
        typer.Option(
            help="What it may do; give it several times. By default: connect create, read, cancel; "
            "shopping create, read; manage read, record, cancel."
        ),
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="connect: the value of the token's claim that names this client.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="connect: the token's issuer.  [default: COUNTERMAND_CONNECT_ISSUER]")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Let somebody call. The secret of a key is shown once, here."""
    read = read_settings(settings)
    door = Door(contract.value)
    identity, key, secret = None, None, None
    if door is Door.CONNECT:
        issuer = issuer or read.connect_issuer
        if client_id is None or issuer is None:
            raise SettingsError("a connect client needs --client-id, and --issuer or COUNTERMAND_CONNECT_ISSUER")
        identity = (issuer, client_id)
    else:
        key, secret = new_key(), new_secret()
    given = frozenset(permission) if permission else _DEFAULT_PERMISSIONS[door]
    added = _with_clients(
        read,
        lambda them: them.add(
            door=door,
            name=name,
            permissions=given,
            key=key,
            secret_sha256=None if secret is None else hash_of(secret),
            identity=identity,
            now=utc_now(),
        ),
    )
    typer.echo(f"Added the {door} client {added.id} ({name}): {', '.join(sorted(given))}")
    _show_secret(added, secret)


@clients.command("list")
def list_clients(settings: SettingsFile = None) -> None:
    """List the clients."""
    them = _with_clients(read_settings(settings), SqlClients.all)
    names = ("id", "contract", "name", "permissions", "known by", "revoked")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for one in them:
        known_by = one.key or " ".join(one.identity or ())
        revoked = "" if one.revoked_at is None else one.revoked_at.strftime("%Y-%m-%d %H:%M:%SZ")
        table.add_row(str(one.id), one.door, one.name, " ".join(sorted(one.permissions)), known_by, revoked)
    # For people as wide as their terminal; into a pipe one line a client, whole, for whoever searches it.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


@clients.command("rotate")
def rotate_client(
    client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
    settings: SettingsFile = None,
) -> None:
    """Give a client a new key and secret. It stays the same client, and keeps its orders; the old secret stops."""
    key, secret = new_key(), new_secret()
    rotated = _with_clients(
        read_settings(settings), lambda them: them.rotate(ClientId(client), key=key, secret_sha256=hash_of(secret))
    )
    typer.echo(f"Rotated the {rotated.door} client {rotated.id} ({rotated.name})")
    _show_secret(rotated, secret)


@clients.command("revoke")
def revoke_client(
    client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
    settings: SettingsFile = None,
) -> None:
    """Let a client call no more. Running servers know within seconds (COUNTERMAND_CLIENT_REFRESH_S)."""
    revoked = _with_clients(read_settings(settings), lambda them: them.revoke(ClientId(client), utc_now()))
    typer.echo(f"Revoked the {revoked.door} client {revoked.id} ({revoked.name})")


def new_key() -> str:
    """A key: what a client is known by; no secret."""
    return secrets.token_hex(12)


def new_secret() -> str:
    """A secret: 256 random bits."""
    return secrets.token_urlsafe(32)


def _show_secret(client: Client, secret: str | None) -> None:
    if secret is None:
        return
    if client.door is Door.MANAGE:
        typer.echo(f"token: {client.key}.{secret}")
    else:
        typer.echo(f"key: {client.key}\nsecret: {secret}")
    typer.echo("It is not shown again.")


def _with_clients(settings: Settings, do: Callable[[SqlClients], Awaitable[Given]]) -> Given:
    async def run() -> Given:
        database = await open_database(settings)
        try:
            return await do(database.clients)
        finally:
            await database.close()

    return asyncio.run(run())

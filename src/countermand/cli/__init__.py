"""The command line: serve, migrate, prune and bench. Other files add the other commands."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from typer.exceptions import TyperException

from countermand import __version__
from countermand.actions.errors import CountermandError
from countermand.cli.calendar import calendar
from countermand.cli.catalogue import catalogue
from countermand.cli.clients import client_commands
from countermand.cli.database import CONTRACTS_IN_FORCE, SettingsFile, read_settings, server_settings, with_database
from countermand.cli.demo import demo
from countermand.cli.endpoint import endpoint_commands
from countermand.cli.errors import CommandError, error_as_json
from countermand.cli.events import events
from countermand.cli.keys import keys
from countermand.cli.lists import list_command
from countermand.cli.option_types import TEXT, check_encoding
from countermand.cli.order import order
from countermand.cli.printing import say
from countermand.cli.privacy import privacy
from countermand.cli.staff import staff
from countermand.cli.webhook import webhook
from countermand.cli.whole_help import WholeHelpGroup
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.serving import Reached
    from countermand.storage.retention import RetentionRule
    from countermand.storage.store import SqlStore

errors = Console(stderr=True, soft_wrap=True, highlight=False)


def main(contracts: Sequence[Contract] = CONTRACTS) -> None:
    """Run the command line of a service that speaks `contracts`. An expected error is printed as a sentence.

    With --json, it is printed as JSON on standard output, where a program reads the answer.
    """
    as_json = "--json" in sys.argv[1:]
    try:
        check_encoding(sys.argv[1:])
        ended = command_line(contracts)(standalone_mode=not as_json)
    except Exception as error:
        if not isinstance(error, _said_as_a_sentence()):
            raise
        if as_json:
            typer.echo(error_as_json(error))
        else:
            say(*_lines_of(error), err=True)
        raise SystemExit(2) from None
    if ended:
        raise SystemExit(ended)


def _lines_of(error: Exception) -> list[str]:
    """Return the lines of an error. Only errors of this program's own making may have several."""
    from countermand.settings import SettingsError

    said = f"countermand: {error}"
    return said.split("\n") if isinstance(error, CommandError | SettingsError) else [said]


def _said_as_a_sentence() -> tuple[type[Exception], ...]:
    from countermand.serving import ServingError
    from countermand.settings import SettingsError
    from countermand.storage.sqlite.serving_lock import ServedElsewhereError

    return CommandError, CountermandError, ServedElsewhereError, SettingsError, ServingError, TyperException


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        say(f"countermand {__version__}")
        raise typer.Exit


def serve_command(
    settings: SettingsFile = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.  [default: 127.0.0.1]", **TEXT)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.  [default: 8080]")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="How many processes share the address. SQLite allows only one.")
    ] = 1,
) -> None:
    """Serve the configured database until a signal stops the server (Ctrl-C, SIGTERM).

    Every setting can be given as a COUNTERMAND_… variable or in the file; docs/settings.md lists them all.
    """
    from countermand.serving import serve
    from countermand.workers import serve_with_workers

    read, contracts = server_settings(settings, host=host, port=port), CONTRACTS_IN_FORCE.get()
    if workers > 1 and read.is_sqlite:
        raise CommandError(
            f"--workers {workers}: SQLite allows only one process; leave --workers out, or use PostgreSQL"
        )
    if read.connect_issuer is None and not read.gives_tokens_out:
        errors.print(
            "No COUNTERMAND_CONNECT_ISSUER and no token endpoint: every connect token will be refused.", markup=False
        )
    if workers > 1:
        serve_with_workers(read, workers, contracts=contracts, announce=_say_ready)
    else:
        serve(read, contracts=contracts, announce=_say_ready)


def _say_ready(reached: "Reached") -> None:
    say(f"Countermand is ready at {reached}")


def migrate(settings: SettingsFile = None) -> None:
    """Create the database's tables, or bring the database to the newest schema."""
    from countermand.bootstrap.database import address_of
    from countermand.storage.schema import migrate as migrate_database

    where = address_of(read_settings(settings))
    before, after = migrate_database(where)
    where = where.absolute() if isinstance(where, Path) else where
    say(f"{where}: schema {after}" + (", as it was" if before == after else f" (was {before or 'none'})"))


def prune(
    settings: SettingsFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows that would be deleted.")] = False,  # noqa: FBT002
) -> None:
    """Delete old rows: idempotency keys, delivered order events, refusals, approvals. Cancellations need a setting.

    A running server does the same every ten minutes. The settings *_kept_h and *_kept_d say how long rows are kept.
    """
    from countermand.bootstrap.database import retention_of

    read = read_settings(settings)

    async def prune_each(database: "Database") -> None:
        for kept, age in retention_of(read).items():
            await _prune(database.store, kept, await database.store.now() - age, dry_run=dry_run)

    with_database(read, prune_each)


async def _prune(store: "SqlStore", kept: "RetentionRule", before: datetime, *, dry_run: bool) -> None:
    from countermand.background.retention import FORGOTTEN_AT_ONCE
    from countermand.storage.retention import count_old, forget

    old = await count_old(store, kept, before)
    about = f"{kept.name} from before {before:%Y-%m-%d %H:%M}Z"
    if dry_run:
        say(f"{about}: {old:,}")
        return
    forgotten = 0
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task(kept.name, total=old)
        while now_forgotten := await forget(store, kept, before, at_most=FORGOTTEN_AT_ONCE):
            forgotten += now_forgotten
            progress.update(task, completed=forgotten)
    say(f"{about}: {forgotten:,} forgotten")


def bench(context: typer.Context) -> None:
    """Measure how fast this machine cancels orders, and compare that with the best possible rate."""
    program = Path(__file__).parents[3] / "bench" / "run.py"
    if not program.is_file():
        raise CommandError("the benchmark comes with the source: clone it, then `make bench`")
    raise typer.Exit(subprocess.call([sys.executable, str(program), *context.args]))  # noqa: S603 - the caller's own words


def command_line(contracts: Sequence[Contract] = CONTRACTS) -> typer.Typer:
    """The commands of a service that speaks `contracts`."""
    app = typer.Typer(
        name="countermand",
        help="An order service that cancels each order at most once.",
        no_args_is_help=True,
        cls=WholeHelpGroup,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root(
        _: Annotated[  # noqa: FBT002 - an option has a default
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
        ] = False,
    ) -> None:
        CONTRACTS_IN_FORCE.set(contracts)

    app.command("serve")(serve_command)
    app.add_typer(demo, name="demo")
    for command in (migrate, prune):
        app.command()(command)
    to_the_program = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=to_the_program)(bench)
    app.add_typer(client_commands(contracts), name="client")
    app.add_typer(staff, name="staff")
    app.add_typer(order, name="order")
    app.command("list")(list_command)
    app.add_typer(events, name="events")
    app.add_typer(endpoint_commands, name="endpoint")
    app.add_typer(keys, name="keys")
    app.add_typer(calendar, name="calendar")
    app.add_typer(catalogue, name="catalogue")
    app.add_typer(privacy, name="privacy")
    app.add_typer(webhook, name="webhook")
    return app

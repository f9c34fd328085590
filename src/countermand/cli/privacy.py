"""The commands about persons: export what is stored about a person, and forget the person."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import TEXT
from countermand.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from countermand.actions.privacy.persons import Forgotten
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage.privacy_messages import Export
    from countermand.domain.privacy import Person

Email = Annotated[
    str, typer.Option(help="The person's e-mail address. Upper and lower case make no difference.", **TEXT)
]

privacy = typer.Typer(
    help="Export what is stored about a person, and forget the person.", no_args_is_help=True, cls=WholeHelpGroup
)


@privacy.command("export")
def export(email: Email, settings: SettingsFile = None) -> None:
    """Print everything that is stored about a person, as JSON. The export is recorded, without the address."""
    from countermand.actions.privacy.persons import export_person
    from countermand.contracts.manage.privacy import as_json, export_shown

    person = _person(email)

    async def run(database: "Database") -> "Export":
        now = await database.store.now()
        return export_shown(await export_person(database.privacy, lambda: now, person, client_id=None))

    typer.echo(as_json(with_database(read_settings(settings), run)))


@privacy.command("forget")
def forget(
    email: Email,
    dry_run: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--dry-run/--no-dry-run", help="Only count what would be forgotten, or forget it.")
    ] = True,
    even_open: Annotated[  # noqa: FBT002
        bool, typer.Option("--even-open", help="Forget the person in orders, too, that are open or before their event.")
    ] = False,
    as_json: Annotated[  # noqa: FBT002
        bool, typer.Option("--json", help="Print JSON for programs, as POST /manage/v1/privacy/forget answers.")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Replace what is stored about a person by the word "forgotten". By default, only count it.

    Amounts, instants, states and ids stay. Backups and exports keep what they have. A repeat forgets what is left.
    """
    from countermand.actions.privacy.persons import forget_person
    from countermand.contracts.manage import privacy as shown

    person = _person(email)

    async def run(database: "Database") -> "Forgotten":
        now = await database.store.now()
        return await forget_person(
            database.privacy, lambda: now, person, client_id=None, dry_run=dry_run, even_open=even_open
        )

    forgotten = with_database(read_settings(settings), run)
    if as_json:
        typer.echo(shown.as_json(shown.forgotten_shown(forgotten)))
        return
    _say(forgotten, dry_run=dry_run)


def _say(forgotten: "Forgotten", *, dry_run: bool) -> None:
    """Print the numbers and the orders that were left."""
    from countermand.contracts.manage.order_ids import order_id_text

    total = sum(forgotten.counts.values())
    typer.echo(f"{total} texts {'would be' if dry_run else 'were'} forgotten")
    for place, number in forgotten.counts.items():
        typer.echo(f"  {place.value.replace('_', ' ')}: {number}")
    for one in forgotten.left:
        typer.echo(f"left: {order_id_text(one.order)} ({one.order.state.value}), because {one.why}")
    if dry_run:
        typer.echo("Nothing was changed; give --no-dry-run to forget.")


def _person(email: str) -> "Person":
    from countermand.domain.privacy import Person

    if not re.fullmatch(r"[^\s@]+@[^\s@]+", email):
        raise CommandError(f"--email must be an e-mail address like jo@example.com, not {email!r}")
    return Person(email)

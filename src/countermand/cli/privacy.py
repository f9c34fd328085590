"""The commands about persons: export what is stored about a person, and forget the person."""

from typing import TYPE_CHECKING, Annotated

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import TEXT, check_fields
from countermand.cli.printing import say
from countermand.cli.staff import check_permitted, person_id
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE, Permission
from countermand.domain.contract import MANAGE

if TYPE_CHECKING:
    from countermand.actions.privacy.persons import Forgotten
    from countermand.bootstrap.database import Database
    from countermand.domain.privacy import Person
    from countermand.domain.staff_id import StaffId

Email = Annotated[
    str, typer.Option(help="The person's e-mail address. Upper and lower case make no difference.", **TEXT)
]
StaffOption = Annotated[str, typer.Option("--as", help="Your id, from `countermand staff list`.", **TEXT)]

privacy = typer.Typer(
    help="Export what is stored about a person, and forget the person.", no_args_is_help=True, cls=WholeHelpGroup
)


@privacy.command("export")
def export(
    email: Email,
    staff: StaffOption,
    _: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--json", help="The export is JSON in any case; with --json, a failure is JSON, too.")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Print everything that is stored about a person, as JSON. The export is recorded, without the address."""
    from countermand.actions.privacy.persons import export_person
    from countermand.contracts.manage.privacy import as_json, entry_shown

    person, staff_id = _person(email), person_id(staff, "--as")

    async def run(database: "Database") -> None:
        actor = await _actor(database, staff_id)
        before = '{"entries": [\n'
        async for one in export_person(database.privacy, utc_now, person, actor):  # too many, perhaps, for the memory
            typer.echo(before + as_json(entry_shown(one)), nl=False)
            before = ",\n"
        typer.echo("\n]}" if before == ",\n" else before + "]}")

    with_database(read_settings(settings), run)


@privacy.command("forget")
def forget(
    email: Email,
    staff: StaffOption,
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

    person, staff_id = _person(email), person_id(staff, "--as")

    async def run(database: "Database") -> "Forgotten":
        actor = await _actor(database, staff_id)
        return await forget_person(database.privacy, utc_now, person, actor, dry_run=dry_run, even_open=even_open)

    forgotten = with_database(read_settings(settings), run)
    if as_json:
        typer.echo(shown.as_json(shown.forgotten_shown(forgotten)))
    else:
        _say(forgotten, dry_run=dry_run)
    if not forgotten.is_finished:
        raise CommandError("not finished: texts about the person were stored again and again meanwhile; repeat this")


def _say(forgotten: "Forgotten", *, dry_run: bool) -> None:
    """Print the numbers, the orders that were left, and what was left with them."""
    from countermand.contracts.manage.order_ids import order_id_text

    would_be = "would be" if dry_run else "were"
    say(f"{sum(forgotten.counts.values())} texts {would_be} forgotten")
    for place, number in forgotten.counts.items():
        say(f"  {place.value.replace('_', ' ')}: {number}")
    if forgotten.left_counts:
        say(f"{sum(forgotten.left_counts.values())} texts {would_be} left, because orders need them")
    for place, number in forgotten.left_counts.items():
        say(f"  {place.value.replace('_', ' ')}: {number}")
    for one in forgotten.left:
        say(f"left: {order_id_text(one.order)} ({one.order.state.value}), because {one.why}")
    if dry_run:
        say("Nothing was changed; give --no-dry-run to forget.")


async def _actor(database: "Database", staff_id: "StaffId") -> Actor:
    await check_permitted(database, staff_id, Permission.FORGET)
    return Actor(COMMAND_LINE, MANAGE, staff_id)


def _person(email: str) -> "Person":
    from countermand.contracts.manage.privacy_messages import PersonGiven
    from countermand.domain.privacy import Person

    check_fields(PersonGiven, email=email)
    return Person(email)

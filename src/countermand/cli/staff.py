"""The commands about the people at the desk: add, list and disable them, and give or revoke their tokens."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from countermand.actions.errors import NotFoundError
from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import TEXT
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.client import LARGEST_CLIENT_ID, ClientId, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.staff import Role, Staff
from countermand.domain.staff_id import STAFF_ID_PATTERN, StaffId, staff_id_from

if TYPE_CHECKING:
    from countermand.actions.identity.staff import NewToken
    from countermand.bootstrap.database import Database

staff = typer.Typer(
    help="Add, list and disable the people at the desk, and give them tokens.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)

PersonId = Annotated[str, typer.Argument(help="The person's id, from `countermand staff list`.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, as the API answers.")]
_ROLES: Final = ", ".join(Role)


def person_id(given: str, option: str = "PERSON") -> StaffId:
    """Return a staff id. Raises `CommandError` for a text that no person can have."""
    staff_id = staff_id_from(given)
    if staff_id is None:
        raise CommandError(f"{option} must be a person's id of the form {STAFF_ID_PATTERN}, not {given!r}")
    return staff_id


async def check_permitted(database: "Database", staff_id: StaffId, *permissions: Permission) -> None:
    """Raise `CommandError` unless there is such a person, not disabled, who has one of the permissions."""
    try:
        person = await database.staff.one(staff_id)
    except NotFoundError as error:
        raise CommandError(f"--as: {error}") from None
    if person.disabled_at is not None:
        raise CommandError(f"--as: {staff_id} is disabled since {person.disabled_at:%Y-%m-%d %H:%M:%SZ}")
    if person.permissions.isdisjoint(permissions):
        roles, missing = ", ".join(sorted(person.roles)), " or ".join(permissions)
        raise CommandError(f"--as: {staff_id} does not have the permission {missing}; the roles are {roles}")


@staff.command("add")
def add_person(
    person: Annotated[
        str,
        typer.Argument(
            help="How records name the person: a lower-case letter, then up to 63 letters, digits, . _ -",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="The person's name, for people to read.", **TEXT)],
    role: Annotated[list[Role], typer.Option(metavar="ROLE", help=f"{_ROLES}; repeat the option for several.")],
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Add a person. The person can call the management API after `countermand staff token`."""
    staff_id, roles = person_id(person), frozenset(role)
    if not name.strip():
        raise CommandError(f"--name must have a visible character, not {name!r}")
    added = with_database(
        read_settings(settings), lambda database: database.staff.add(staff_id, name=name, roles=roles, now=utc_now())
    )
    _show(added, f"Added {added.id} ({added.name}), who may {', '.join(sorted(added.permissions))}", as_json=as_json)


@staff.command("list")
def list_staff(as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """List the people, with the keys of their tokens."""
    people = with_database(read_settings(settings), lambda database: database.staff.all())
    if as_json:
        from countermand.contracts.manage.staff import staff_as_json

        typer.echo(staff_as_json(people))
        return
    names = ("id", "name", "roles", "disabled", "tokens that count")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for one in people:
        disabled = "" if one.disabled_at is None else f"{one.disabled_at:%Y-%m-%d %H:%M:%SZ}"
        tokens = " ".join(token.key for token in one.tokens if token.revoked_at is None and not disabled)
        table.add_row(one.id, one.name, " ".join(sorted(one.roles)), disabled, tokens)
    # The table is as wide as the terminal. In a pipe, each person is one whole line, for programs that search it.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


@staff.command("disable")
def disable_person(
    person: PersonId,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Disable a person: no token of the person counts any more. The records keep the person's id.

    Running servers refuse the tokens within seconds (COUNTERMAND_CLIENT_REFRESH_S).
    """
    staff_id = person_id(person)
    disabled = with_database(read_settings(settings), lambda database: database.staff.disable(staff_id, utc_now()))
    _show(disabled, f"Disabled {disabled.id} ({disabled.name})", as_json=as_json)


@staff.command("token")
def make_or_revoke_token(
    person: PersonId,
    client: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST_CLIENT_ID,
            help="The id of the management client that the person calls with.  [default: the only one]",
        ),
    ] = None,
    revoke: Annotated[
        str | None, typer.Option(help="Make none, and revoke the token with this key.", **TEXT | {"metavar": "KEY"})
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Make a token with which a person calls the management API, or revoke one. It is shown once, now."""
    staff_id, read = person_id(person), read_settings(settings)
    if revoke is not None:
        if client is not None:
            raise CommandError("--client is for a new token; leave it out with --revoke")
        key = revoke
        changed = with_database(read, lambda database: database.staff.revoke_token(staff_id, key, utc_now()))
        _show(changed, f"Revoked the token {key} of {changed.id} ({changed.name})", as_json=as_json)
        return
    made = with_database(read, lambda database: _new_token(database, staff_id, client))
    if as_json:
        from countermand.contracts.manage.staff import token_as_json

        typer.echo(token_as_json(made))
        return
    typer.echo(f"key: {made.key}\ntoken: {made.token}\nIt is not shown again.")


async def _new_token(database: "Database", staff_id: StaffId, client: int | None) -> "NewToken":
    from countermand.actions.identity.staff import make_token

    client_id = await _only_client(database) if client is None else ClientId(client)
    return await make_token(database.staff, database.clients, staff_id, client_id, utc_now())


async def _only_client(database: "Database") -> ClientId:
    """Return the id of the only management client that may call. Raises `CommandError` if there is not just one."""
    found = [one.id for one in await database.clients.all() if one.channel == MANAGE and one.revoked_at is None]
    if len(found) != 1:
        listed = f"the management clients are {', '.join(map(str, found))}" if found else "there is none; add one first"
        raise CommandError(f"--client must name the client that the person calls with; {listed}")
    return found[0]


def _show(person: Staff, sentence: str, *, as_json: bool) -> None:
    if as_json:
        from countermand.contracts.manage.staff import person_as_json

        sentence = person_as_json(person)
    typer.echo(sentence)

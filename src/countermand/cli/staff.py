"""The commands about the people at the desk: add, list, change, disable and enable them, and their tokens."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.actions.errors import NotFoundError
from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError, named_as_options
from countermand.cli.option_types import TEXT, check_fields
from countermand.cli.printing import AsJson, print_table, said, say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.client import LARGEST_CLIENT_ID, ClientId, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.staff import Role, Staff
from countermand.domain.staff_id import STAFF_ID_IN_WORDS, StaffId, staff_id_from

if TYPE_CHECKING:
    from countermand.actions.identity.staff import NewToken
    from countermand.bootstrap.database import Database

staff = typer.Typer(
    help="Add, list, change, disable and enable the people at the desk, and give them tokens.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)

PersonId = Annotated[str, typer.Argument(help="The person's id, from `countermand staff list`.", show_default=False)]
_ROLES: Final = ", ".join(Role)


def person_id(given: str, option: str = "PERSON") -> StaffId:
    """Return a staff id. Raises `CommandError` for a text that no person can have."""
    staff_id = staff_id_from(given)
    if staff_id is None:
        raise CommandError(f"{option} must be a person's id: {STAFF_ID_IN_WORDS}; not {given!r}")
    return staff_id


async def check_permitted(database: "Database", staff_id: StaffId, *permissions: Permission) -> None:
    """Raise `CommandError` unless there is such a person, not disabled, who has one of the permissions."""
    try:
        person = await database.staff.one(staff_id)
    except NotFoundError as error:
        raise CommandError(f"--as: {error}") from None
    if person.disabled_at is not None:
        raise CommandError(
            f"--as: {staff_id} is disabled since {said(person.disabled_at)}", status=403, code="forbidden"
        )
    if person.permissions.isdisjoint(permissions):
        roles, missing = ", ".join(sorted(person.roles)), " or ".join(permissions)
        sentence = f"--as: {staff_id} does not have the permission {missing}; the roles are {roles}"
        raise CommandError(sentence, status=403, code="forbidden")


@staff.command("add")
def add_person(
    person: Annotated[
        str,
        typer.Argument(
            help=f"How records name the person: {STAFF_ID_IN_WORDS}",
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
    _check_name(name)
    added = with_database(
        read_settings(settings), lambda database: database.staff.add(staff_id, name=name, roles=roles, now=utc_now())
    )
    _show(added, f"Added {added.id} ({added.name}), who may {_may(added)}", as_json=as_json)


@staff.command("list")
def list_staff(as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """List the people, with the keys of their tokens."""
    people = with_database(read_settings(settings), lambda database: database.staff.all())
    if as_json:
        from countermand.contracts.manage.staff import staff_as_json

        typer.echo(staff_as_json(people))
        return
    rows = []
    for one in people:
        tokens = (token.key for token in one.tokens if token.revoked_at is None and one.disabled_at is None)
        rows.append((one.id, one.name, " ".join(sorted(one.roles)), said(one.disabled_at), " ".join(tokens)))
    print_table(("id", "name", "roles", "disabled", "tokens that count"), rows)


@staff.command("change")
def change_person(
    person: PersonId,
    name: Annotated[str | None, typer.Option(help="The person's new name, for people to read.", **TEXT)] = None,
    role: Annotated[
        list[Role] | None,
        typer.Option(metavar="ROLE", help=f"{_ROLES}; repeat the option for several. They replace the old roles."),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Change a person's name, or the roles. An option that is left out changes nothing.

    Running servers know the change within seconds (COUNTERMAND_CLIENT_REFRESH_S).
    """
    staff_id, roles = person_id(person), frozenset(role) if role else None
    if name is None and roles is None:
        raise CommandError("there is nothing to change: give --name, --role or both")
    if name is not None:
        _check_name(name)
    changed = with_database(
        read_settings(settings), lambda database: database.staff.change(staff_id, name=name, roles=roles, now=utc_now())
    )
    _show(changed, f"Changed {changed.id} ({changed.name}), who may {_may(changed)}", as_json=as_json)


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


@staff.command("enable")
def enable_person(
    person: PersonId,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Enable a disabled person. The tokens from before stay stopped: make a new one with `countermand staff token`."""
    staff_id = person_id(person)
    enabled = with_database(read_settings(settings), lambda database: database.staff.enable(staff_id, utc_now()))
    _show(enabled, f"Enabled {enabled.id} ({enabled.name}), who may {_may(enabled)}", as_json=as_json)


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
            raise CommandError(f"--client {client} is for a new token; leave it out with --revoke {revoke}")
        key = revoke
        changed = with_database(read, lambda database: database.staff.revoke_token(staff_id, key, utc_now()))
        _show(changed, f"Revoked the token {key} of {changed.id} ({changed.name})", as_json=as_json)
        return
    with named_as_options(lambda _: "--client"):
        made = with_database(read, lambda database: _new_token(database, staff_id, client))
    if as_json:
        from countermand.contracts.manage.staff import token_as_json

        typer.echo(token_as_json(made))
        return
    say(f"key: {made.key}", f"token: {made.token}", "It is not shown again.")


def _check_name(name: str) -> None:
    from countermand.contracts.manage.staff_messages import StaffChange

    check_fields(StaffChange, name=name)


def _may(person: Staff) -> str:
    return ", ".join(sorted(person.permissions))


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

        typer.echo(person_as_json(person))
    else:
        say(sentence)

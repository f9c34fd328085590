"""The command that changes a client, and the options that say where a client's buyers are led back to."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import TEXT, check_fields
from countermand.cli.printing import AsJson, say
from countermand.contracts.http.contract import Access
from countermand.domain.client import LARGEST_CLIENT_ID, Client, ClientId, Permission
from countermand.domain.redirects import RedirectError, Redirects, redirects_of

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database

_OPTIONS: Final = {"url": "--redirect-url", "schemes": "--redirect-scheme"}
RedirectUrl = Annotated[
    str | None,
    typer.Option(help="shopping: where the buyer of an order that names no redirect_url is led back to.", **TEXT),
]
RedirectScheme = Annotated[
    list[str] | None,
    typer.Option(
        help="shopping: a scheme for a redirect_url, beside http and https, like myapp; repeat the option for several.",
        **TEXT,
    ),
]


def redirects_given(access: Access | None, url: str | None, schemes: Sequence[str]) -> Redirects:
    """Return the addresses that the options name. Raises `CommandError`."""
    if (url is not None or schemes) and (access is None or not access.leads_back):
        given = f"--redirect-url {url}" if url is not None else f"--redirect-scheme {' '.join(schemes)}"
        raise CommandError(f"{given} is for a client whose orders have a payment page; leave it out")
    try:
        return redirects_of(url, schemes)
    except RedirectError as error:
        raise CommandError(f"{_OPTIONS[error.field]} {error}") from None


def check_name(name: str) -> None:
    """Raise `FieldsError` for a name that the API would not take, either."""
    from countermand.contracts.manage.client_messages import ClientChange

    check_fields(ClientChange, name=name)


def number_of(client: int) -> ClientId:
    """Return a client's number. Raises `CommandError` for a number that no client can have."""
    if not 0 < client <= LARGEST_CLIENT_ID:
        raise CommandError(f"there is no client {client}", status=404, code="not_found")
    return ClientId(client)


def show_client(client: Client, *sentences: str, as_json: bool) -> None:
    """Print what was done to a client or, as JSON, the client."""
    if as_json:
        from countermand.contracts.manage.clients import client_as_json

        typer.echo(client_as_json(client))
    else:
        say(*sentences)


def change_command(accesses: Sequence[Access]) -> Callable[..., None]:
    """Return the command that changes a client of one of the channels."""
    by_channel = {access.channel: access for access in accesses}

    def change_client(
        client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
        name: Annotated[str | None, typer.Option(help="The new name of its owner, for people to read.", **TEXT)] = None,
        permission: Annotated[
            list[Permission] | None,
            typer.Option(
                metavar="PERMISSION",
                help="What it may do from now on; repeat the option for several. They replace the old permissions.",
            ),
        ] = None,
        redirect_url: RedirectUrl = None,
        redirect_scheme: RedirectScheme = None,
        no_redirect_url: Annotated[  # noqa: FBT002 - an option has a default
            bool, typer.Option("--no-redirect-url", help="shopping: remove the client's default address.")
        ] = False,
        no_redirect_schemes: Annotated[  # noqa: FBT002
            bool, typer.Option("--no-redirect-schemes", help="shopping: empty the client's list of schemes.")
        ] = False,
        as_json: AsJson = False,  # noqa: FBT002
        settings: SettingsFile = None,
    ) -> None:
        """Change a client's name, its permissions, or where its buyers are led back to. Schemes replace the whole list.

        An option that is left out changes nothing. Orders that are already placed keep their address. Running servers
        know the change within seconds (COUNTERMAND_CLIENT_REFRESH_S).
        """
        if redirect_url is not None and no_redirect_url:
            raise CommandError(
                f"--redirect-url {redirect_url} and --no-redirect-url exclude each other: give one of them"
            )
        if redirect_scheme and no_redirect_schemes:
            given = f"--redirect-scheme {' '.join(redirect_scheme)}"
            raise CommandError(f"{given} and --no-redirect-schemes exclude each other: give one of them")
        leads_back = redirect_url is not None or redirect_scheme or no_redirect_url or no_redirect_schemes
        if name is not None:
            check_name(name)
        if name is None and not permission and not leads_back:
            given = "--name, --permission, --redirect-url, --redirect-scheme or a --no- option"
            raise CommandError(f"there is nothing to change: give {given}")
        read = read_settings(settings)
        known = with_database(read, lambda database: database.clients.one(number_of(client)))
        access = by_channel.get(known.channel)
        if permission and access is not None and (unknown := access.unknown(permission)) is not None:
            raise CommandError(f"--permission: {unknown}")
        url = known.redirects.url if redirect_url is None else redirect_url
        schemes = () if no_redirect_schemes else redirect_scheme or known.redirects.schemes
        wanted = None if no_redirect_url else url
        redirects = redirects_given(access, wanted, schemes) if leads_back else None
        permissions = frozenset(permission) if permission else None

        async def change(database: "Database") -> Client:
            changed = await database.clients.change(known.id, name=name, permissions=permissions)
            return changed if redirects is None else await database.clients.change_redirects(known.id, redirects)

        changed = with_database(read, change)
        lines = [f"Changed the {changed.channel} client {changed.id} ({changed.name})"]
        lines += [f"permissions: {', '.join(sorted(changed.permissions))}"]
        if leads_back:
            lines += [f"redirect_url: {changed.redirects.url or 'none'}"]
            lines += [f"redirect_schemes: {' '.join(changed.redirects.schemes) or 'none'}"]
        show_client(changed, *lines, as_json=as_json)

    return change_client

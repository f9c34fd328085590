"""The commands about clients: add, list, rotate, revoke and restore them."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countermand.actions.identity.ports import ClientKey
from countermand.actions.identity.secrets import DEFAULT_OVERLAP_S, LONGEST_OVERLAP_S, hash_of, new_key, new_secret
from countermand.bootstrap.clock import utc_now
from countermand.cli.browser_tokens import make_browser_token
from countermand.cli.client_credentials import added_sentence, did, hand_over, keyed, show_secret
from countermand.cli.client_redirects import (
    RedirectScheme,
    RedirectUrl,
    change_command,
    check_name,
    number_of,
    redirects_given,
    show_client,
)
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import PATH, TEXT
from countermand.cli.printing import AsJson, print_json, print_table, said, say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.contracts.http.contract import Access, Contract
from countermand.contracts.registry import accesses_of
from countermand.domain.client import (
    OWN_CLIENT_ID_PATTERN,
    OWN_ISSUER,
    Client,
    Permission,
)
from countermand.domain.redirects import NO_REDIRECTS, Redirects

if TYPE_CHECKING:
    from countermand.settings import Settings

PrivateKeyFile = Annotated[
    Path | None,
    typer.Option(
        help="connect: the new file for the private key that is made.  [default: named after the client]",
        **PATH,
    ),
]
PublicKeyFile = Annotated[
    Path | None,
    typer.Option(help="connect: the partner's own public key (RSA, PEM or JWK); then no key is made.", **PATH),
]


def client_commands(contracts: Sequence[Contract]) -> typer.Typer:
    """Return the commands about the clients of `contracts`, and of the management API."""
    commands = typer.Typer(
        help="Add, list, change, rotate, revoke and restore clients: the programs that may call.",
        no_args_is_help=True,
        cls=WholeHelpGroup,
    )
    commands.command("add")(_add_command(accesses_of(contracts)))
    commands.command("list")(list_clients)
    commands.command("change")(change_command(accesses_of(contracts)))
    commands.command("rotate")(rotate_client)
    commands.command("revoke")(revoke_client)
    commands.command("restore")(restore_client)
    commands.command("browser-token")(make_browser_token)
    return commands


def _add_command(accesses: Sequence[Access]) -> Callable[..., None]:
    """Return the command that adds a client to one of the channels."""
    usual = "; ".join(
        f"{access.channel} {', '.join(one for one in Permission if one in access.default_permissions)}"
        for access in accesses
    )

    def add_client(
        contract: str,
        name: Annotated[str, typer.Option(help="The name of its owner, for people to read.", **TEXT)],
        permission: Annotated[
            list[Permission] | None,
            typer.Option(
                metavar="PERMISSION",
                help=f"What it may do: {', '.join(Permission)}; repeat the option for several. By default: {usual}.",
            ),
        ] = None,
        client_id: Annotated[
            str | None,
            typer.Option(
                help="connect: the name of the partner in tokens; with an issuer, the name that the issuer uses.  "
                "[default: a random one]",
                **TEXT,
            ),
        ] = None,
        issuer: Annotated[
            str | None,
            typer.Option(
                help="connect: who issues this client's tokens, if not this service.  "
                "[default: COUNTERMAND_CONNECT_ISSUER, if this service issues none]",
                **TEXT,
            ),
        ] = None,
        private_key_file: PrivateKeyFile = None,
        public_key_file: PublicKeyFile = None,
        redirect_url: RedirectUrl = None,
        redirect_scheme: RedirectScheme = None,
        as_json: AsJson = False,  # noqa: FBT002 - an option has a default
        settings: SettingsFile = None,
    ) -> None:
        """Add a client, which may then call. Its secret or private key is shown or written once, now.

        A connect client of this service's own token endpoint gets a key pair. A connect client of another issuer is
        known by that issuer and its client id. All other clients get a key and a secret.
        """
        check_name(name)
        access = next(one for one in accesses if one.channel == contract)
        if (unknown := access.unknown(permission or ())) is not None:
            raise CommandError(f"--permission: {unknown}")
        given = frozenset(permission) if permission else access.default_permissions
        redirects = redirects_given(access, redirect_url, redirect_scheme or ())
        read = read_settings(settings)
        if not access.has_secrets and issuer is None and read.gives_tokens_out:
            _add_own(read, access, name, given, client_id, private_key_file, public_key_file, as_json=as_json)
            return
        files = {"--private-key-file": private_key_file, "--public-key-file": public_key_file}
        for option, file in files.items():
            if file is not None:
                raise CommandError(f"{option} {file} is for connect clients of our own token endpoint; leave it out")
        if access.has_secrets:
            _add_with_secret(read, access, name, given, redirects, as_json=as_json)
        else:
            _add_of_issuer(read, access, name, given, client_id, issuer or read.connect_issuer, as_json=as_json)

    names = [(access.channel.upper(), access.channel) for access in accesses]
    choices = StrEnum("ChannelName", names)  # type: ignore[misc] # mypy wants literals
    add_client.__annotations__["contract"] = Annotated[choices, typer.Option(help="Where it may call.")]
    return add_client


def _add(
    read: "Settings",
    access: Access,
    name: str,
    permissions: frozenset[Permission],
    *,
    key: str | None = None,
    secret: str | None = None,
    identity: tuple[str, str] | None = None,
    redirects: Redirects = NO_REDIRECTS,
    client_key: ClientKey | None = None,
) -> Client:
    return with_database(
        read,
        lambda database: database.clients.add(
            channel=access.channel,
            name=name,
            permissions=permissions,
            key=key,
            secret_sha256=None if secret is None else hash_of(secret),
            identity=identity,
            now=utc_now(),
            redirects=redirects,
            client_key=client_key,
        ),
    )


def _add_with_secret(
    read: "Settings",
    access: Access,
    name: str,
    permissions: frozenset[Permission],
    redirects: Redirects,
    *,
    as_json: bool,
) -> None:
    secret = new_secret()
    added = _add(read, access, name, permissions, key=new_key(), secret=secret, redirects=redirects)
    show_secret(added, secret, added_sentence(added), as_json=as_json)


def _add_of_issuer(
    read: "Settings",
    access: Access,
    name: str,
    permissions: frozenset[Permission],
    client_id: str | None,
    issuer: str | None,
    *,
    as_json: bool,
) -> None:
    """Add a client whose tokens come from another issuer."""
    if not client_id or not issuer:
        missing = "--client-id" if not client_id else "--issuer or COUNTERMAND_CONNECT_ISSUER"
        raise CommandError(f"a {access.channel} client needs --client-id and an issuer; give {missing}, too")
    if issuer == OWN_ISSUER:
        raise CommandError(f"--issuer must not be {OWN_ISSUER!r}: leave it out for a client of our own")
    added = _add(read, access, name, permissions, identity=(issuer, client_id))
    if as_json:
        print_json(keyed(added))
    else:
        say(added_sentence(added))


def list_clients(
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """List the clients."""
    them = with_database(read_settings(settings), lambda database: database.clients.all())
    if as_json:
        from countermand.contracts.manage.clients import clients_as_json

        typer.echo(clients_as_json(them))
        return
    names = ("id", "contract", "name", "permissions", "known by", "last used", "revoked", "leads back to", "schemes")
    rows = []
    for one in them:
        known_by = one.key or " ".join(one.identity or ())
        times = (said(one.last_used_at), said(one.revoked_at))
        permissions, redirects = " ".join(sorted(one.permissions)), one.redirects
        back = (redirects.url or "", " ".join(redirects.schemes))
        rows.append((str(one.id), one.channel, one.name, permissions, known_by, *times, *back))
    print_table(names, rows)


def rotate_client(
    client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
    keep_old: Annotated[  # noqa: FBT002 - an option has a default
        bool,
        typer.Option(
            "--keep-old",
            help="Of a key pair: the newest old key still works until the next rotation. Of a secret, if the secret of "
            "the last rotation is lost: replace only that one, and let the one from before work until its end.",
        ),
    ] = False,
    private_key_file: PrivateKeyFile = None,
    public_key_file: PublicKeyFile = None,
    overlap_s: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LONGEST_OVERLAP_S,
            help="For how many seconds the old secret still works; 0 stops every older secret at once. Not for a "
            f"client with a key pair.  [default: {DEFAULT_OVERLAP_S}]",
        ),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Give a client a new secret or key pair. It stays the same client, and keeps its orders.

    The old secret works for another day, unless --overlap-s says otherwise. Of a key pair, the old key stops at once,
    unless it is kept. While an old secret still works, only --keep-old or --overlap-s 0 rotates again. A revoked client
    cannot be rotated: restore it first.
    """
    read = read_settings(settings)
    known = with_database(read, lambda database: database.clients.one(number_of(client)))
    if known.identity is not None and known.identity[0] == OWN_ISSUER:
        if overlap_s is not None:
            raise CommandError(f"client {client} has a key pair: leave out --overlap-s, and give --keep-old if needed")
        _rotate_own(read, known, private_key_file, public_key_file, keep_old=keep_old, as_json=as_json)
        return
    if private_key_file or public_key_file:
        raise CommandError(f"client {client} has no key pair: leave out the key files, which are for a key pair")
    if keep_old and overlap_s is not None:
        raise CommandError("with --keep-old the old secret works until the end that it has: leave --overlap-s out")
    secret = new_secret()
    overlap = None if keep_old else timedelta(seconds=DEFAULT_OVERLAP_S if overlap_s is None else overlap_s)
    rotated = with_database(
        read,
        lambda database: database.clients.rotate(
            known.id, secret_sha256=hash_of(secret), now=utc_now(), overlap=overlap
        ),
    )
    until = rotated.previous_secret_until
    old = "The old secret no longer works." if until is None else f"The old secret works until {said(until)}."
    show_secret(rotated, secret, did("Rotated", rotated), old, as_json=as_json)


def revoke_client(
    client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Revoke a client, which may then no longer call.

    Running servers refuse it within seconds (COUNTERMAND_CLIENT_REFRESH_S).
    """
    revoked = with_database(
        read_settings(settings), lambda database: database.clients.revoke(number_of(client), utc_now())
    )
    show_client(revoked, did("Revoked", revoked), as_json=as_json)


def restore_client(
    client: Annotated[int, typer.Argument(help="The client's id, from `countermand client list`.")],
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Let a revoked client call again, with the key and secret, or the key pair, that it had last.

    A secret from before a rotation stays stopped.
    """
    restored = with_database(read_settings(settings), lambda database: database.clients.restore(number_of(client)))
    show_client(restored, did("Restored", restored), as_json=as_json)


def _add_own(
    read: "Settings",
    access: Access,
    name: str,
    permissions: frozenset[Permission],
    client_id: str | None,
    private_key_file: Path | None,
    public_key_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Add a client of this service's own token endpoint."""
    client_id = client_id or new_key()
    if not re.fullmatch(OWN_CLIENT_ID_PATTERN, client_id):
        raise CommandError(f"--client-id must be 1 to 64 letters, digits and . _ ~ @ -, not {client_id!r}")
    private_key_file = private_key_file or (None if public_key_file else Path(f"{client_id}.pem"))
    with _key_from(private_key_file, public_key_file) as client_key:
        added = _add(read, access, name, permissions, identity=(OWN_ISSUER, client_id), client_key=client_key)
    hand_over(read, added, client_key, private_key_file, added_sentence(added), as_json=as_json)


def _rotate_own(
    read: "Settings",
    known: Client,
    private_key_file: Path | None,
    public_key_file: Path | None,
    *,
    keep_old: bool,
    as_json: bool,
) -> None:
    _, client_id = known.identity or ("", "")
    if private_key_file is None and public_key_file is None:
        # Not the name that `add` uses: that file probably exists.
        private_key_file = Path(f"{client_id}-{utc_now():%Y%m%dT%H%M%SZ}.pem")
    with _key_from(private_key_file, public_key_file) as client_key:
        rotated = with_database(
            read,
            lambda database: database.clients.rotate_key(known.id, client_key, utc_now(), keep_old=keep_old),
        )
    hand_over(read, rotated, client_key, private_key_file, did("Rotated", rotated), as_json=as_json)


def _key_from(private_key_file: Path | None, public_key_file: Path | None) -> AbstractContextManager[ClientKey]:
    """Return the partner's own key, or a new one."""
    from countermand.cli.key_files import given_key, made_key

    if private_key_file is not None and public_key_file is not None:
        raise CommandError(
            f"with --public-key-file {public_key_file} no private key is made: leave out --private-key-file "
            f"{private_key_file}"
        )
    if public_key_file is not None:
        return nullcontext(given_key(public_key_file))
    assert private_key_file is not None
    return made_key(private_key_file)

"""The commands of the signing keys, which access tokens are signed with: list, rotate, withdraw."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.option_types import TEXT
from countermand.cli.printing import said, say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.signing_key import SigningKey, signer

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database

keys = typer.Typer(
    help="List, rotate and withdraw the keys that sign the access tokens of this service.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)


@keys.command("list")
def list_keys(settings: SettingsFile = None) -> None:
    """List the keys that count, and the keys that were retired lately."""
    _show(with_database(read_settings(settings), lambda database: database.signing_keys.all()))


@keys.command("rotate")
def rotate_keys(
    overlap_s: Annotated[
        int,
        typer.Option(min=0, max=30 * 24 * 3600, help="For how many seconds the new key is published before it signs."),
    ] = 600,
    settings: SettingsFile = None,
) -> None:
    """Make a new key. The old key signs during the overlap, and all its tokens work until they expire."""
    from countermand.identity.token_issuer import new_key

    kid, private_key = new_key()
    overlap = timedelta(seconds=overlap_s)

    async def rotate(database: "Database") -> Sequence[SigningKey]:
        return await database.signing_keys.rotate(kid, private_key, await database.store.now(), overlap=overlap)

    _show(with_database(read_settings(settings), rotate))


@keys.command("withdraw")
def withdraw_key(
    kid: Annotated[
        str, typer.Argument(help="The key's id, from `countermand keys list`.", **TEXT | {"metavar": "KID"})
    ],
    settings: SettingsFile = None,
) -> None:
    """Stop trusting a key on every running server, within seconds (COUNTERMAND_CLIENT_REFRESH_S).

    Every token that the key signed is refused from then on. If it was the key that signs, another key signs at once.
    """
    from countermand.identity.token_issuer import new_key

    spare_kid, spare_private_key = new_key()

    async def withdraw(database: "Database") -> Sequence[SigningKey]:
        now = await database.store.now()
        return await database.signing_keys.withdraw(kid, now, spare_kid=spare_kid, spare_private_key=spare_private_key)

    _show(with_database(read_settings(settings), withdraw))


def _show(them: Sequence[SigningKey]) -> None:
    """Print one line per key, never its private part."""
    now = utc_now()
    signs = signer(them, now)
    if not them:
        say("no keys yet: the first server that starts makes one")
    for one in them:
        if not one.counts_at(now):
            state = f"retired {said(one.retired_at)}"
        elif one is signs:
            state = "signs"
        else:
            state = f"signs from {said(one.signs_from)}" if one.signs_from > now else "counts"
        until = f", until {said(one.retired_at)}" if one.retired_at is not None and one.counts_at(now) else ""
        say(f"{one.kid}  made {said(one.created_at)}, {state}{until}")

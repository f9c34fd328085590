"""The command that makes a token for a shop in a browser."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.client_redirects import number_of
from countermand.cli.database import CONTRACTS_IN_FORCE, SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.option_types import TEXT
from countermand.cli.printing import AsJson, print_json, say
from countermand.contracts.http.contract import Authentication
from countermand.domain.orders.order import UID_PATTERN


def make_browser_token(
    client: Annotated[int, typer.Argument(help="The shopping client's id, from `countermand client list`.")],
    event: Annotated[
        str | None, typer.Option(help="The uid of the one event it may sell.  [default: all]", **TEXT)
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="For how many days the token works.")] = 365,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Make a token for a shop in a browser. It may place and read orders, but never cancel.

    Anybody can read the token in the page. To end it, revoke the client, or rotate it with --overlap-s 0.
    """
    from countermand.identity.browser_tokens import browser_token

    if event is not None and not re.fullmatch(UID_PATTERN, event):
        raise CommandError(f"--event must be an event's uid, 32 characters, not {event!r}")
    found = with_database(read_settings(settings), lambda database: database.clients.current([number_of(client)]))
    known, hashes = found[0] if found else (None, None)
    channels = [one.channel for one in CONTRACTS_IN_FORCE.get() if Authentication.BROWSER_TOKEN in one.authentication]
    if known is None or hashes is None or known.channel not in channels or known.revoked_at is not None:
        raise CommandError(f"there is no {' or '.join(channels)} client {client}, or it is revoked")
    life = timedelta(days=days)
    token = browser_token(known, hashes.current, event_uid=event, now=utc_now(), life=life)
    if as_json:
        print_json({"bearer_token": token})
        return
    say(f"bearer_token: {token}")
    say("Name the pages' origins in COUNTERMAND_SHOPPING_ALLOWED_ORIGINS, so that browsers let them call.")

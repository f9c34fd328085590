"""Prints what was done to a client, and the credential that its owner needs."""

from pathlib import Path
from typing import TYPE_CHECKING

from countermand.actions.identity.ports import ClientKey
from countermand.cli.database import CONTRACTS_IN_FORCE
from countermand.cli.printing import fields_of, print_json, say
from countermand.contracts.registry import accesses_of
from countermand.domain.client import Client

if TYPE_CHECKING:
    from countermand.contracts.manage.client_messages import KeyedClient
    from countermand.settings import Settings


def did(what: str, client: Client) -> str:
    """Return the sentence about what was done to a client."""
    return f"{what} the {client.channel} client {client.id} ({client.name})"


def added_sentence(client: Client) -> str:
    """Return the sentence about a new client."""
    return f"{did('Added', client)}: {', '.join(sorted(client.permissions))}"


def hand_over(
    read: "Settings",
    client: Client,
    client_key: ClientKey,
    private_key_file: Path | None,
    sentence: str,
    *,
    as_json: bool,
) -> None:
    """Print what the partner needs. In JSON it stands beside what the API answers."""
    from countermand.contracts.connect.tokens import token_path
    from countermand.serving import public_url_of

    _, client_id = client.identity or ("", "")
    needed = {"token_url": f"{public_url_of(read)}{token_path(read.connect_realm)}", "client_id": client_id}
    needed["key_id"] = client_key.kid
    if private_key_file is not None:
        needed["private_key_file"] = str(private_key_file.resolve())
    if as_json:
        print_json(fields_of(keyed(client)) | needed)
        return
    say(sentence, *(f"{name}: {value}" for name, value in needed.items()))
    if private_key_file is not None:
        say("The private key stands there alone, and cannot be had again.")


def show_secret(client: Client, secret: str, *sentences: str, as_json: bool) -> None:
    """Print what was done and the secret or, as JSON, what the API answers."""
    shown = keyed(client, secret)
    if as_json:
        print_json(shown)
        return
    credential = [f"key: {shown.key}", f"secret: {secret}"] if shown.token is None else [f"token: {shown.token}"]
    say(*sentences, *credential, "It is not shown again.")


def keyed(client: Client, secret: str | None = None) -> "KeyedClient":
    """Return a client with its credential, as the API answers."""
    from countermand.contracts.manage.clients import keyed_client

    (access,) = (one for one in accesses_of(CONTRACTS_IN_FORCE.get()) if one.channel == client.channel)
    return keyed_client(client, access, secret)

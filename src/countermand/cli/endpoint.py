"""The commands about endpoints: add, list, show, pause, resume, rotate and remove them."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.cli.database import SettingsFile
from countermand.cli.endpoint_access import EndpointArgument, named_endpoint, with_endpoints
from countermand.cli.endpoint_attempts import list_attempts, redeliver_events, send_test
from countermand.cli.errors import named_as_options, option_of
from countermand.cli.option_types import TEXT
from countermand.cli.printing import AsJson, print_json, print_table, said, say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.client import LARGEST_CLIENT_ID
from countermand.domain.delivering.endpoint import LARGEST_OVERLAP_D, STANDARD, USUAL_OVERLAP_H, Endpoint

if TYPE_CHECKING:
    from countermand.actions.delivering.endpoints import Backlog, EndpointSecrets

endpoint_commands = typer.Typer(
    help="Add, list, pause, resume, test and remove the endpoints that events are delivered to.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)

_SHOWN_ONCE: Final = "The secret is not shown again. The receiver verifies signatures with it."


def option_of_endpoint(field: str) -> str:
    """Return the option or argument for a field of an endpoint."""
    return "URL" if field == "url" else "--kind" if field.startswith("kinds") else option_of(field)


@endpoint_commands.command("add")
def add_endpoint(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent to.", show_default=False)],
    dialect: Annotated[
        str | None,
        typer.Option(help=f"How events are written; docs/events.md has a table.  [default: {STANDARD}]", **TEXT),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of event, such as order.cancelled; repeat the option for several.  [default: all]",
            **TEXT | {"metavar": "KIND"},
        ),
    ] = None,
    contract: Annotated[
        str | None, typer.Option(help="Only events of orders of this contract.  [default: all]", **TEXT)
    ] = None,
    client: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_CLIENT_ID, help="Only events of orders of the client with this id."),
    ] = None,
    thin: Annotated[bool, typer.Option("--thin", help="Send a link to the order instead of the order.")] = False,  # noqa: FBT002
    structured: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--structured", help="Send CloudEvents in their structured form.")
    ] = False,
    asymmetric: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--asymmetric", help="Sign with ed25519, too, and print the public key.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Add an endpoint, which hears of what is written from now on. Its secret is shown once, now."""
    from countermand.contracts.http.body import read
    from countermand.contracts.manage.endpoint_messages import EndpointGiven
    from countermand.contracts.manage.endpoints import subscription_of

    given: dict[str, object] = {"url": url, "dialect": dialect, "kinds": kind or None, "contract": contract}
    given |= {"client": client, "thin": thin, "structured": structured, "asymmetric": asymmetric}
    with named_as_options(option_of_endpoint):
        wanted = subscription_of(read(EndpointGiven, given))
        made = with_endpoints(settings, lambda endpoints: endpoints.add(url, wanted, None))
    _show_secret(made, f"Added {made.endpoint.id}, which hears of {_hears_of(made.endpoint)}", as_json=as_json)


@endpoint_commands.command("list")
def list_endpoints(as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """List the endpoints, also those that partners added."""
    found = with_endpoints(settings, lambda endpoints: endpoints.all(None))
    if as_json:
        from countermand.contracts.manage.endpoint_output import endpoints_as_json

        typer.echo(endpoints_as_json(found))
        return
    rows = (
        (
            one.id,
            one.url,
            one.subscription.dialect,
            _hears_of(one),
            _state(one),
            "" if one.owner is None else str(one.owner),
        )
        for one in found
    )
    print_table(("id", "url", "dialect", "hears of", "state", "owner"), rows)


@endpoint_commands.command("show")
def show_endpoint(endpoint: EndpointArgument, as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """Show an endpoint, how its last attempts went, and what it did not get yet."""
    named = named_endpoint(endpoint)
    found, backlog = with_endpoints(settings, lambda endpoints: endpoints.one(named, None))
    if as_json:
        from countermand.contracts.manage.endpoint_output import endpoint_with_backlog

        print_json(endpoint_with_backlog(found, backlog))
        return
    say(*_described(found, backlog))


@endpoint_commands.command("pause")
def pause_endpoint(endpoint: EndpointArgument, as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """Send nothing to an endpoint until it is resumed. Its events are kept."""
    named = named_endpoint(endpoint)
    paused = with_endpoints(settings, lambda endpoints: endpoints.pause(named, None))
    _show(paused, f"Paused {paused.id}; its events are kept until it is resumed", as_json=as_json)


@endpoint_commands.command("resume")
def resume_endpoint(endpoint: EndpointArgument, as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """Send an endpoint all that it did not get, also what was given up, oldest first and at a limited rate."""
    named = named_endpoint(endpoint)
    resumed = with_endpoints(settings, lambda endpoints: endpoints.resume(named, None))
    _show(resumed, f"Resumed {resumed.id}; running servers send what it did not get", as_json=as_json)


@endpoint_commands.command("rotate")
def rotate_endpoint(
    endpoint: EndpointArgument,
    overlap_h: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LARGEST_OVERLAP_D * 24,
            help=f"How many hours events are signed with the old secret, too.  [default: {USUAL_OVERLAP_H}]",
        ),
    ] = None,
    revoke_old_now: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--revoke-old-now", help="Sign with no older secret from now on, because it was lost.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Give an endpoint a new secret, which is shown once, now. The old one signs, too, during an overlap."""
    from countermand.contracts.manage.endpoint_messages import RotationGiven
    from countermand.contracts.manage.endpoint_requests import rotation_of

    named = named_endpoint(endpoint)
    with named_as_options():
        how = rotation_of(RotationGiven(overlap_h=overlap_h, revoke_old_now=revoke_old_now))
    made = with_endpoints(
        settings,
        lambda endpoints: endpoints.rotate(named, None, how.overlap, revoke_old_now=how.revoke_old_now),
    )
    until = made.endpoint.previous_secret_until
    old = "no older secret signs any more" if until is None else f"the old secret signs, too, until {said(until)}"
    _show_secret(made, f"Rotated the secret of {made.endpoint.id}; {old}", as_json=as_json)


@endpoint_commands.command("remove")
def remove_endpoint(endpoint: EndpointArgument, settings: SettingsFile = None) -> None:
    """Remove an endpoint. What it did not get is not kept for it any longer."""
    named = named_endpoint(endpoint)
    with_endpoints(settings, lambda endpoints: endpoints.remove(named, None))
    say(f"Removed {named}")


endpoint_commands.command("test")(send_test)
endpoint_commands.command("attempts")(list_attempts)
endpoint_commands.command("redeliver")(redeliver_events)


def _show(one: Endpoint, sentence: str, *, as_json: bool) -> None:
    if as_json:
        from countermand.contracts.manage.endpoint_output import endpoint_shown

        print_json(endpoint_shown(one))
    else:
        say(sentence)


def _show_secret(made: "EndpointSecrets", sentence: str, *, as_json: bool) -> None:
    """Print a new secret on standard output, and on standard error that it is not shown again."""
    if as_json:
        from countermand.contracts.manage.endpoint_output import secrets_shown

        print_json(secrets_shown(made))
    else:
        key = [] if made.public_key is None else [f"public key: {made.public_key}"]
        say(sentence, f"secret: {made.secret}", *key)
    say(_SHOWN_ONCE, err=True)


def _hears_of(one: Endpoint) -> str:
    wanted = one.subscription
    kinds = "everything" if wanted.kinds is None else " ".join(sorted(wanted.kinds))
    of_contract = "" if wanted.contract is None else f" of {wanted.contract}"
    return f"{kinds}{of_contract}" + ("" if wanted.client_id is None else f" of client {wanted.client_id}")


def _state(one: Endpoint) -> str:
    said = [one.state.value]
    said += ["failing"] if one.health.failing_since is not None else []
    said += [] if one.is_permitted else ["its owner may not subscribe"]
    return ", ".join(said)


def _described(one: Endpoint, backlog: "Backlog") -> list[str]:
    """Return lines about an endpoint. A line without a value is left out."""
    health, signed_until = one.health, one.previous_secret_until
    lines = {
        "id": one.id,
        "url": one.url,
        "dialect": one.subscription.dialect,
        "hears of": _hears_of(one),
        "added": said(one.created_at) + ("" if one.owner is None else f" by client {one.owner}"),
        "state": _state(one),
        "paused": "" if one.paused_at is None else f"{said(one.paused_at)}: {one.paused_because}",
        "old secret signs until": said(signed_until),
        "last success": said(health.last_success_at),
        "failures since": str(health.failures) if health.failures else "",
        "undelivered": str(backlog.undelivered)
        + ("" if backlog.oldest_at is None else f", the oldest from {said(backlog.oldest_at)}"),
        "given up": str(backlog.given_up),
    }
    return [f"{name}: {value}" for name, value in lines.items() if value]

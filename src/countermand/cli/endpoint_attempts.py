"""The commands about deliveries: test an endpoint, list the attempts to deliver to it, and send events again."""

from typing import TYPE_CHECKING, Annotated

import typer

from countermand.cli.database import SettingsFile
from countermand.cli.endpoint_access import EndpointArgument, named_endpoint, with_endpoints
from countermand.cli.errors import named_as_options
from countermand.cli.option_types import TEXT
from countermand.cli.printing import AsJson, print_json, print_table, said, say
from countermand.cli.queries import query_of

if TYPE_CHECKING:
    from countermand.actions.delivering.endpoints import Attempt

_LONGEST_ANSWER = 200  # characters that a sentence repeats


def send_test(endpoint: EndpointArgument, as_json: AsJson = False, settings: SettingsFile = None) -> None:  # noqa: FBT002
    """Send a test event now, in the same way as every other event. The exit code is 1 if the attempt fails."""
    named = named_endpoint(endpoint)
    attempt = with_endpoints(settings, lambda endpoints: endpoints.test(named, None))
    if as_json:
        from countermand.contracts.manage.endpoint_output import attempt_shown

        print_json(attempt_shown(attempt))
    else:
        say(_sentence(attempt))
    if attempt.error is not None:
        raise typer.Exit(1)


def list_attempts(
    endpoint: EndpointArgument,
    order: Annotated[str | None, typer.Option(help="Only of events of this order, such as connect-54.", **TEXT)] = None,
    kind: Annotated[str | None, typer.Option(help="Only of events of this kind.", **TEXT)] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only those that ended so: delivered, failed or given_up.", **TEXT)
    ] = None,
    event: Annotated[str | None, typer.Option(help="Only of the event with this id.", **TEXT)] = None,
    before: Annotated[str | None, typer.Option(help="Only those with a smaller number.", **TEXT)] = None,
    limit: Annotated[str | None, typer.Option(help="How many at most.  [default: 100]", **TEXT)] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """List the attempts to deliver events to an endpoint, newest first."""
    from countermand.contracts.manage.endpoint_messages import Attempts
    from countermand.contracts.manage.endpoint_output import attempt_shown, page_of
    from countermand.contracts.manage.endpoint_requests import attempts_asked

    given = {"order": order, "kind": kind, "outcome": outcome, "event": event, "before": before, "limit": limit}
    named = named_endpoint(endpoint)
    with named_as_options():
        wanted, at_most = attempts_asked(query_of(**given), named)
    found = with_endpoints(settings, lambda endpoints: endpoints.attempts(None, wanted, at_most + 1))
    page, following = page_of(found, at_most)
    if as_json:
        print_json(Attempts(attempts=[attempt_shown(one) for one in page], next=following))
        return
    print_table(
        ("number", "at", "event", "order", "attempt", "outcome", "status", "error", "ms"),
        (
            (
                str(one.number),
                said(one.at),
                one.event_id,
                one.order or "",
                str(one.attempt),
                one.outcome,
                "" if one.status is None else str(one.status),
                one.error or "",
                str(one.duration_ms),
            )
            for one in page
        ),
    )
    if following is not None:
        say(f"There are more: --before {following}", err=True)


def redeliver_events(
    endpoint: EndpointArgument,
    event: Annotated[str | None, typer.Option(help="The event with this id.", **TEXT)] = None,
    failed_since: Annotated[
        str | None,
        typer.Option(
            help="All events of which an attempt failed from this instant on.", **TEXT | {"metavar": "INSTANT"}
        ),
    ] = None,
    failed_until: Annotated[
        str | None, typer.Option(help="The end of that time.  [default: now]", **TEXT | {"metavar": "INSTANT"})
    ] = None,
    after: Annotated[str | None, typer.Option(help="All events after this position of the feed.", **TEXT)] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Send events again under the same ids: one, those that failed in some time, or those after a position."""
    from countermand.contracts.http.body import read
    from countermand.contracts.manage.endpoint_messages import Redelivered, RedeliveryGiven
    from countermand.contracts.manage.endpoint_requests import redelivery_of

    given = {"event": event, "failed_since": failed_since, "failed_until": failed_until, "after": after}
    named = named_endpoint(endpoint)
    with named_as_options():
        which = redelivery_of(read(RedeliveryGiven, given))
        count = with_endpoints(settings, lambda endpoints: endpoints.redeliver(named, None, which))
    if as_json:
        print_json(Redelivered(events=count))
    else:
        events = "1 event" if count == 1 else f"{count} events"
        say(f"Running servers send {events} to {named} again" if count else f"No event is sent to {named} again")


def _sentence(attempt: "Attempt") -> str:
    """Return how an attempt ended, with the beginning of the receiver's answer if it failed."""
    took = f"in {attempt.duration_ms} ms"
    if attempt.error is None:
        return f"Delivered {attempt.event_id} to {attempt.endpoint_id} {took}: status {attempt.status}"
    why = f"{attempt.error}" if attempt.status is None else f"status {attempt.status}"
    details = [attempt.detail, attempt.answer.decode(errors="backslashreplace")[:_LONGEST_ANSWER]]
    more = "; ".join(filter(None, details))
    return f"Failed {took} to deliver {attempt.event_id} to {attempt.endpoint_id}: {why}" + (
        f"; {more}" if more else ""
    )

"""Converts endpoints and attempts to messages. Only the message of a new secret has a secret."""

from collections.abc import Sequence

from msgspec.structs import asdict

from countermand.actions.delivering import endpoints as actions
from countermand.contracts.http.answer import indented
from countermand.contracts.manage import endpoint_messages as messages
from countermand.domain.delivering.endpoint import Endpoint


def endpoint_fields(one: Endpoint) -> messages.EndpointFields:
    """Return what the operator and the endpoint's owner see of an endpoint."""
    wanted, health = one.subscription, one.health
    return messages.EndpointFields(
        id=one.id,
        url=one.url,
        dialect=wanted.dialect,
        kinds=None if wanted.kinds is None else sorted(wanted.kinds),
        thin=wanted.thin,
        structured=wanted.structured,
        asymmetric=wanted.asymmetric,
        created_at=one.created_at,
        state=one.state.value,
        paused_at=one.paused_at,
        paused_because=one.paused_because,
        previous_secret_until=one.previous_secret_until,
        health=messages.Health(
            failures=health.failures,
            last_success_at=health.last_success_at,
            first_failure_at=health.first_failure_at,
            failing_since=health.failing_since,
            probed=health.is_probed,
            next_attempt_at=health.not_before,
        ),
    )


def endpoint_shown(one: Endpoint) -> messages.Endpoint:
    """Return an endpoint, as the operator sees it."""
    wanted = one.subscription
    return messages.Endpoint(
        **asdict(endpoint_fields(one)),
        contract=wanted.contract,
        client=wanted.client_id,
        owner=one.owner,
        permitted=one.is_permitted,
    )


def backlog_shown(backlog: actions.Backlog) -> messages.Backlog:
    """Return what an endpoint did not get yet."""
    return messages.Backlog(undelivered=backlog.undelivered, oldest_at=backlog.oldest_at, given_up=backlog.given_up)


def endpoint_with_backlog(one: Endpoint, backlog: actions.Backlog) -> messages.EndpointWithBacklog:
    """Return an endpoint and what it did not get yet, as the operator sees it."""
    return messages.EndpointWithBacklog(**asdict(endpoint_shown(one)), backlog=backlog_shown(backlog))


def secrets_shown(made: actions.EndpointSecrets) -> messages.NewEndpoint:
    """Return an endpoint with its new secret."""
    return messages.NewEndpoint(**asdict(endpoint_shown(made.endpoint)), secret=made.secret, public_key=made.public_key)


def attempt_fields(one: actions.Attempt) -> messages.AttemptFields:
    """Return what the operator and the endpoint's owner see of an attempt."""
    return messages.AttemptFields(
        number=one.number,
        endpoint=one.endpoint_id,
        event=one.event_id,
        kind=one.kind,
        order=one.order,
        version=one.order_version,
        attempt=one.attempt,
        at=one.at,
        duration_ms=one.duration_ms,
        status=one.status,
        error=None if one.error is None else one.error.value,
        outcome=one.outcome,
    )


def attempt_shown(one: actions.Attempt) -> messages.Attempt:
    """Return an attempt, as the operator sees it: with what the receiver answered, which nobody else may read."""
    answer = one.answer.decode(errors="backslashreplace")
    return messages.Attempt(**asdict(attempt_fields(one)), address=one.address, detail=one.detail, answer=answer)


def page_of(found: Sequence[actions.Attempt], limit: int) -> tuple[Sequence[actions.Attempt], int | None]:
    """Return a page of attempts, and the number for the next page. `found` has one more if there is a next page."""
    page = found[:limit]
    return page, page[-1].number if len(found) > limit else None


def endpoints_as_json(endpoints: Sequence[Endpoint]) -> str:
    """Return endpoints as the call that lists them answers, indented for people."""
    return indented(messages.EndpointList(endpoints=[endpoint_shown(one) for one in endpoints]))

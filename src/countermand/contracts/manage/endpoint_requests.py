"""Reads what requests about endpoints ask for. The operator's API and the partners' API share these readers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from countermand.actions.delivering.endpoints import (
    ATTEMPTS_PAGE,
    LARGEST_ATTEMPTS_PAGE,
    AttemptsWanted,
    Redelivery,
)
from countermand.actions.errors import FieldsError, NotFoundError
from countermand.contracts.http.body import read, shown
from countermand.contracts.http.calls import DecodedBody, Request
from countermand.contracts.http.openapi import parameter
from countermand.contracts.http.query import Query
from countermand.contracts.manage import endpoint_messages as messages
from countermand.contracts.manage.calls import in_range
from countermand.contracts.manage.filters import matching, number_asked, whole_asked
from countermand.contracts.manage.order_ids import ORDER_ID_PATTERN
from countermand.domain.delivering.endpoint import (
    ENDPOINT_ID_PATTERN,
    SUBSCRIBABLE_KINDS,
    USUAL_OVERLAP_H,
    EndpointEventKind,
    EndpointId,
)
from countermand.domain.orders.order import LARGEST_ORDER_ID

OUTCOMES: Final = ("delivered", "failed", "given_up")
KINDS: Final = (*SUBSCRIBABLE_KINDS, EndpointEventKind.TEST.value)
_EVENT_ID: Final = "[A-Za-z0-9_-]{1,200}"
_NO_WAY: Final = "give event, failed_since or after, and only one of them; nothing was sent"

ENDPOINT: Final = parameter(
    "endpoint",
    "path",
    "The endpoint's id",
    {"type": "string", "pattern": f"^{ENDPOINT_ID_PATTERN}$", "examples": ["ep_0123456789abcdef"]},
)
_FILTERS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "order": ("Only attempts to deliver events of this order", {"type": "string", "examples": ["connect-54"]}),
    "kind": ("Only attempts to deliver events of this kind", {"type": "string", "enum": list(KINDS)}),
    "outcome": ("Only attempts that ended so", {"type": "string", "enum": list(OUTCOMES)}),
    "event": ("Only attempts to deliver the event with this id", {"type": "string"}),
    "before": ("The `next` of the previous page", {"type": "integer", "minimum": 1}),
    "limit": (
        f"How many attempts the page has at most, by default {ATTEMPTS_PAGE}",
        {"type": "integer", "minimum": 1, "maximum": LARGEST_ATTEMPTS_PAGE},
    ),
}
ATTEMPT_FILTERS: Final = tuple(parameter(name, "query", *said, required=False) for name, said in _FILTERS.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """How an endpoint gets a new secret."""

    overlap: timedelta
    revoke_old_now: bool


def endpoint_id_of(given: str) -> EndpointId:
    """Return the id of an endpoint. Raises `NotFoundError` for a text that no endpoint has."""
    if not re.fullmatch(ENDPOINT_ID_PATTERN, given):
        raise NotFoundError(f"there is no endpoint {shown(given)}")
    return EndpointId(given)


def endpoint_in(request: Request) -> EndpointId:
    """Return the endpoint that the path names. Raises `NotFoundError`."""
    return endpoint_id_of(request.path_parameters["endpoint"])


def rotation_in(given: DecodedBody) -> Rotation:
    """Return how an endpoint gets a new secret. Raises `FieldsError`."""
    return rotation_of(read(messages.RotationGiven, given.json))


def rotation_of(wanted: messages.RotationGiven) -> Rotation:
    """Return how an endpoint gets a new secret. Raises `FieldsError` for an overlap of a secret that is revoked."""
    revokes = wanted.revoke_old_now or False
    if revokes and wanted.overlap_h:
        said = f"overlap_h must be 0 or left out if revoke_old_now is true, not {wanted.overlap_h}; nothing was rotated"
        raise FieldsError([("overlap_h", said)])
    hours = USUAL_OVERLAP_H if wanted.overlap_h is None else wanted.overlap_h
    return Rotation(overlap=timedelta(hours=0 if revokes else hours), revoke_old_now=revokes)


def redelivery_in(given: DecodedBody) -> Redelivery:
    """Return which events are sent again. Raises `FieldsError` unless the body names just one way."""
    return redelivery_of(read(messages.RedeliveryGiven, given.json))


def redelivery_of(wanted: messages.RedeliveryGiven) -> Redelivery:
    """Return which events are sent again. Raises `FieldsError` unless the message names just one way."""
    since, until = wanted.failed_since, wanted.failed_until
    named = {"event": wanted.event, "failed_since": since, "after": wanted.after}
    ways = [name for name, value in named.items() if value is not None]
    if len(ways) != 1:
        missing = "is missing" if not ways else "must stand alone"
        raise FieldsError([(name, f"{name} {missing}: {_NO_WAY}") for name in ways or named])
    if wanted.event is not None and not re.fullmatch(_EVENT_ID, wanted.event):
        said = f"event must be the id of an event, not {shown(wanted.event)}; nothing was sent"
        raise FieldsError([("event", said)])
    if since is None:
        if until is not None:
            said = "failed_until must come with failed_since, which says when the time begins; nothing was sent"
            raise FieldsError([("failed_until", said)])
        return Redelivery(event=wanted.event, after=wanted.after)
    since = in_range("failed_since", since)
    until = None if until is None else in_range("failed_until", until)
    if until is not None and until <= since:
        said = f"failed_until must be later than failed_since, not {until.isoformat()}; nothing was sent"
        raise FieldsError([("failed_until", said)])
    return Redelivery(failed_since=since, failed_until=until)


def attempts_asked(query: Query, endpoint_id: EndpointId) -> tuple[AttemptsWanted, int]:
    """Return the filters of a request, and how many attempts a page has. Raises `FieldsError` with every error."""
    wanted = AttemptsWanted(
        endpoint_id=endpoint_id,
        order=matching(query, "order", ORDER_ID_PATTERN, "the id of an order, like connect-54"),
        kind=_one_of(query, "kind", KINDS),
        outcome=_one_of(query, "outcome", OUTCOMES),
        event_id=matching(query, "event", _EVENT_ID, "the id of an event"),
        before=number_asked(query, "before", LARGEST_ORDER_ID),
    )
    limit = whole_asked(query, "limit", 1, LARGEST_ATTEMPTS_PAGE, ATTEMPTS_PAGE)
    query.check()
    return wanted, limit


def _one_of(query: Query, name: str, known: tuple[str, ...]) -> str | None:
    given = query.one(name)
    if given is None or given in known:
        return given
    query.wrong(name, f"one of {', '.join(known)}", given)
    return None

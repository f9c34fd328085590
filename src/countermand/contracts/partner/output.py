"""Converts endpoints, attempts and pages of the feed to messages for a partner."""

from msgspec.structs import asdict, replace

from countermand.actions.delivering.endpoints import Attempt, Backlog, EndpointSecrets
from countermand.actions.ordering.event_feed import FeedPage
from countermand.contracts.http.answer import JsonObject
from countermand.contracts.manage.endpoint_output import attempt_fields, backlog_shown, endpoint_fields
from countermand.contracts.manage.event_messages import EventPage
from countermand.contracts.manage.events import page_shown
from countermand.contracts.partner import messages
from countermand.domain.delivering.endpoint import Endpoint
from countermand.domain.orders.order_events import without_people


def endpoint_shown(one: Endpoint) -> messages.OwnEndpoint:
    """Return an endpoint, as its owner sees it."""
    return messages.OwnEndpoint(**asdict(endpoint_fields(one)))


def secrets_shown(made: EndpointSecrets) -> messages.NewOwnEndpoint:
    """Return an endpoint with its new secret."""
    fields = asdict(endpoint_fields(made.endpoint))
    return messages.NewOwnEndpoint(**fields, secret=made.secret, public_key=made.public_key)


def endpoint_with_backlog(one: Endpoint, backlog: Backlog) -> messages.OwnEndpointWithBacklog:
    """Return an endpoint, and what it did not get yet."""
    return messages.OwnEndpointWithBacklog(**asdict(endpoint_fields(one)), backlog=backlog_shown(backlog))


def attempt_shown(one: Attempt) -> messages.OwnAttempt:
    """Return an attempt without what the receiver answered."""
    return messages.OwnAttempt(**asdict(attempt_fields(one)))


def own_page_shown(page: FeedPage) -> EventPage:
    """Return a page of the feed without the operator's people."""
    shown = page_shown(page)
    events = [replace(one, data=JsonObject(without_people(one.data))) for one in shown.events]
    return EventPage(events=events, next=shown.next)

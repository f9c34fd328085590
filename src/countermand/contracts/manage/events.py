"""The feed of order events in the operator's API: every event once, in the order of its positions."""

from typing import Final

from countermand.actions.ordering.event_feed import EventFeed, FeedPage
from countermand.actions.ordering.feed_ports import NumberedEvent
from countermand.contracts.http.answer import Answer, JsonObject, json_answer
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.manage import event_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.filters import whole_asked
from countermand.contracts.manage.messages import PROBLEM_JSON, Problem
from countermand.domain.client import Permission
from countermand.domain.orders.event_ids import event_id, id_text

PAGE: Final = 100
LARGEST_PAGE: Final = 1000
_LONGEST_WAIT_S: Final = 30


class ManagedEvents:
    """The call that reads the feed. Without `feed`, it is only described."""

    def __init__(self, feed: EventFeed | None) -> None:
        self._feed = feed

    def calls(self) -> tuple[Call, ...]:
        """Return the call with its handler."""
        return (ServiceCall(operation=_LIST_EVENTS, body=no_body, handle=self._list),)

    async def _list(self, context: CallContext[None]) -> Answer:
        assert self._feed is not None
        after, at_most, wait_s = feed_asked(context.request)
        return json_answer(200, page_shown(await self._feed.wait(after, at_most, wait_s)))


def feed_asked(request: Request) -> tuple[str | None, int, int]:
    """Return the cursor, how many events an answer has at most, and how many seconds it waits. Raises `FieldsError`."""
    query = Query(request.query_string)
    after = query.one("after")
    at_most = whole_asked(query, "limit", 1, LARGEST_PAGE, PAGE)
    wait_s = whole_asked(query, "wait", 0, _LONGEST_WAIT_S, 0)
    query.check()
    return after, at_most, wait_s


def page_shown(page: FeedPage) -> messages.EventPage:
    """Return a page of the feed."""
    return messages.EventPage(events=[_event_shown(cursor, one) for cursor, one in page.events], next=page.following)


def _event_shown(cursor: str, event: NumberedEvent) -> messages.Event:
    assert event.recorded_at is not None
    assert event.details is not None
    order = None if event.contract is None else id_text(event.contract, event.uid, event.order_id)
    subject = order or str(event.details.get("endpoint"))
    return messages.Event(
        position=cursor,
        id=event_id(subject, event.order_version, event.kind, event.digest),
        kind=event.kind,
        version=event.order_version,
        order=order,
        occurred_at=event.recorded_at,
        data=JsonObject(messages.shown_details(event.kind, event.details)),
    )


FEED_PARAMETERS: Final = (
    parameter(
        "after",
        "query",
        "A position, or next of an earlier answer: the answer begins after it. Without it, the answer begins at "
        "the first event that is kept",
        {"type": "string"},
        required=False,
    ),
    parameter(
        "limit",
        "query",
        f"How many events the answer has at most, by default {PAGE}",
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE},
        required=False,
    ),
    parameter(
        "wait",
        "query",
        "If there are no events yet, how many seconds the answer waits for the first one, by default 0",
        {"type": "integer", "minimum": 0, "maximum": _LONGEST_WAIT_S},
        required=False,
    ),
)
_LIST_EVENTS: Final = operation(
    "listEvents",
    "GET",
    ROOT + "/events",
    "Read the feed of order events: every event once, in the order of the feed, from a cursor on",
    Permission.READ,
    {
        200: Reply(when="The events after the cursor", message=messages.EventPage),
        410: Reply(
            when="The cursor does not lead on without a gap; `next` has the cursor to go on at",
            message=Problem,
            media_type=PROBLEM_JSON,
        ),
    },
    parameters=FEED_PARAMETERS,
)

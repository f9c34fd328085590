"""The feed of order events in the operator's API: every event once, in the order of its positions."""

from typing import Final

from countermand.actions.ordering.event_feed import EventFeed, FeedPage
from countermand.actions.ordering.feed_ports import NumberedEvent
from countermand.contracts.http.answer import Answer, JsonObject, json_answer
from countermand.contracts.http.body import shown
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.manage import event_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
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
        query = Query(context.request.query_string)
        after = query.one("after")
        at_most = _whole(query, "limit", 1, LARGEST_PAGE, PAGE)
        wait_s = _whole(query, "wait", 0, _LONGEST_WAIT_S, 0)
        query.check()
        return json_answer(200, page_shown(await self._feed.wait(after, at_most, wait_s)))


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


def _whole(query: Query, name: str, least: int, most: int, otherwise: int) -> int:
    """Return a parameter that is a whole number. A wrong value is noted as an error."""
    given = query.one(name)
    if given is None:
        return otherwise
    if given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most:
        return int(given)
    query.errors.append((name, f"{name} must be a whole number from {least} to {most}, not {shown(given)}"))
    return otherwise


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
    parameters=(
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
    ),
)

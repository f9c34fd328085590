"""The feed in the partners' API: the events of a partner's own orders, with the positions of the operator's feed."""

from typing import Final

from countermand.actions.ordering.event_feed import EventFeed
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply
from countermand.contracts.manage.event_messages import EventPage
from countermand.contracts.manage.events import FEED_PARAMETERS, feed_asked
from countermand.contracts.partner.calls import GONE, own_operation
from countermand.contracts.partner.output import own_page_shown


class OwnEvents:
    """The call that reads the feed. Without `feed`, it is only described."""

    def __init__(self, feed: EventFeed | None) -> None:
        self._feed = feed

    def calls(self) -> tuple[Call, ...]:
        """Return the call with its handler."""
        return (ServiceCall(operation=_LIST, body=no_body, handle=self._list),)

    async def _list(self, context: CallContext[None]) -> Answer:
        assert self._feed is not None
        after, at_most, wait_s = feed_asked(context.request)
        page = await self._feed.wait(after, at_most, wait_s, context.client.id)
        return json_answer(200, own_page_shown(page))


_LIST: Final = own_operation(
    "listEvents",
    "GET",
    "/events",
    "Read the events of your orders from a cursor on. An answer may be empty before the end",
    {200: Reply(when="The events of your orders after the cursor", message=EventPage), 410: GONE},
    parameters=FEED_PARAMETERS,
)

"""The log of attempts in the operator's API: JSON a page at a time, or CSV and JSON lines with all rows."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Final

from countermand.actions.delivering.endpoints import Attempt, AttemptsWanted, EndpointAdministration
from countermand.contracts.http.answer import JSON, Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply
from countermand.contracts.http.query import Query
from countermand.contracts.http.streamed import StreamedAnswer
from countermand.contracts.manage import csv_rows
from countermand.contracts.manage import endpoint_messages as messages
from countermand.contracts.manage.calls import operation
from countermand.contracts.manage.csv_rows import CSV
from countermand.contracts.manage.desk_lists import STREAMED, json_line, media_type_of, stream_headers
from countermand.contracts.manage.endpoint_output import attempt_shown, page_of
from countermand.contracts.manage.endpoint_requests import ATTEMPT_FILTERS, ENDPOINT, attempts_asked, endpoint_in
from countermand.domain.client import Permission

_STREAMED_AT_ONCE: Final = 500


class AttemptList:
    """The call that lists attempts. Without `endpoints`, it is only described."""

    def __init__(self, endpoints: EndpointAdministration | None) -> None:
        self._given = endpoints

    def call(self, path: str) -> Call:
        """Return the call with its handler."""
        described = operation(
            "listAttempts",
            "GET",
            path,
            "List the attempts to deliver events to an endpoint, newest first",
            Permission.ENDPOINTS,
            {200: Reply(when=f"A page of the list. {STREAMED}", message=messages.Attempts)},
            parameters=(ENDPOINT, *ATTEMPT_FILTERS),
        )
        return ServiceCall(operation=described, body=no_body, handle=self._list)

    async def _list(self, context: CallContext[None]) -> Answer:
        assert self._given is not None
        wanted, limit = attempts_asked(Query(context.request.query_string), endpoint_in(context.request))
        media_type = media_type_of(context.request)
        if media_type != JSON:
            first = await self._given.attempts(None, wanted, _STREAMED_AT_ONCE)
            pieces = _pieces(self._given, wanted, first, media_type)
            return StreamedAnswer(status=200, headers=stream_headers(media_type), pieces=pieces)
        page, following = page_of(await self._given.attempts(None, wanted, limit + 1), limit)
        return json_answer(200, messages.Attempts(attempts=[attempt_shown(one) for one in page], next=following))


async def _pieces(
    endpoints: EndpointAdministration, wanted: AttemptsWanted, page: Sequence[Attempt], media_type: str
) -> AsyncGenerator[bytes, None]:
    """Yield a piece for each page. No row is there twice, because a page begins before the last row's number."""
    as_line = csv_rows.row if media_type == CSV else json_line
    if media_type == CSV:
        yield csv_rows.headings(messages.Attempt)
    while page:
        yield b"".join(as_line(attempt_shown(one)) for one in page)
        page = await endpoints.attempts(None, replace(wanted, before=page[-1].number), _STREAMED_AT_ONCE)

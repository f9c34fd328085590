"""The plain front: the cancel paths in a few microseconds, everything else to the framework.

A framework costs more than the whole rest of a cancellation (57 of 89 microseconds, measured), so the hot paths go
around it. They are routes of the framework, too, on the same `CancelCall`, and golden tests run on both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.errors import CountermandError
from countermand.actions.ports import CancelOrder
from countermand.contracts.http.answer import Answer, headers_of
from countermand.contracts.http.cancel_endpoint import Authenticator, CancelEndpoint
from countermand.telemetry.requests import RouteReports
from countermand.web.request_log import (
    CANCELLED,
    OUTCOMES,
    REFUSED,
    codes_of,
    given_request_id,
    note_start,
    outcome_of,
    with_request_id,
)
from countermand.web.transport import ClientGoneError, read_body

log = structlog.get_logger()

OTHER_METHOD: Final = "other"  # than the one that a path has; a caller can call methods anything


class Commit(Protocol):
    """The way into a batch; `GroupCommit` is one."""

    async def submit(self, command: CancelOrder) -> CancelOutcome:
        """Wait for the command's outcome. Raises our errors."""
        ...


@dataclass(frozen=True, kw_only=True)
class CancelCall:
    """A contract's cancel call from headers to answer: the hops of `docs/architecture.md`, one after the other."""

    endpoint: CancelEndpoint
    authenticator: Authenticator
    command_ids: CommandIds
    commit: Commit
    reports: RouteReports
    reports_of_other_methods: RouteReports

    async def answer(self, scope: HTTPScope, receive: Receive) -> Answer:
        """Never raises, but `ClientGoneError`."""
        started_s = perf_counter()
        headers = headers_of(scope)
        given_id = given_request_id(headers)
        request_id = given_id or self.reports.new_id()
        endpoint, client_id, order, code = self.endpoint, None, None, ""
        try:
            endpoint.check_transport(scope["method"], headers)
            body = await read_body(headers, receive)
            client = await self.authenticator.client(endpoint.channel, endpoint.credential(headers))
            client_id = client.id
            command = endpoint.command(client, headers, body, self.command_ids.next())
            order = str(command.order_id)
            decided = await self.commit.submit(command)
            answer = endpoint.answer(decided)
            if isinstance(decided, Cancelled):
                outcome = CANCELLED
            else:
                outcome, code = REFUSED, codes_of(decided.refused)
        except CountermandError as error:
            if type(error) not in OUTCOMES:  # one that nobody foresaw here
                log.exception("unexpected failure", request_id=request_id)
            answer = endpoint.error(error)
            outcome, code = outcome_of(error)
        except ClientGoneError:
            raise
        except Exception as error:
            log.exception("unexpected failure", request_id=request_id)
            answer = endpoint.error(error)
            outcome, code = outcome_of(error)
        reports = self.reports if scope["method"] == "POST" else self.reports_of_other_methods
        reports.answered(request_id, started_s, answer.status, outcome, code, client_id, order)
        if notices := endpoint.notices(headers):
            answer = answer.with_headers(*notices)
        return with_request_id(answer, given_id, request_id)


class Front:
    """The ASGI application: `cancels` on their own paths, `rest` on all others."""

    def __init__(self, cancels: Sequence[CancelCall], rest: ASGIApp) -> None:
        self._hot: Mapping[str, CancelCall] = {path: call for call in cancels for path in call.endpoint.paths}
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One look-up of the path decides."""
        is_head = scope.get("method") == "HEAD"
        if is_head:  # answered as GET is, without the body
            send = _without_body(send)
        call = self._hot.get(scope["path"]) if scope["type"] == ScopeType.HTTP else None
        if call is None:
            note_start(scope)
            await self._rest(cast("Scope", {**scope, "method": "GET"}) if is_head else scope, receive, send)
            return
        try:
            answer = await call.answer(cast("HTTPScope", scope), receive)
        except ClientGoneError:
            return
        await answer(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head

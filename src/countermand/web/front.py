"""Answers the cancel paths without the framework, and passes all other requests to the framework.

The framework costs more than the whole rest of a cancellation (57 of 89 microseconds, measured), so the hot paths go
around it. They are routes of the framework, too, with the same `CancelCall`, and golden tests run on both.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.cancelling.group_commit import Waiter
from countermand.actions.cancelling.ports import CancelOrder
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.cancel_endpoint import Authenticator, CancelEndpoint
from countermand.contracts.http.streamed import HEAD_ONLY
from countermand.domain.client import Client
from countermand.telemetry.requests import RouteReports
from countermand.web.reporting import RequestReport, note_start
from countermand.web.transport import ClientGoneError, read_body

OTHER_METHOD: Final = "other"  # stands for all other methods in reports, because a caller can make up methods


# Cancels an order, and tells the outcome to the waiter. Raises `UnavailableError`.
Enqueue = Callable[[CancelOrder, Waiter[CancelOutcome]], None]


@dataclass(frozen=True, kw_only=True)
class CancelCall:
    """Runs a contract's cancel call from headers to answer: the hops of `docs/architecture.md`, one after the other."""

    endpoint: CancelEndpoint
    authenticator: Authenticator
    command_ids: CommandIds
    cancel: Callable[[CancelOrder], Awaitable[CancelOutcome]]  # raises the errors of `actions/errors.py`
    enqueue: Enqueue  # does the same as `cancel`, for the short cut
    reports: RouteReports
    reports_of_other_methods: RouteReports

    async def answer(self, scope: HTTPScope, receive: Receive) -> Answer:
        """Answer the request, whatever happens. Raises only `ClientGoneError`."""
        method, endpoint = scope["method"], self.endpoint
        if method == "POST":
            report = RequestReport(self.reports, scope)
        else:
            report = RequestReport(self.reports_of_other_methods.of_request(method, scope["path"]), scope)
        try:
            endpoint.check_transport(method, report.headers)
            body = await read_body(report.headers, receive)
            client = await self.authenticator.client(endpoint.channel, endpoint.credential(report.headers))
            decision = await self.cancel(self.command(report, client, scope, body))
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the report logs an unforeseen error
            return self.failed(report, error)
        return self.decided(report, decision)

    def command(self, report: RequestReport, client: Client, scope: HTTPScope, body: bytes) -> CancelOrder:
        """Return the command of a client's request. Raises the contract's errors."""
        report.client_id = client.id
        address = peer[0] if (peer := scope.get("client")) else None
        query, command_id = scope["query_string"], self.command_ids.next()
        command = self.endpoint.command(client, report.headers, query, body, command_id, address)
        report.order = command.order_name or None
        return command

    def decided(self, report: RequestReport, decision: CancelOutcome) -> Answer:
        """Return the answer to a request that was decided, and report it."""
        report.decision = decision
        try:
            answer = self.endpoint.answer(decision)
        except Exception as error:  # noqa: BLE001 - the report logs an unforeseen error
            return self.failed(report, error)
        return report.finish(answer, self.endpoint.notices(report.headers))

    def failed(self, report: RequestReport, error: Exception) -> Answer:
        """Return the answer to a request that ended in an error, and report it."""
        report.failed(error)
        return report.finish(self.endpoint.error(error), self.endpoint.notices(report.headers))


class Front:
    """The ASGI application: `cancels` answer their own paths, and `rest` answers all others."""

    def __init__(self, cancels: Sequence[CancelCall], rest: ASGIApp) -> None:
        self.by_path: Mapping[str, CancelCall] = {path: call for call in cancels for path in call.endpoint.paths}
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. One look-up of the path decides which way it takes."""
        is_head = scope.get("method") == "HEAD"
        if is_head:  # HEAD gets the answer of GET without the body
            send = _without_body(send)
        call = self.by_path.get(scope["path"]) if scope["type"] == ScopeType.HTTP else None
        if call is None:
            note_start(scope)
            await self._rest(
                cast("Scope", {**scope, "method": "GET", HEAD_ONLY: True}) if is_head else scope, receive, send
            )
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

"""Reports every answered request: to the log and to the metrics. It also adds the last header lines to the answer.

All answers leave through `RequestReport.finish`: those of the front, of the contracts' calls, of pages, and of the
framework itself.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Final, Literal, cast

import structlog
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from countermand.actions.cancelling.approvals import APPROVAL_DIFFERS, ApprovalDiffers, TwoPersonsOutcome
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.override import OverrideDiffers
from countermand.actions.cancelling.ports import OVERRIDE_DIFFERS, CancelOrder
from countermand.actions.errors import CountermandError
from countermand.contracts.http.answer import Answer, headers_of
from countermand.contracts.http.calls import Services
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.contracts.manage.order_ids import ORDER_ID_PATTERN
from countermand.domain.cancelling.approval import Approval
from countermand.domain.client import Client
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.orders.order import UID_PATTERN
from countermand.domain.staff_id import StaffId
from countermand.telemetry.requests import RouteReports
from countermand.web.framework import FrameworkRequest
from countermand.web.request_log import ASKED, CANCELLED, DONE, OUTCOMES, REFUSED, UNAVAILABLE, codes_of, outcome_of

log = structlog.get_logger()

PageHandler = Callable[[FrameworkRequest], Awaitable[Answer]]

_REQUEST_ID_FIELD: Final = b"x-request-id"
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_NAME: Final = re.compile(f"[1-9][0-9]{{0,18}}|{UID_PATTERN}")
_ORDER_ID: Final = re.compile(ORDER_ID_PATTERN)
_ORDER_PARAMETER: Final = re.compile(r"/orders/{(\w+)}(?:/|$)")
_ORDER_PLACED: Final = re.compile(rb"/orders/([0-9a-z]+)$")
_STARTED: Final = "countermand.started_s"
_ERROR: Final = 400
_STATUS_UNAVAILABLE: Final = 503


def given_request_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the caller's own id of the request, or None unless it is 1 to 128 characters of visible ASCII."""
    given = headers.get(_REQUEST_ID_FIELD)
    return given.decode() if given is not None and _REQUEST_ID.fullmatch(given) else None


def request_id_field(headers: Mapping[bytes, bytes], new_id: Callable[[], str]) -> tuple[bytes, bytes]:
    """Return the header line with the id of a request that has no report: the caller's own id, or a new id."""
    return (_REQUEST_ID_FIELD, (given_request_id(headers) or new_id()).encode())


class NamesEveryRequest:
    """Adds `X-Request-Id` to answers of the framework that no report has seen: its answers to CORS preflights."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app, self._new_id = app, new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = list(message["headers"])
                if not any(name.lower() == _REQUEST_ID_FIELD for name, _ in sent):
                    message = {**message, "headers": [*sent, request_id_field(headers_of(scope), self._new_id)]}
            await send(message)

        await self._app(scope, receive, named)


def note_start(scope: Scope) -> None:
    """Remember when a request that goes to the framework came in. ASGI lets servers add keys of their own."""
    cast("dict[str, object]", scope)[_STARTED] = perf_counter()


class RequestReport:
    """Collects what is known of a request, and reports it when the request is answered.

    The request's duration counts from `note_start`, or from the making of this object if that was not called.
    """

    client_id: int | None = None
    staff: str | None = None
    acting_for: StaffId | None = None
    order: str | None = None
    decision: TwoPersonsOutcome | None = None  # only for a cancellation
    outcome = ""
    code = ""

    def __init__(self, reports: RouteReports, scope: Scope) -> None:
        noted_s = scope.get(_STARTED)
        self._started_s = perf_counter() if noted_s is None else cast("float", noted_s)
        self._reports, self._scope = reports, scope
        self.headers = headers = headers_of(scope)
        given_id = given_request_id(headers) if _REQUEST_ID_FIELD in headers else None
        self.request_id = given_id or reports.new_id()

    def failed(self, error: Exception) -> None:
        """Record that the request ended in an error. An unforeseen error is logged with its traceback."""
        if type(error) not in OUTCOMES:
            log.error("unexpected failure", request_id=self.request_id, exc_info=error)
        self.outcome, self.code = outcome_of(error)

    def finish(self, answer: Answer, notices: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
        """Report the answer, and return it with its last header lines.

        These are the `notices` and `X-Request-Id`: the caller's own id, or a new id.
        """
        outcome, code = self.outcome, self.code
        if not outcome:
            if isinstance(self.decision, Cancelled):
                outcome = CANCELLED
            elif isinstance(self.decision, Approval):
                outcome = ASKED
            elif isinstance(self.decision, OverrideDiffers):
                outcome, code = REFUSED, OVERRIDE_DIFFERS
            elif isinstance(self.decision, ApprovalDiffers):
                outcome, code = REFUSED, APPROVAL_DIFFERS
            elif self.decision is not None:
                outcome, code = REFUSED, codes_of(self.decision.refused)
            else:
                outcome = DONE if answer.status < _ERROR else REFUSED
        people = None if self.staff is None and self.acting_for is None else (self.staff, self.acting_for)
        asked = self.request_id, self._started_s
        self._reports.answered(*asked, answer.status, outcome, code, self.client_id, self.order, people, self._scope)
        return answer.with_headers(*notices, (_REQUEST_ID_FIELD, self.request_id.encode()))


class CallReport(RequestReport):
    """Reports a call of an API module. It wraps the call's services, to learn the client and the decision.

    Implements `Authenticator`.
    """

    def __init__(
        self, reports: RouteReports, scope: Scope, services: Services, channel: Channel, order: str | None
    ) -> None:
        super().__init__(reports, scope)
        self._services = services
        self._channel = channel
        self.order = None if order is None else _order_named(channel, order)

    def services(self) -> Services:
        """Return the services. They report the client and the decision of a cancellation to this object."""
        return replace(
            self._services,
            authenticator=self,
            cancel=self._cancel,
            note_outcome=self._note,
            note_order=self._note_order,
        )

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """See `Authenticator.client`."""
        client = await self._services.authenticator.client(channel, credential)
        self.client_id, self.staff = client.id, client.staff_id
        return client

    async def acting_as(self, client: Client, given: str) -> StaffId:
        """See `Authenticator.acting_as`."""
        self.acting_for = await self._services.authenticator.acting_as(client, given)
        return self.acting_for

    async def _cancel(self, command: CancelOrder) -> CancelOutcome:
        outcome = await self._services.cancel(command)
        self.decision = outcome
        return outcome

    def _note(self, outcome: TwoPersonsOutcome) -> None:
        self.decision = outcome

    def _note_order(self, name: str) -> None:
        self.order = name

    def finish(self, answer: Answer, notices: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
        """See `RequestReport.finish`. If the call placed an order, the answer's `Location` names the order."""
        self.order = self.order or _order_placed(self._channel, answer)
        return super().finish(answer, notices)


def page_route(
    method: Literal["GET", "POST"],
    path: str,
    page: PageHandler,
    reports: RouteReports,
    failed: Callable[[CountermandError], Answer] | None = None,
) -> HTTPRouteHandler:
    """Return a route for a page. `path` is a template such as `/docs/{name}`.

    `failed` makes the answer to an error of `actions/errors.py`; without it, the framework handles the error.
    """

    async def handle(request: FrameworkRequest) -> Answer:
        report = RequestReport(reports, request.scope)
        try:
            answer = await page(request)
        except CountermandError as error:
            if failed is None:
                raise
            report.failed(error)
            return report.finish(failed(error))
        report.outcome = UNAVAILABLE if answer.status == _STATUS_UNAVAILABLE else DONE
        return report.finish(answer)

    return HTTPRouteHandler(framework_path(path), http_method=method, status_code=200)(handle)


def framework_path(path: str) -> str:
    """Return a path in the framework's syntax: `{id:str}` for `{id}`."""
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def order_parameter(path: str) -> str | None:
    """Return the name of the parameter that names an order in the path of a call; None if the path names no order."""
    match = _ORDER_PARAMETER.search(path)
    return None if match is None else match[1]


def _order_named(channel: Channel, name: str) -> str | None:
    """Return the order's management id, or None if `name` cannot name an order: a caller can send any text."""
    if channel == MANAGE:
        return name if _ORDER_ID.fullmatch(name) else None
    return f"{channel}-{name}" if _NAME.fullmatch(name) else None


def _order_placed(channel: Channel, answer: Answer) -> str | None:
    match = _ORDER_PLACED.search(dict(answer.headers).get(b"location", b""))
    return None if match is None else _order_named(channel, match[1].decode())

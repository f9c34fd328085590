"""Reports every answered request: its id, its line in the log, its place in the metrics, its answer's header lines.

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
from litestar.types import Scope

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import CountermandError
from countermand.contracts.http.answer import Answer, headers_of
from countermand.contracts.http.calls import Services
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.domain.client import Client
from countermand.domain.contract import Channel
from countermand.domain.orders.order import UID_PATTERN, OrderUid, order_id_of
from countermand.telemetry.requests import RouteReports
from countermand.web.framework import FrameworkRequest
from countermand.web.request_log import CANCELLED, DONE, OUTCOMES, REFUSED, UNAVAILABLE, codes_of, outcome_of

log = structlog.get_logger()

PageHandler = Callable[[FrameworkRequest], Awaitable[Answer]]

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_NUMBER: Final = re.compile("[0-9]{1,19}")
_UID: Final = re.compile(UID_PATTERN)
_STARTED: Final = "countermand.started_s"
_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_STATUS_UNAVAILABLE: Final = 503


def given_request_id(headers: Mapping[bytes, bytes]) -> str | None:
    """The id by which the caller knows the request: visible ASCII; anything else is no id."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _REQUEST_ID.fullmatch(given) else None


def note_start(scope: Scope) -> None:
    """Remember when a request that goes to the framework came in. ASGI lets servers add keys of their own."""
    cast("dict[str, object]", scope)[_STARTED] = perf_counter()


class RequestReport:
    """What is learned of a request until it is answered. Without a note of its start, the request starts here."""

    client_id: int | None = None
    order: str | None = None
    decision: CancelOutcome | None = None  # of a cancellation
    outcome = ""
    code = ""

    def __init__(self, reports: RouteReports, scope: Scope) -> None:
        noted_s = scope.get(_STARTED)
        self._started_s = perf_counter() if noted_s is None else cast("float", noted_s)
        self._reports = reports
        self.headers = headers = headers_of(scope)
        self._given_id = given_request_id(headers) if b"x-request-id" in headers else None
        self.request_id = self._given_id or reports.new_id()

    def failed(self, error: Exception) -> None:
        """The request ended in an error, whatever was done before. An error that nobody foresaw here is logged."""
        if type(error) not in OUTCOMES:
            log.error("unexpected failure", request_id=self.request_id, exc_info=error)
        self.outcome, self.code = outcome_of(error)

    def finish(self, answer: Answer, notices: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
        """Report the answer, and give it its last header lines.

        These are `notices`, the id that the caller gave, and, with an unexpected failure, an id to ask about.
        """
        outcome, code = self.outcome, self.code
        if not outcome:
            if isinstance(self.decision, Cancelled):
                outcome = CANCELLED
            elif self.decision is not None:
                outcome, code = REFUSED, codes_of(self.decision.refused)
            else:
                outcome = DONE if answer.status < _ERROR else REFUSED
        self._reports.answered(
            self.request_id, self._started_s, answer.status, outcome, code, self.client_id, self.order
        )
        if self._given_id is not None or answer.status >= _SERVER_ERROR:
            return answer.with_headers(*notices, (b"x-request-id", self.request_id.encode()))
        return answer.with_headers(*notices) if notices else answer


class CallReport(RequestReport):
    """The report of a contract's call: stands between the call and its services, and learns from both.

    Fulfils `Authenticator`.
    """

    def __init__(
        self, reports: RouteReports, scope: Scope, services: Services, path_parameters: Mapping[str, str]
    ) -> None:
        super().__init__(reports, scope)
        self._services = services
        self.order = _order_named(path_parameters.get("id") or path_parameters.get("uid") or "")

    def services(self) -> Services:
        """The services, which tell this report who calls and how a cancellation was decided."""
        return replace(self._services, authenticator=self, cancel=self._cancel)

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """See `Authenticator.client`."""
        client = await self._services.authenticator.client(channel, credential)
        self.client_id = client.id
        return client

    async def _cancel(self, command: CancelOrder) -> CancelOutcome:
        self.decision = await self._services.cancel(command)
        return self.decision

    def finish(self, answer: Answer, notices: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
        """See `RequestReport.finish`. An order that was placed is named by the answer."""
        self.order = self.order or _order_placed(answer)
        return super().finish(answer, notices)


def page_route(
    method: Literal["GET", "POST"],
    path: str,
    page: PageHandler,
    reports: RouteReports,
    failed: Callable[[CountermandError], Answer] | None = None,
) -> HTTPRouteHandler:
    """A page at a path, as `/docs/{name}`. `failed` answers our errors; without it, the framework does."""

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
    """A path as the framework writes it: `{id:str}` for `{id}`."""
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def _order_named(name: str) -> str | None:
    """An order's number, if that is what a path has: a caller can put anything there."""
    if _UID.fullmatch(name):
        return str(order_id_of(OrderUid(name)))
    return name if _NUMBER.fullmatch(name) else None


def _order_placed(answer: Answer) -> str | None:
    location = dict(answer.headers).get(b"location", b"")
    return _order_named(location.rpartition(b"/")[2].decode("latin-1"))

"""Joins the calls of all API modules, the pages and the plain front into one ASGI application."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from litestar import Litestar, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.group_commit import Waiter
from countermand.actions.cancelling.ports import CancelOrder
from countermand.contracts.http.accept import prefers_page
from countermand.contracts.http.answer import Answer, MalformedRequestError, MethodNotAllowedError, NoSuchPathError
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.body import shown
from countermand.contracts.http.calls import Call, Request, Services
from countermand.contracts.http.cancel_endpoint import CancelEndpoint
from countermand.contracts.http.execute import execute
from countermand.contracts.http.openapi import Operation
from countermand.contracts.http.page_addresses import DOCS
from countermand.domain.contract import MANAGE
from countermand.telemetry.counts import Counts
from countermand.telemetry.requests import Requests, RouteReports
from countermand.web.cors import OnlyDeclaredOrigins, cors
from countermand.web.framework import FrameworkRequest, FrameworkResponse
from countermand.web.front import OTHER_METHOD, CancelCall, Front
from countermand.web.long_answers import in_pieces
from countermand.web.pages.buyer_pages import BuyerPages
from countermand.web.pages.docs_and_health import docs_renderer, metrics_route, page_routes
from countermand.web.pages.error_pages import error_page
from countermand.web.pages.rendering import PageRenderer
from countermand.web.pages.sample_credentials import SampleCredential
from countermand.web.path_segments import KeepsEncodedSlashes, path_parameters
from countermand.web.reporting import CallReport, NamesEveryRequest, RequestReport, framework_path, order_parameter
from countermand.web.transport import ClientGoneError, read_body

if TYPE_CHECKING:  # imported only if traces are switched on
    from countermand.web.tracing import TracedCalls

_NO_ROUTE: Final = "none"
_UNREADABLE: Final = "the request cannot be read"
_CANCEL_ORDERS: Final = frozenset({"cancelOrder", "confirmApproval"})


class Cancelling(Protocol):
    """Passes commands to the group commit; `CancelAndShow` implements it.

    Each function waits for the outcome, and raises the errors of `actions/errors.py`.
    """

    def submit(self, command: CancelOrder) -> Awaitable[CancelOutcome]:
        """Cancel the order. The outcome does not have the order's view."""
        ...

    def submit_and_show(self, command: CancelOrder) -> Awaitable[CancelOutcome]:
        """Cancel the order. The outcome of a cancelled order has the order's view, unless the view cannot be read."""
        ...

    def enqueue(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        """Do as `submit`, but tell the outcome to `answer`. Raises `UnavailableError`."""
        ...

    def enqueue_and_show(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        """Do as `submit_and_show`, but tell the outcome to `answer`. Raises `UnavailableError`."""
        ...


def application(
    services: Services,
    modules: Sequence[ApiModule],
    cancelling: Cancelling,
    *,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    requests: Requests,
    buyer_pages: BuyerPages | None = None,
    credentials: Sequence[SampleCredential] = (),
    metrics: Counts | None = None,
    traces: "TracedCalls | None" = None,
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None = None,
    with_front: bool = True,
) -> ASGIApp:
    """Return the whole application, with the calls of all `modules`.

    Without the front, the framework carries the cancel calls, too. `ready` returns None, or why the service is not
    ready. The pages about the calls have `credentials` filled in. With `metrics`, the application has the page
    `/metrics`; with `traces`, every call is traced.
    """
    if traces is not None:
        services = traces.services(services)
    calls = {
        module.name: _cancel_call(*module.cancel, cancelling, services, requests, traces)
        for module in modules
        if module.cancel is not None
    }
    renderer = docs_renderer(modules, services.public_url)
    handlers: list[HTTPRouteHandler] = [*page_routes(modules, renderer, version, ready, requests, credentials)]
    if buyer_pages is not None:
        handlers += buyer_pages.routes()
    if metrics is not None:
        handlers.append(metrics_route(metrics, requests))
    for module in modules:
        handlers += [_handler(call, module, services, requests, traces) for call in module.calls]
        if module.cancel is not None:
            handlers.append(_cancel_handler(calls[module.name]))
    unrouted = _unrouted(modules, renderer, requests.route(OTHER_METHOD, _NO_ROUTE))
    calls_by_origin = _calls_by_origin(modules)
    rest: ASGIApp = Litestar(
        route_handlers=handlers,
        openapi_config=None,
        cors_config=cors(calls_by_origin) if calls_by_origin else None,
        lifespan=[] if lifespan is None else [lifespan],
        exception_handlers={HTTPException: unrouted, Exception: unrouted},
        logging_config=None,
    )
    if calls_by_origin:
        rest = OnlyDeclaredOrigins(rest, calls_by_origin)
    rest = KeepsEncodedSlashes(NamesEveryRequest(rest, requests.new_id))
    return Front(list(calls.values()), rest) if with_front else rest


def _cancel_call(
    endpoint: CancelEndpoint,
    operation: Operation,
    cancelling: Cancelling,
    services: Services,
    requests: Requests,
    traces: "TracedCalls | None",
) -> CancelCall:
    """Return a contract's cancel call. Its outcome has the order's view only if the endpoint shows the order."""
    cancel = cancelling.submit_and_show if endpoint.shows_order else cancelling.submit
    call = CancelCall(
        endpoint=endpoint,
        authenticator=services.authenticator,
        command_ids=services.command_ids,
        cancel=cancel if traces is None else traces.waiting(cancel),
        enqueue=cancelling.enqueue_and_show if endpoint.shows_order else cancelling.enqueue,
        reports=requests.route("POST", operation.path, channel=endpoint.channel, cancels=True),
        reports_of_other_methods=requests.route(OTHER_METHOD, operation.path, channel=endpoint.channel, cancels=True),
    )
    return call if traces is None else traces.cancel(call)


def _handler(
    call: Call, module: ApiModule, services: Services, requests: Requests, traces: "TracedCalls | None"
) -> HTTPRouteHandler:
    operation = call.operation
    is_cancel = module.name == MANAGE and operation.name in _CANCEL_ORDERS
    names_order = order_parameter(operation.path)
    reports = requests.route(operation.method, operation.path, channel=module.rules.channel, cancels=is_cancel)

    async def handle(request: FrameworkRequest) -> Answer:
        parameters = path_parameters(operation.path, request.scope["raw_path"], request.path_params)
        order = None if names_order is None else parameters[names_order]
        report = CallReport(reports, request.scope, services, module.rules.channel, order)
        try:
            came_in = Request(
                method=operation.method,
                path=request.scope["path"],
                headers=report.headers,
                path_parameters=parameters,
                body=await read_body(report.headers, request.receive),
                peer=(request.scope.get("client") or ("",))[0],
                query_string=request.scope["query_string"],
            )
            answer = await execute(call, came_in, report.services(), module.rules)
        except ClientGoneError:
            return Answer(400)  # the connection is closed, so no client gets this answer
        except Exception as error:  # noqa: BLE001 - the report logs an unforeseen error
            report.failed(error)
            answer = module.rules.error_answer(error)
        return in_pieces(report.finish(answer, module.notices(report.headers)))

    handler = handle if traces is None else traces.handler(operation, handle)
    path = framework_path(operation.path)
    return HTTPRouteHandler(path, http_method=operation.method, name=None, status_code=200)(handler)


def _cancel_handler(call: CancelCall) -> HTTPRouteHandler:
    async def handle(request: FrameworkRequest) -> Answer:
        try:
            return await call.answer(request.scope, request.receive)
        except ClientGoneError:
            return Answer(400)

    (path, *_) = sorted(call.endpoint.paths)
    # The route takes OPTIONS as well, because the contract decides about methods. Otherwise the framework would answer.
    return HTTPRouteHandler(path, http_method=[HttpMethod.POST, HttpMethod.OPTIONS], status_code=200)(handle)


def _unrouted(
    modules: Sequence[ApiModule], renderer: PageRenderer, reports: RouteReports
) -> Callable[[FrameworkRequest, Exception], FrameworkResponse]:
    """Answer what the framework itself refuses: programs in the words of the contract of the path, browsers a page."""

    def handle(request: FrameworkRequest, error: Exception) -> FrameworkResponse:
        path = request.scope["path"]
        asked = reports.of_request(request.method, request.scope["raw_path"].decode("latin-1"))
        report = RequestReport(asked, request.scope)
        module = _module_at(modules, path)
        ours: Exception = error
        if isinstance(error, MethodNotAllowedException):
            ours = MethodNotAllowedError(request.method, _allowed(modules, error, path))
        elif isinstance(error, HTTPException):
            missing = error.status_code == HTTPStatus.NOT_FOUND
            ours = _no_such_path(path, module, renderer) if missing else MalformedRequestError(_UNREADABLE)
        report.failed(ours)
        page = error_page(renderer, path, ours) if prefers_page(report.headers.get(b"accept", b"")) else None
        answer = report.finish(page or module.rules.error_answer(ours), module.notices(report.headers))
        told = {name.decode(): value.decode() for name, value in answer.sent_headers()}
        media_type = told.pop("content-type", "").removesuffix("; charset=utf-8") or None  # the framework adds it again
        return Response(answer.body, status_code=answer.status, headers=told, media_type=media_type)

    return handle


def _no_such_path(path: str, module: ApiModule, renderer: PageRenderer) -> NoSuchPathError:
    listed = f"{renderer.public_url}{DOCS}/{module.name}"
    return NoSuchPathError(f"no call has the path {shown(path)}; nothing was done; {listed} lists the calls")


def _module_at(modules: Sequence[ApiModule], path: str) -> ApiModule:
    """Return the module that a path belongs to: the module with the longest prefix that the path begins with."""
    fitting = [module for module in modules if path.startswith(module.prefix)]
    return max(fitting, key=lambda module: len(module.prefix), default=modules[-1])


def _calls_by_origin(modules: Sequence[ApiModule]) -> Mapping[str, Sequence[str]]:
    """Return the paths that the web pages of each origin may call."""
    paths: dict[str, list[str]] = {}
    for module in modules:
        for origin in module.browser_origins:
            paths.setdefault(origin, []).extend(call.operation.path for call in module.calls)
    return paths


def _allowed(modules: Sequence[ApiModule], error: MethodNotAllowedException, path: str) -> Collection[str]:
    """Return the methods of the calls at this path; for the path of a page, those that the framework knows."""
    operations = [call.operation for module in modules for call in module.calls]
    operations += [module.cancel[1] for module in modules if module.cancel is not None]
    asked = path.rstrip("/")
    spelled_out = {one.method for one in operations if one.path.rstrip("/") == asked}
    fitting = {one.method for one in operations if re.fullmatch(_any_value(one.path.rstrip("/")), asked)}
    known = set((error.headers or {}).get("allow", "GET").split(", ")) - {"OPTIONS"}
    return spelled_out or fitting or known


def _any_value(path: str) -> str:
    return re.sub(r"{\w+}", "[^/]+", path)

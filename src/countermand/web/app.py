"""The routes of every contract and of the operator, joined into one ASGI application."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from countermand.actions.errors import CountermandError, NotFoundError
from countermand.contracts.http.answer import Answer, MalformedRequestError, MethodNotAllowedError, headers_of
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.calls import Call, Route, Services
from countermand.domain.contract import MANAGE
from countermand.telemetry.counts import Counts
from countermand.telemetry.requests import Requests, RouteReports
from countermand.web.cors import OnlyDeclaredOrigins, cors
from countermand.web.front import OTHER_METHOD, CancelCall, Commit, Front
from countermand.web.long_answers import in_pieces
from countermand.web.pages.buyer_pages import BuyerPages
from countermand.web.pages.docs_and_health import metrics_route, page_routes
from countermand.web.request_log import (
    OUTCOMES,
    RequestRecord,
    given_request_id,
    outcome_of,
    started_s,
    with_request_id,
)
from countermand.web.transport import ClientGoneError, read_body

if TYPE_CHECKING:  # imported by whoever switches traces on
    from countermand.web.tracing import TracedCalls

log = structlog.get_logger()

_NO_ROUTE: Final = "none"
_CANCEL_ORDER: Final = "cancelOrder"


def application(
    services: Services,
    modules: Sequence[ApiModule],
    commit: Commit,
    *,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    requests: Requests,
    buyer_pages: BuyerPages | None = None,
    metrics: Counts | None = None,
    traces: "TracedCalls | None" = None,
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None = None,
    with_front: bool = True,
) -> ASGIApp:
    """The whole application, with the calls of all `modules`. Without the front, the framework does everything.

    `ready` gives None, or why it is not. Where `metrics` are given, `/metrics` tells them; where `traces` are, every
    call is traced.
    """
    if traces is not None:
        services, commit = traces.services(services), traces.commit(commit)
    calls = {
        module.name: CancelCall(
            endpoint=endpoint,
            authenticator=services.authenticator,
            command_ids=services.command_ids,
            commit=commit,
            reports=requests.route("POST", operation.path, channel=endpoint.channel),
            reports_of_other_methods=requests.route(OTHER_METHOD, operation.path, channel=endpoint.channel),
        )
        for module in modules
        if module.cancel is not None
        for endpoint, operation in [module.cancel]
    }
    if traces is not None:
        calls = {name: traces.cancel(call) for name, call in calls.items()}
    handlers: list[HTTPRouteHandler] = [*page_routes(modules, services.public_url, version, ready, requests)]
    if buyer_pages is not None:
        handlers += buyer_pages.routes()
    if metrics is not None:
        handlers.append(metrics_route(metrics, requests))
    for module in modules:
        handlers += [_handler(route, module, services, requests, traces) for route in module.routes]
        if module.cancel is not None:
            handlers.append(_cancel_handler(calls[module.name]))
    unrouted = _unrouted(modules, requests.route(OTHER_METHOD, _NO_ROUTE))
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
    return Front(list(calls.values()), rest) if with_front else rest


def _handler(
    route: Route, module: ApiModule, services: Services, requests: Requests, traces: "TracedCalls | None"
) -> HTTPRouteHandler:
    operation = route.operation
    path = re.sub(r"{(\w+)}", r"{\1:str}", operation.path)
    is_cancel = module.name == MANAGE and operation.name == _CANCEL_ORDER
    reports = requests.route(operation.method, operation.path, channel=MANAGE if is_cancel else None)

    async def handle(request: Request[Any, Any, Any]) -> Answer:
        headers = headers_of(request.scope)
        given_id = given_request_id(headers)
        request_id = given_id or reports.new_id()
        path_parameters = {name: str(value) for name, value in request.path_params.items()}
        seen = RequestRecord(services, path_parameters)
        try:
            call = Call(
                method=operation.method,
                path=request.scope["path"],
                headers=headers,
                path_parameters=path_parameters,
                query=dict(request.query_params.items()),
                body=await read_body(headers, request.receive),
                peer=(request.scope.get("client") or ("",))[0],
                query_string=request.scope["query_string"],
            )
            answer = await route.handle(call, replace(services, authenticator=seen, cancel=seen.cancel))
        except CountermandError as error:
            if type(error) not in OUTCOMES:  # one that nobody foresaw here
                log.exception("unexpected failure", request_id=request_id)
            seen.failed(error)
            answer = module.error_answer(error)
        except ClientGoneError:
            return Answer(400)  # nobody hears it
        except Exception as error:
            log.exception("unexpected failure", request_id=request_id)
            seen.failed(error)
            answer = module.error_answer(error)
        seen.report(reports, answer, request_id, request.scope)
        return in_pieces(with_request_id(answer.with_headers(*module.notices(headers)), given_id, request_id))

    handler = handle if traces is None else traces.handler(operation, handle)
    return HTTPRouteHandler(path, http_method=operation.method, name=None, status_code=200)(handler)


def _cancel_handler(call: CancelCall) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Answer:
        try:
            return await call.answer(request.scope, request.receive)
        except ClientGoneError:
            return Answer(400)

    (path, *_) = sorted(call.endpoint.paths)
    # OPTIONS, too, which the framework would answer by itself: the contract says which methods it takes.
    return HTTPRouteHandler(path, http_method=[HttpMethod.POST, HttpMethod.OPTIONS], status_code=200)(handle)


def _unrouted(
    modules: Sequence[ApiModule], reports: RouteReports
) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    """What the framework itself says no to, in the words of the contract whose address was asked."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        headers = headers_of(request.scope)
        given_id = given_request_id(headers)
        request_id = given_id or reports.new_id()
        module = _module_at(modules, request.scope["path"])
        ours: Exception = error
        if isinstance(error, MethodNotAllowedException):
            ours = MethodNotAllowedError(request.method, _allowed(modules, request.scope["path"]))
        elif isinstance(error, HTTPException):
            missing = error.status_code == 404  # noqa: PLR2004
            ours = (
                NotFoundError("there is nothing here")
                if missing
                else MalformedRequestError("the request cannot be read")
            )
        else:
            log.error("unexpected failure", request_id=request_id, exc_info=error)
        outcome, code = outcome_of(ours)
        answer = module.error_answer(ours)
        reports.answered(request_id, started_s(request.scope), answer.status, outcome, code)
        answer = with_request_id(answer.with_headers(*module.notices(headers)), given_id, request_id)
        told = {name.decode(): value.decode() for name, value in answer.headers}
        media_type = told.pop("content-type", None)
        return Response(answer.body, status_code=answer.status, headers=told, media_type=media_type)

    return handle


def _module_at(modules: Sequence[ApiModule], path: str) -> ApiModule:
    """The module that an address belongs to: of those whose prefix fits, the one with the longest."""
    fitting = [module for module in modules if path.startswith(module.prefix)]
    return max(fitting, key=lambda module: len(module.prefix), default=modules[-1])


def _calls_by_origin(modules: Sequence[ApiModule]) -> Mapping[str, Sequence[str]]:
    """The paths that the pages of each origin may call."""
    paths: dict[str, list[str]] = {}
    for module in modules:
        for origin in module.browser_origins:
            paths.setdefault(origin, []).extend(route.operation.path for route in module.routes)
    return paths


def _allowed(modules: Sequence[ApiModule], path: str) -> Collection[str]:
    """The methods that some call has at this path; a page has GET."""
    operations = [route.operation for module in modules for route in module.routes]
    operations += [module.cancel[1] for module in modules if module.cancel is not None]
    asked = path.rstrip("/")
    spelled_out = {one.method for one in operations if one.path.rstrip("/") == asked}
    fitting = {one.method for one in operations if re.fullmatch(_any_value(one.path.rstrip("/")), asked)}
    return spelled_out or fitting or {"GET"}


def _any_value(path: str) -> str:
    return re.sub(r"{\w+}", "[^/]+", path)

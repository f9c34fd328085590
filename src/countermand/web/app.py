"""The routes of every contract and of the operator, joined into one ASGI application."""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
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
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.registry import Part
from countermand.domain.contract import Door
from countermand.telemetry.counts import Counts
from countermand.telemetry.requests import Requests, RouteReports
from countermand.web.cors import OnlyShopping, cors
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
    spoken: Sequence[Part],
    commit: Commit,
    *,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    requests: Requests,
    browser_origins: Sequence[str] = (),
    buyer_pages: BuyerPages | None = None,
    metrics: Counts | None = None,
    traces: "TracedCalls | None" = None,
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None = None,
    with_front: bool = True,
) -> ASGIApp:
    """The whole application, of everything that is `spoken`. Without the front, the framework does everything.

    `ready` gives None, or why it is not. Where `metrics` are given, `/metrics` tells them; where `traces` are, every
    call is traced.
    """
    if traces is not None:
        services, commit = traces.services(services), traces.commit(commit)
    calls = {
        part.name: CancelCall(
            door=door,
            authenticator=services.authenticator,
            commit=commit,
            reports=requests.route("POST", operation.path, door=door.door),
            reports_of_other_methods=requests.route(OTHER_METHOD, operation.path, door=door.door),
        )
        for part in spoken
        if part.cancel is not None
        for door, operation in [part.cancel]
    }
    if traces is not None:
        calls = {name: traces.cancel(call) for name, call in calls.items()}
    handlers: list[HTTPRouteHandler] = [*page_routes(spoken, services.public_url, version, ready, requests)]
    if buyer_pages is not None:
        handlers += buyer_pages.routes()
    if metrics is not None:
        handlers.append(metrics_route(metrics, requests))
    for part in spoken:
        handlers += [_handler(route, part, services, requests, traces) for route in part.routes]
        if part.cancel is not None:
            handlers.append(_cancel_handler(calls[part.name]))
    unrouted = _unrouted(spoken, requests.route(OTHER_METHOD, _NO_ROUTE))
    rest: ASGIApp = Litestar(
        route_handlers=handlers,
        openapi_config=None,
        cors_config=cors(browser_origins) if browser_origins else None,
        lifespan=[] if lifespan is None else [lifespan],
        exception_handlers={HTTPException: unrouted, Exception: unrouted},
        logging_config=None,
    )
    if browser_origins:
        shopping = next(part for part in spoken if part.name == Door.SHOPPING)
        rest = OnlyShopping(rest, [route.operation.path for route in shopping.routes])
    return Front(list(calls.values()), rest) if with_front else rest


def _handler(
    route: Route, part: Part, services: Services, requests: Requests, traces: "TracedCalls | None"
) -> HTTPRouteHandler:
    operation = route.operation
    path = re.sub(r"{(\w+)}", r"{\1:str}", operation.path)
    is_cancel = part.name == Door.MANAGE and operation.name == _CANCEL_ORDER
    reports = requests.route(operation.method, operation.path, door=Door.MANAGE if is_cancel else None)

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
            answer = part.speak(error)
        except ClientGoneError:
            return Answer(400)  # nobody hears it
        except Exception as error:
            log.exception("unexpected failure", request_id=request_id)
            seen.failed(error)
            answer = part.speak(error)
        seen.report(reports, answer, request_id, request.scope)
        return in_pieces(with_request_id(answer.with_headers(*part.notices(headers)), given_id, request_id))

    handler = handle if traces is None else traces.handler(operation, handle)
    return HTTPRouteHandler(path, http_method=operation.method, name=None, status_code=200)(handler)


def _cancel_handler(call: CancelCall) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Answer:
        try:
            return await call.answer(request.scope, request.receive)
        except ClientGoneError:
            return Answer(400)

    (path, *_) = sorted(call.door.paths)
    # OPTIONS, too, which the framework would answer by itself: the contract says which methods it takes.
    return HTTPRouteHandler(path, http_method=[HttpMethod.POST, HttpMethod.OPTIONS], status_code=200)(handle)


def _unrouted(
    spoken: Sequence[Part], reports: RouteReports
) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    """What the framework itself says no to, in the words of the contract whose address was asked."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        headers = headers_of(request.scope)
        given_id = given_request_id(headers)
        request_id = given_id or reports.new_id()
        part = next((part for part in spoken if request.scope["path"].startswith(part.prefix)), spoken[-1])
        ours: Exception = error
        if isinstance(error, MethodNotAllowedException):
            ours = MethodNotAllowedError(request.method, _allowed(spoken, request.scope["path"]))
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
        answer = part.speak(ours)
        reports.answered(request_id, started_s(request.scope), answer.status, outcome, code)
        answer = with_request_id(answer.with_headers(*part.notices(headers)), given_id, request_id)
        told = {name.decode(): value.decode() for name, value in answer.sent_headers()}
        media_type = told.pop("content-type", None)
        return Response(answer.body, status_code=answer.status, headers=told, media_type=media_type)

    return handle


def _allowed(spoken: Sequence[Part], path: str) -> Collection[str]:
    """The methods that some call has at this path; a page has GET."""
    operations = [route.operation for part in spoken for route in part.routes]
    operations += [part.cancel[1] for part in spoken if part.cancel is not None]
    asked = path.rstrip("/")
    spelled_out = {one.method for one in operations if one.path.rstrip("/") == asked}
    fitting = {one.method for one in operations if re.fullmatch(_any_value(one.path.rstrip("/")), asked)}
    return spelled_out or fitting or {"GET"}


def _any_value(path: str) -> str:
    return re.sub(r"{\w+}", "[^/]+", path)

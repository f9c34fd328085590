"""The routes of every contract and of the operator, joined into one ASGI application."""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from countermand.actions.cancel_orders import CancelOutcome
from countermand.actions.errors import CountermandError, NotFoundError
from countermand.actions.group_commit import GroupCommit
from countermand.actions.ports import CancelOrder
from countermand.contracts.answer import Answer, MalformedRequestError, MethodNotAllowedError, headers_of
from countermand.contracts.routing import Call, Route, Services
from countermand.contracts.shopping.addresses import Addresses
from countermand.web.front import CancelCall, Front, printable, traced
from countermand.web.pages import page_routes
from countermand.web.parts import Part, Speak, parts
from countermand.web.transport import ClientGoneError, read_body

log = structlog.get_logger()


def application(
    services: Services,
    addresses: Addresses,
    commit: GroupCommit[CancelOrder, CancelOutcome],
    *,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None = None,
    with_front: bool = True,
) -> ASGIApp:
    """The whole application. `ready` gives None, or why it is not; without the front, the framework does everything."""
    spoken = parts(addresses)
    calls = {
        part.name: CancelCall(door=part.cancel[0], authenticator=services.authenticator, commit=commit)
        for part in spoken
        if part.cancel is not None
    }
    handlers: list[HTTPRouteHandler] = [*page_routes(spoken, services.public_url, version, ready)]
    for part in spoken:
        handlers += [_handler(route, part.speak, services) for route in part.routes]
        if part.cancel is not None:
            handlers.append(_cancel_handler(calls[part.name]))
    rest = Litestar(
        route_handlers=handlers,
        openapi_config=None,
        lifespan=[] if lifespan is None else [lifespan],
        exception_handlers={HTTPException: _unrouted(spoken), Exception: _unrouted(spoken)},
        logging_config=None,
    )
    return Front(list(calls.values()), rest) if with_front else rest


def _handler(route: Route, speak: Speak, services: Services) -> HTTPRouteHandler:
    operation = route.operation
    path = re.sub(r"{(\w+)}", r"{\1:str}", operation.path)

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        headers = headers_of(request.scope)
        try:
            call = Call(
                method=operation.method,
                path=request.scope["path"],
                headers=headers,
                path_parameters={name: str(value) for name, value in request.path_params.items()},
                query=dict(request.query_params.items()),
                body=await read_body(headers, request.receive),
            )
            answer = await route.handle(call, services)
        except CountermandError as error:
            answer = speak(error)
        except ClientGoneError:
            return Answer(400)  # nobody hears it
        except Exception as error:
            log.exception("unexpected failure", path=printable(request.scope["path"]))
            answer = speak(error)
        return traced(answer, headers, request.scope)

    return HTTPRouteHandler(path, http_method=operation.method, name=None, status_code=200)(handle)


def _cancel_handler(call: CancelCall) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        try:
            return await call.answer(request.scope, request.receive)
        except ClientGoneError:
            return Answer(400)

    (path, *_) = sorted(call.door.paths)
    # OPTIONS, too, which the framework would answer by itself: the contract says which methods it takes.
    return HTTPRouteHandler(path, http_method=[HttpMethod.POST, HttpMethod.OPTIONS], status_code=200)(handle)


def _unrouted(spoken: Sequence[Part]) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    """What the framework itself says no to, in the words of the contract whose address was asked."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
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
            log.error("unexpected failure", path=printable(request.scope["path"]), exc_info=error)
        answer = traced(part.speak(ours), headers_of(request.scope), request.scope)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        media_type = headers.pop("content-type", None)
        return Response(answer.body, status_code=answer.status, headers=headers, media_type=media_type)

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

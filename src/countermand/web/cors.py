"""Lets the pages of browser applications call the addresses that API modules declare, and no others (CORS)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_VARY: Final = (b"vary", b"Origin")
_ORIGIN: Final = b"origin"
_ANY_PORT: Final = ":*"


def cors(origins: Mapping[str, Sequence[str]]) -> CORSConfig:
    """Return what browsers may let pages of `origins` do. Browsers never send their stored credentials (cookies).

    An origin may end in `:*`, which stands for any port.
    """
    return CORSConfig(
        allow_origins=[],  # the framework would take * for any text, another host's name among it
        allow_origin_regex="|".join(map(_pattern_of, origins)),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Order-Token", "X-Request-Id"],
        expose_headers=["Location", "Retry-After", "X-Request-Id"],
        max_age=600,
    )


class OnlyDeclaredOrigins:
    """Hides the origin from the framework for each call that its pages may not make.

    The framework by itself would let the pages of any listed origin call every address. `paths_by_origin` has the paths
    that the pages of each origin may call, with `{}` around parameters.
    """

    def __init__(self, app: ASGIApp, paths_by_origin: Mapping[str, Sequence[str]]) -> None:
        self._app = app
        self._by_origin = [
            (re.compile(_pattern_of(origin).encode()), _any_of(paths)) for origin, paths in paths_by_origin.items()
        ]
        self._any = _any_of([path for paths in paths_by_origin.values() for path in paths])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, with the `Origin` header only if the origin's pages may call this path."""
        if scope["type"] == ScopeType.HTTP:
            path = scope["path"].rstrip("/")
            if self._any.fullmatch(path):
                send = _for_one_origin(send)
            headers = [header for header in scope["headers"] if self._is_passed_on(header, path)]
            scope = cast("Scope", {**scope, "headers": headers})
        await self._app(scope, receive, send)

    def _is_passed_on(self, header: tuple[bytes, bytes], path: str) -> bool:
        name, value = header
        if name.lower() != _ORIGIN:
            return True
        listed = [paths for origin, paths in self._by_origin if origin.fullmatch(value)]
        # If an origin is not listed, but the pages of another origin may call the path, the framework refuses it.
        return any(paths.fullmatch(path) for paths in listed or [self._any])


def _pattern_of(origin: str) -> str:
    """Return a pattern that the origin's own text matches; browsers leave the port out if it is the scheme's own."""
    if origin.endswith(_ANY_PORT):
        return re.escape(origin.removesuffix(_ANY_PORT)) + "(:[0-9]{1,5})?"
    return re.escape(origin)


def _any_of(paths: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.sub(r"{\w+}", "[^/]+", path.rstrip("/")) for path in paths))


def _for_one_origin(send: Send) -> Send:
    """Add `Vary: Origin` to answers: a cache must not use an answer to one origin for another origin, or for none."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            if _VARY not in headers:
                message = {**message, "headers": [*headers, _VARY]}
        await send(message)

    return told

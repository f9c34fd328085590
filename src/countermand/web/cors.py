"""Lets the pages of browser applications call the shopping contract's addresses, and no others (CORS)."""

import re
from collections.abc import Iterable
from typing import Final, cast

from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_VARY: Final = (b"vary", b"Origin")


def cors(origins: Iterable[str]) -> CORSConfig:
    """Return what browsers may let pages of `origins` do. Browsers never send their stored credentials (cookies)."""
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Order-Token", "X-Request-Id"],
        expose_headers=["Location", "Retry-After", "X-Request-Id"],
        max_age=600,
    )


class OnlyShopping:
    """Restricts CORS to the shopping contract's paths.

    The framework would allow pages to call every address. This class removes the `Origin` header from calls to other
    paths, so that the framework adds no CORS headers to their answers.
    """

    def __init__(self, app: ASGIApp, paths: Iterable[str]) -> None:
        self._app = app
        self._paths = re.compile("|".join(re.sub(r"{\w+}", "[^/]+", path.rstrip("/")) for path in paths))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, with the `Origin` header only for a path of the shopping contract."""
        if scope["type"] == ScopeType.HTTP:
            if self._paths.fullmatch(scope["path"].rstrip("/")):
                send = _for_one_origin(send)
            else:
                headers = [header for header in scope["headers"] if header[0].lower() != b"origin"]
                scope = cast("Scope", {**scope, "headers": headers})
        await self._app(scope, receive, send)


def _for_one_origin(send: Send) -> Send:
    """Add `Vary: Origin` to answers: a cache must not use an answer to one origin for another origin, or for none."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            if _VARY not in headers:
                message = {**message, "headers": [*headers, _VARY]}
        await send(message)

    return told

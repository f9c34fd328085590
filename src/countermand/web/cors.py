"""Which of our addresses may the pages of browser applications call? Those of the shopping contract, and no others."""

import re
from collections.abc import Iterable
from typing import Final, cast

from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_VARY: Final = (b"vary", b"Origin")


def cors(origins: Iterable[str]) -> CORSConfig:
    """What browsers let pages of these origins do. Credentials are never taken from a browser's own keeping."""
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Order-Token", "X-Request-Id"],
        expose_headers=["Location", "Retry-After", "X-Request-Id"],
        max_age=600,
    )


class OnlyShopping:
    """The framework would let pages call every address that it has: of calls to others it does not hear the origin."""

    def __init__(self, app: ASGIApp, paths: Iterable[str]) -> None:
        self._app = app
        self._paths = re.compile("|".join(re.sub(r"{\w+}", "[^/]+", path.rstrip("/")) for path in paths))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, with the origin or without."""
        if scope["type"] == ScopeType.HTTP:
            if self._paths.fullmatch(scope["path"].rstrip("/")):
                send = _for_one_origin(send)
            else:
                headers = [header for header in scope["headers"] if header[0].lower() != b"origin"]
                scope = cast("Scope", {**scope, "headers": headers})
        await self._app(scope, receive, send)


def _for_one_origin(send: Send) -> Send:
    """What a cache keeps of an answer to one origin, or to none, is not for another."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            if _VARY not in headers:
                message = {**message, "headers": [*headers, _VARY]}
        await send(message)

    return told

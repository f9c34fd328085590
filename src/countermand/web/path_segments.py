"""Keeps an encoded slash inside its segment of the path, so that a payment's reference may have one.

The server decodes a path before the framework divides it into segments, so that `%2F` would divide one, too.
"""

import re
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import unquote

from litestar.types import ASGIApp, Receive, Scope, Send

_SLASH: Final = re.compile(b"%2f", re.IGNORECASE)


class KeepsEncodedSlashes:
    """Gives the framework a path in which an encoded slash is still encoded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""
        raw = scope.get("raw_path", b"")
        if _SLASH.search(raw):
            path = unquote(_SLASH.sub(b"%252F", raw).decode("latin-1"))
            scope = cast("Scope", {**scope, "path": path})
        await self._app(scope, receive, send)


def path_parameters(template: str, raw_path: bytes, found: Mapping[str, object]) -> Mapping[str, str]:
    """Return the values of the parameters that the framework `found` in a path, with encoded slashes decoded."""
    values = {name: str(value) for name, value in found.items()}
    if _SLASH.search(raw_path):
        sent = zip(_segments(template), _segments(raw_path.decode("latin-1")), strict=False)
        values |= {name[1:-1]: unquote(segment) for name, segment in sent if name.startswith("{")}
    return values


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]

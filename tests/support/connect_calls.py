"""Sends the connect contract's calls byte by byte, as a server passes them on, and reads the whole database."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from support.world import Caller, World

CANCEL = "/api/connect/orders/cancel"
# The least that an order for a service needs, in every version.
SERVICE_ORDER = {
    "sourceType": "nbn",
    "contactName": "Jo Citizen",
    "contactPhone": "0412 345 678",
    "contactEmail": "jo@example.com",
    "remoteQualificationSearchId": "QS000000000001",
    "qualificationSearchId": "1",
    "locationId": "LOC380100009114",
    "planName": "Home Fast 100/20",
    "term": 1,
    "aggregationMethod": "L2TP",
}
SIX_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-xss-protection": "1; mode=block",
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "pragma": "no-cache",
    "expires": "0",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class Reply:
    """An answer as the server would send it. Two are equal when every byte is, and the order of the headers."""

    status: int
    header_lines: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        headers = dict(self.header_lines)
        assert len(headers) == len(self.header_lines), f"a header stands twice in {self.header_lines}"
        return headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """What is wrong, after a look at the shape that every error of the contract has."""
        assert 400 <= self.status < 600, self
        assert self.headers.items() >= SIX_HEADERS.items()
        assert self.headers["content-type"] == "application/json"
        assert self.headers["content-length"] == str(len(self.body))
        assert self.json.keys() == {"errors"}
        assert self.json["errors"]
        for error in self.json["errors"]:
            assert error.keys() == {"code", "field", "message"}
            assert error["message"]
        return self.json["errors"]

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.errors]

    @property
    def error(self) -> dict[str, Any]:
        (error,) = self.errors
        return error


async def send(
    world: World, method: str, path: str, headers: Iterable[tuple[str, str | bytes]], *pieces: bytes
) -> Reply:
    """Send a request below any client library, which would tidy it up. The body comes in so many pieces."""
    path, _, query = path.partition("?")
    left = list(pieces) or [b""]
    lines: list[tuple[str, str]] = []
    sent: dict[str, Any] = {"status": 0, "body": b""}

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()  # the caller stays, and says nothing more
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def take(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent["status"] = message["status"]
            lines.extend(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message["headers"]
            )
        else:
            sent["body"] += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    await world.service.application(cast("Any", scope), cast("Any", receive), take)
    return Reply(sent["status"], tuple(lines), sent["body"])


async def cancel(
    world: World,
    caller: Caller,
    body: bytes | Mapping[str, Any],
    *,
    headers: Mapping[str, str | bytes | None] | None = None,
    method: str = "POST",
) -> Reply:
    """The cancel call as `caller` would send it; `headers` changes some, and None leaves one out."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    wanted = {**world.connect_headers(caller), "Content-Length": str(len(content)), **(headers or {})}
    lines = [(name, value) for name, value in wanted.items() if value is not None]
    return await send(world, method, CANCEL, lines, content)

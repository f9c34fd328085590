"""The plain front: the cancel paths in a few microseconds, everything else to the framework.

A framework costs more than the whole rest of a cancellation (57 of 89 microseconds, measured), so the hot paths go
around it. They are routes of the framework, too, on the same `CancelCall`, and golden tests run on both.
"""

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from countermand.actions.cancel_orders import CancelOutcome
from countermand.actions.errors import CountermandError
from countermand.actions.group_commit import GroupCommit
from countermand.actions.ports import CancelOrder
from countermand.contracts.answer import Answer, headers_of
from countermand.contracts.door import Authenticator, CancelDoor
from countermand.web.transport import ClientGoneError, read_body

log = structlog.get_logger()

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, kw_only=True)
class CancelCall:
    """A contract's cancel call from headers to answer: the hops of `docs/architecture.md`, one after the other."""

    door: CancelDoor
    authenticator: Authenticator
    commit: GroupCommit[CancelOrder, CancelOutcome]

    async def answer(self, scope: HTTPScope, receive: Receive) -> Answer:
        """Never raises, but `ClientGoneError`."""
        headers = headers_of(scope)
        door = self.door
        try:
            door.check_transport(scope["method"], headers)
            body = await read_body(headers, receive)
            client = await self.authenticator.client(door.door, door.credential(headers))
            command = door.command(client, headers, body)
            answer = door.answer(await self.commit.submit(command))
        except CountermandError as error:
            answer = door.error(error)
        except ClientGoneError:
            raise
        except Exception as error:
            log.exception("unexpected failure", path=printable(scope["path"]))
            answer = door.error(error)
        return traced(answer, headers, scope)


def printable(path: str) -> str:
    """A path as a log line may have it: a caller must not be able to write lines of its own."""
    return path.encode("unicode_escape").decode("ascii")


def traced(answer: Answer, headers: Mapping[bytes, bytes], scope: Scope) -> Answer:
    """Give the caller's request id back, and an unexpected failure an id to ask about; log what was not done."""
    given = headers.get(b"x-request-id", b"")
    request_id = given if _REQUEST_ID.fullmatch(given) else b""
    if answer.status >= _CLIENT_ERROR:
        failed = answer.status >= _SERVER_ERROR
        if failed:
            request_id = request_id or secrets.token_hex(8).encode()
        told = {"path": printable(scope["path"]), "status": answer.status, "request_id": request_id.decode()}
        log.log(logging.ERROR if failed else logging.INFO, "failed" if failed else "refused", **told)
    return answer.with_headers((b"x-request-id", request_id)) if request_id else answer


class Front:
    """The ASGI application: `cancels` on their own paths, `rest` on all others."""

    def __init__(self, cancels: Sequence[CancelCall], rest: ASGIApp) -> None:
        self._hot: Mapping[str, CancelCall] = {path: call for call in cancels for path in call.door.paths}
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One look-up of the path decides."""
        if scope.get("method") == "HEAD":  # answered as GET is, without the body
            send = _without_body(send)
        call = self._hot.get(scope["path"]) if scope["type"] == ScopeType.HTTP else None
        if call is None:
            is_head = scope.get("method") == "HEAD"
            await self._rest(cast("Scope", {**scope, "method": "GET"}) if is_head else scope, receive, send)
            return
        try:
            answer = await call.answer(cast("HTTPScope", scope), receive)
        except ClientGoneError:
            return
        await answer(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head

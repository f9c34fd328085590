"""Receives events over HTTP on this machine and prints each in a line, for somebody who tries webhooks out."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Final

import typer

from countermand.cli.printing import say
from countermand.delivery.signing import SignedRequest, why_unfit

_LARGEST_BODY_BYTES: Final = 1 << 20
_IDLE_LIMIT_S: Final = 75
_SHOWN: Final = 200  # characters of a text from the request in a line


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How the listener answers: `failures` requests 500, all others `status`; each after `hang_s` seconds."""

    failures: int = 0
    status: int = 204
    hang_s: float = 0


@dataclass(kw_only=True)
class _Event:
    """An event as it came, and what the listener found out about it."""

    id: str
    kind: str | None
    order: str | None
    order_version: str | None
    attempt: str | None
    previous: str | None
    signature: str  # `ok`, `unchecked`, or why it does not fit
    again: bool
    previous_missing: bool
    answered: int
    body: object

    def as_line(self) -> str:
        """Return a line for people."""
        order = "" if self.order is None else f" of {self.order}"
        version = "" if self.order_version is None else f", version {self.order_version}"
        parts = [f"{self.kind or 'event'}{order}{version}", self.id, f"attempt {self.attempt or '?'}"]
        parts.append(f"signature {self.signature}")
        if self.again:
            parts.append("came before")
        if self.previous_missing:
            parts.append(f"{self.previous}, which is before it, did not come here")
        return "; ".join([*(part[:_SHOWN] for part in parts), f"answered {self.answered}"])


class Listener(ThreadingHTTPServer):
    """The receiver. It listens on the loopback address alone."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, secrets: Sequence[str], conduct: Conduct, *, as_json: bool) -> None:
        """Bind the port. Raises `OSError`."""
        super().__init__(("127.0.0.1", port), _Handler)
        self._secrets, self._conduct, self._as_json = secrets, conduct, as_json
        self._taken: set[str] = set()
        self._failures_left = conduct.failures
        self._lock = Lock()

    @property
    def url(self) -> str:
        """Return the address of the receiver."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def received(self, headers: dict[str, str], body: bytes) -> int:
        """Print an event and return the status of the answer."""
        time.sleep(self._conduct.hang_s)
        try:
            request = SignedRequest.of(headers, body)
        except ValueError as error:
            self._print(str(error), {"error": str(error)})
            return 400
        signature = self._signature(request)
        with self._lock:
            event = self._event(request, headers, signature)
            if 200 <= event.answered < 300:  # noqa: PLR2004 - the successes of HTTP
                self._taken.add(event.id)
            self._print(event.as_line(), {**vars(event), "received_at": datetime.now(UTC).isoformat()})
        return event.answered

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing about a client that closed its connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def _signature(self, request: SignedRequest) -> str:
        if not self._secrets:
            return "unchecked"
        return why_unfit(request, endpoint_secrets=self._secrets, now_s=time.time()) or "ok"

    def _event(self, request: SignedRequest, headers: dict[str, str], signature: str) -> _Event:
        """Return what is known of an event. The lock is held."""
        if signature not in {"ok", "unchecked"}:
            status = 401
        elif self._failures_left > 0:
            self._failures_left -= 1
            status = 500
        else:
            status = self._conduct.status
        previous, shown = headers.get("countermand-previous-event"), _shown(request.body)
        kind = headers.get("ce-type") or headers.get("z-event-type") or _text_in(shown, "type")
        return _Event(
            id=request.id,
            kind=kind,
            order=_text_in(shown.get("data") if isinstance(shown, dict) else None, "order"),
            order_version=headers.get("countermand-order-version"),
            attempt=headers.get("countermand-attempt"),
            previous=previous,
            signature=signature,
            again=request.id in self._taken,
            previous_missing=previous is not None and previous not in self._taken,
            answered=status,
            body=shown,
        )

    def _print(self, line: str, fields: dict[str, object]) -> None:
        if self._as_json:
            typer.echo(json.dumps(fields))
        else:
            say(line)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_LIMIT_S
    server: Listener

    def do_POST(self) -> None:
        """Take an event."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdecimal()) or int(length[:20]) > _LARGEST_BODY_BYTES:
            self.close_connection = True
            self._answer(413 if length.isdecimal() else 411)
            return
        body = self.rfile.read(int(length))
        self._answer(self.server.received({name.lower(): text for name, text in self.headers.items()}, body))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:  # noqa: PLR2004 - No Content has no length, either
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the server
        """Write nothing: each event has a line of its own."""


def _shown(body: bytes) -> object:
    """Return the body as JSON, or as text if it is none."""
    try:
        shown: object = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
    return shown


def _text_in(found: object, name: str) -> str | None:
    text = found.get(name) if isinstance(found, dict) else None
    return text if isinstance(text, str) else None

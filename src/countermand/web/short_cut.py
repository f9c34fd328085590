"""Answers the usual cancellation within the protocol, without an ASGI scope, cycle, task or future of its own.

These cost as much as the whole rest of a cancellation over HTTP. So the protocol takes a request by itself if it knows
everything about it: the path, the length of the body, a connection without other requests, a client that is
remembered. Each other request goes to the server's own code, as if this module were not there. What a cancellation
means is the same code on both ways: `CancelCall`.

A request that was taken stands where uvicorn and `HttpProtocol` have the cycle of a request. So their code for limits,
pipelines, shutdown and lost connections works for it, too.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import structlog
from litestar.types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.errors import CountermandError
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import BODY_CAP_BYTES
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.domain.client import Client
from countermand.domain.contract import Channel
from countermand.web.front import CancelCall
from countermand.web.http_connections import Connections
from countermand.web.http_protocol import FIELDS_CAP, HttpProtocol
from countermand.web.reporting import RequestReport, note_start

Told = TypeVar("Told", CancelOutcome, Exception)

log = structlog.get_logger()

# Fields that change where a body ends, or what the client waits for. Their requests are the server's.
_NOT_TAKEN: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer"})
_LONGEST_LENGTH: Final = 5  # digits: a body has at most 65,536 bytes
_FAILED: Final = Answer(500, ((b"content-type", b"text/plain; charset=utf-8"),), b"the request failed unexpectedly")

# Returns the client of a credential on a channel if that is known without waiting.
KnownClient = Callable[[Channel, Credential], Client | None]


class _NothingWaits:
    """Stands where a cycle has the event that wakes its application. A request that was taken has none."""

    def set(self) -> None:
        """Do nothing."""


_NOTHING_WAITS: Final = _NothingWaits()


class TakenRequest:
    """A request that the short cut answers. It is the `Waiter` of its outcome.

    It has those attributes of a `RequestResponseCycle` that a protocol uses: a test compares them with uvicorn's code.
    """

    __slots__ = (
        "_answers",
        "_call",
        "_headers",
        "_report",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
    )

    def __init__(
        self,
        call: CancelCall,
        scope: HTTPScope,
        headers: Mapping[bytes, bytes],
        answers: "Callable[[TakenRequest, Answer], None]",
    ) -> None:
        self._call = call
        self._headers = headers
        self._answers = answers  # writes an answer to the connection
        self._report: RequestReport | None = None
        self.scope = scope
        self.body = b""
        self.more_body = self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False
        self.message_event = _NOTHING_WAITS

    def client(self, known_client: KnownClient) -> Client | None:
        """Return the client that sent the request, if it is known without waiting, and begin the request's report."""
        endpoint = self._call.endpoint
        try:
            client = known_client(endpoint.channel, endpoint.credential(self._headers))
            self._report = RequestReport(self._call.reports, self.scope)
        except Exception:  # noqa: BLE001 - whatever it is, the server's own code says so
            return None
        return client

    def begin(self, client: Client, later: Callable[..., object]) -> None:
        """Begin the cancellation. `later` calls a function in another turn: an answer never comes within the parser."""
        assert self._report is not None, "the report begins with the client"
        try:
            self._call.enqueue(self._call.command(self._report, client, self.scope, self.body), self)
        except Exception as error:  # noqa: BLE001 - the report logs an unforeseen error
            later(self.set_exception, error)

    def done(self) -> bool:
        """See `Waiter.done`. A cancellation whose client is gone is carried out all the same."""
        return self.response_complete

    def set_result(self, outcome: CancelOutcome, /) -> None:
        """See `Waiter.set_result`."""
        self._answer(self._call.decided, outcome)

    def set_exception(self, error: Exception, /) -> None:
        """See `Waiter.set_exception`."""
        self._answer(self._call.failed, error)

    def _answer(self, made_of: Callable[[RequestReport, Told], Answer], told: Told) -> None:
        assert self._report is not None, "an outcome comes after the beginning"
        try:
            answer = made_of(self._report, told)
        except Exception:  # as uvicorn does for an application that raises; the log may be what fails
            with suppress(Exception):
                log.exception("a request could not be answered")
            answer, self.keep_alive = _FAILED, False
            with suppress(Exception):
                answer = self._report.finish(_FAILED)
        if not self.disconnected:
            self._answers(self, answer)


class ShortCutProtocol(HttpProtocol):
    """Handles one connection. `calls` are the cancel calls by path, as in the front."""

    def __init__(
        self, calls: Mapping[str, CancelCall], known_client: KnownClient, connections: Connections, **server: Any
    ) -> None:
        super().__init__(connections, **server)
        self._calls = {path.encode(): call for path, call in calls.items()}
        self._known_client = known_client

    def on_headers_complete(self) -> None:
        """Take the request if it is a usual cancellation; otherwise leave it to the server's own code."""
        call = self._calls.get(self.url)
        headers = dict(self.headers) if call is not None else {}
        if call is None or not self._takes(call, headers):
            super().on_headers_complete()
            return
        scope = cast("HTTPScope", self.scope)
        scope["method"], scope["query_string"] = "POST", b""
        note_start(scope)
        taken = TakenRequest(call, scope, headers, self._write_answer)
        self._current = cast("RequestResponseCycle", taken)
        self._receive_body_of(self._current)

    def on_message_complete(self) -> None:
        """Begin the cancellation if the request was taken, and its client is known; else hand the request over."""
        taken: object = self.cycle
        is_begun = not (isinstance(taken, TakenRequest) and taken.more_body)
        super().on_message_complete()
        if is_begun or not isinstance(taken, TakenRequest) or taken.disconnected:
            return
        client = taken.client(self._known_client)
        if client is not None:
            taken.begin(client, self.loop.call_soon)
        else:
            self._hand_over(taken)

    def _takes(self, call: CancelCall, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether everything about a request is known that the server's own code would look at.

        `headers` are the fields of the request by name.
        """
        if self.parser.should_upgrade() or not self.parser.should_keep_alive():
            return False
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if self._is_answering() or self.pipeline or self._last_answer is not None:
            return False
        if self.flow.write_paused or self.flow.at_end or self.transport.is_closing():
            return False
        is_twice, is_large = len(headers) < len(self.headers), len(headers) > FIELDS_CAP
        if is_twice or is_large or not _NOT_TAKEN.isdisjoint(headers):
            return False
        length = headers.get(b"content-length", b"")
        if not (length.isdigit() and len(length) <= _LONGEST_LENGTH and int(length) <= BODY_CAP_BYTES):
            return False
        try:
            call.endpoint.check_transport("POST", headers)
        except CountermandError:  # it is answered before its body has come
            return False
        return True

    def _hand_over(self, taken: TakenRequest) -> None:
        """Let the server's own code answer a whole request."""
        cycle = self._new_cycle()
        cycle.body, cycle.more_body, cycle.keep_alive = bytearray(taken.body), False, taken.keep_alive
        cycle.message_event.set()
        self.cycle = cycle
        self._start_asgi_task(cycle, self.app)

    def _write_answer(self, taken: TakenRequest, answer: Answer) -> None:
        """Write an answer as uvicorn would, with one write, and go on with the connection."""
        fields = [*self.server_state.default_headers]
        if taken.keep_alive:
            fields.append(self._connections.keep_alive_field)
        fields += answer.framed_headers()
        if not taken.keep_alive:
            fields.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        taken.response_started = taken.response_complete = True
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[answer.status], lines, answer.body))
        if not taken.keep_alive:
            self.transport.close()
        self.on_response_complete()

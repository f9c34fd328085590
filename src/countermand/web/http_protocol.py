"""Speaks HTTP/1.1 on one connection, with the limits that uvicorn's own protocol does not have.

Uvicorn's protocol parses requests and runs the application. This module adds: it ignores an `Upgrade`, it limits every
read and every wait, it keeps answers in the order of their requests, and it still answers a client that has only
closed its sending side.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote

import httptools
import structlog
from litestar.types import Scope
from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from countermand.contracts.http.answer import headers_of
from countermand.web.http_connections import Connections, Waiting
from countermand.web.http_writing import Flow, OneWrite
from countermand.web.reporting import request_id_field

log = structlog.get_logger()

HEAD_CAP_BYTES: Final = 64 * 1024
FIELDS_CAP: Final = 100
_SLICE_BYTES: Final = 16 * 1024  # the bytes parsed at once; limits are checked after each slice
_CHUNK_HEAD_BYTES: Final = 16  # the allowance for a chunk's size and line ends; more counts as bytes around the body
_DISCARDED_CAP_BYTES: Final = 1024 * 1024

_LastAnswer: TypeAlias = tuple[int, str]
_MALFORMED: Final = (400, "these bytes are not an HTTP/1.1 request; nothing was done")
_TOO_MUCH_AROUND: Final = (400, f"more than {HEAD_CAP_BYTES} bytes around the body; nothing was done; send it without")
_HEAD_TOO_LARGE: Final = (
    431,
    f"the head has more than {HEAD_CAP_BYTES} bytes or {FIELDS_CAP} fields; nothing was done; send fewer",
)
_NO_TUNNEL: Final = (501, "CONNECT is not supported: this is no proxy")
_FULL: Final = (503, "too many connections at this moment; nothing was done; try again")
_TOO_SLOW: Final = {
    Waiting.HEAD: (408, "the head of the request did not come in time; nothing was done; send it again"),
    Waiting.BODY: (408, "the body of the request did not come in time; nothing was done; send it again"),
}


class _TooManyFieldsError(Exception):
    """Raised when a head has more than `FIELDS_CAP` fields."""


class HttpProtocol(HttpToolsProtocol):
    """Handles one connection. `connections` admits it, and ends it if its client keeps the server waiting."""

    transport: OneWrite  # type: ignore[assignment] # it wraps the real transport
    flow: Flow

    def __init__(self, connections: Connections, **server: Any) -> None:
        super().__init__(**server)
        self._connections = connections
        self._incoming = Waiting.IDLE
        self._around_bytes = 0  # the bytes of the incoming request that are not its body: its head, and chunk heads
        self._rest = b""  # bytes that were received and are parsed later
        self._current: RequestResponseCycle | None = None
        self._last_answer: _LastAnswer | None = None
        self._last_id = (b"", b"")  # the header line with the id of the request that gets it
        self.waiting_since_s = connections.now_s

    # Events of the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the connection; if there are too many, answer 503 and close it."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        self.flow = Flow(transport, self.pipeline)
        if not self._connections.admit(self):
            self.transport.may_send = False  # the server reads nothing from it, so it must not linger
            self._end_with(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the running request and the waiting requests that their client is gone."""
        self._connections.forget(self)
        self.transport.lose()
        for cycle in (self._current, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes in slices, so that limits are checked in between even for one large packet."""
        if self.transport.is_closing() or self._last_answer is not None:
            self._discard(len(data))
        elif len(data) <= _SLICE_BYTES and not self._rest:
            self._count_and_parse(data)
        else:
            self._rest += data
            self._parse_rest()

    def eof_received(self) -> bool:  # type: ignore[override] # the base class has no answer
        """Answer the requests that were received, then close: a client may close its sending side before it reads."""
        self.flow.at_end, self.transport.may_send = True, False
        if not self.transport.is_closing() and self._has_to_answer():
            return True
        self.transport.flush()
        return False

    def shutdown(self) -> None:
        """Finish the running request, then close; without a running request, close at once."""
        if not self._is_answering():
            self.transport.may_send = False
        super().shutdown()

    # Questions of the sweep

    def waits_for(self) -> Waiting | None:
        """See `Connection.waits_for`."""
        if self.transport.lingering:
            return Waiting.LINGER
        if self.transport.is_closing() or self.flow.read_paused or self._last_answer is not None:
            return None
        if self._incoming is Waiting.IDLE and self._is_answering():
            return None
        if self._incoming is Waiting.BODY and self.cycle.response_started:
            return None
        return self._incoming

    def unsent_mark(self) -> int | None:
        """See `Connection.unsent_mark`."""
        unsent = self.transport.unsent_bytes()
        return self.transport.written_bytes - unsent if unsent else None

    def give_up(self, waiting: Waiting) -> None:
        """See `Connection.give_up`. A client in the middle of a request gets the reason in a 408."""
        if waiting in _TOO_SLOW:
            self._end_with(_TOO_SLOW[waiting])
        else:
            self.transport.abort()

    def evict(self) -> None:
        """See `Connection.evict`."""
        self.transport.abort()

    # Events of the parser

    def on_headers_complete(self) -> None:
        """Start the application for this request, or queue the request behind the running one."""
        if self.parser.should_upgrade():
            return  # the head is parsed again without the `Upgrade`: see `_without_upgrade`
        if len(self.headers) > FIELDS_CAP:
            raise _TooManyFieldsError
        cycle, before = self._new_cycle(), self.cycle  # raises if the address is invalid
        self._receive_body_of(cycle)
        if before is None or before.response_complete:  # type: ignore[redundant-expr] # the first has none before
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _receive_body_of(self, cycle: RequestResponseCycle) -> None:
        self._incoming, self.waiting_since_s = Waiting.BODY, self._connections.now_s
        self.cycle = cycle
        self.headers = []  # the scope keeps the old list; fields after the body are trailers, not headers

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._incoming, self.waiting_since_s = Waiting.HEAD, self._connections.now_s
        super().on_message_begin()

    def on_chunk_header(self) -> None:
        """Subtract a chunk head's allowance from the bytes around the body."""
        self._around_bytes -= _CHUNK_HEAD_BYTES

    def on_body(self, body: bytes) -> None:
        """Append body bytes, which the application may take while more arrive."""
        self._around_bytes -= len(body)
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self._incoming is Waiting.HEAD:  # a request with an upgrade: see `on_headers_complete`
            return
        self._incoming = Waiting.IDLE
        self._around_bytes = 0
        if self.headers and not self.parser.should_keep_alive():  # trailers count for the parser's keep-alive, too
            self.cycle.keep_alive = False
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Start the next request, which may already have been received."""
        self.server_state.total_requests += 1
        self.waiting_since_s = self._connections.now_s
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_answer is not None:
            self._write_last_answer()
        if self.pipeline or self._last_answer is not None:
            return
        self._parse_rest()  # the rest may complete the request that has just started
        if self.flow.at_end and not self._has_to_answer():
            self.transport.close()
        self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current = cycle
        super()._start_asgi_task(cycle, app)

    # Parsing and closing

    def _parse_rest(self) -> None:
        """Parse the bytes kept in `_rest` until a request has to wait for its turn."""
        while self._rest and not self.pipeline and not self.transport.is_closing():
            piece, self._rest = self._rest[:_SLICE_BYTES], self._rest[_SLICE_BYTES:]
            self._count_and_parse(piece)

    def _count_and_parse(self, data: bytes) -> None:
        self._around_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            too_many = isinstance(error.__context__, _TooManyFieldsError)
            self._end_with(_HEAD_TOO_LARGE if too_many else _MALFORMED)
            return
        if self._around_bytes > HEAD_CAP_BYTES and self._last_answer is None:
            self._end_with(_TOO_MUCH_AROUND if self._incoming is Waiting.BODY else _HEAD_TOO_LARGE)
        elif self._around_bytes < 0:  # short chunk heads give later bytes no credit
            self._around_bytes = 0

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self._end_with(_NO_TUNNEL)
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _without_upgrade(self) -> bytes:
        """Replace the parser, and return the head that was just parsed without its `Upgrade`.

        A server may ignore an `Upgrade` (RFC 9110, 7.8); then the message ends where its length says. The parser has no
        option for that: after a head with an `Upgrade` it takes all later bytes for another protocol.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # uvicorn sets the same option
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(fields))

    def _new_cycle(self) -> RequestResponseCycle:
        """Return the object that passes the parsed request to the application and writes the answer."""
        scope, version = self.scope, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"  # an absolute address may have no path
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = url.query or b""
        cycle = _Cycle(
            scope=scope,
            transport=cast("asyncio.Transport", self.transport),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue and version != "1.0",  # an HTTP/1.0 client takes 100 for final
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.keep_alive_field, cycle.new_id = self._connections.keep_alive_field, self._connections.new_id
        return cycle

    def _is_answering(self) -> bool:
        return self._current is not None and not (self._current.response_complete or self._current.disconnected)

    def _has_to_answer(self) -> bool:
        """Return whether an answer is still due, now that the client has closed its sending side."""
        if self._incoming is Waiting.BODY and not self._rest and not self.cycle.response_started:
            self._withdraw()
        if self._current is None or not self._is_answering():
            return False
        if not self._rest and self._last_answer is None:
            newest = self.pipeline[0][0] if self.pipeline else self._current
            newest.keep_alive = False
        return True

    def _withdraw(self) -> None:
        """Withdraw the request whose body is incomplete; the application is told that its client disconnected."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def _end_with(self, answer: _LastAnswer) -> None:
        """Stop reading, finish the answers to earlier requests, write this last answer, and close the connection."""
        self._last_answer, self._rest = answer, b""
        headers = {} if self._incoming is Waiting.IDLE else headers_of(cast("Scope", self.scope))
        self._last_id = request_id_field(headers, self._connections.new_id)
        if self._incoming is Waiting.BODY:
            if self.cycle.response_started:  # an early answer; the connection closes after it in any case
                return
            self._withdraw()
        if self._is_answering():
            self.flow.pause_reading()
        else:
            self._write_last_answer()

    def _write_last_answer(self) -> None:
        if self._last_answer is not None:
            status, sentence = self._last_answer
            _, request_id = self._last_id
            log.debug("hung up", status=status, reason=sentence, request_id=request_id.decode())
            fields = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n%b: %b\r\n" % self._last_id
            length = b"content-length: %d\r\n\r\n" % len(sentence)
            self.transport.write(STATUS_LINE[status] + fields + length + sentence.encode())
            self.waiting_since_s = self._connections.now_s
            self.transport.close()

    def _discard(self, number: int) -> None:
        """Discard bytes received after the last answer; abort the connection beyond `_DISCARDED_CAP_BYTES`."""
        self._around_bytes += number
        if self._around_bytes > _DISCARDED_CAP_BYTES:
            self.transport.abort()


class _Cycle(RequestResponseCycle):
    """Carries one request and its answer. The answer says how long the connection stays open afterwards."""

    keep_alive_field: tuple[bytes, bytes]
    new_id: Callable[[], str]

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """See the ASGI specification. If the answer starts before its request is complete, the connection closes."""
        if message["type"] == "http.response.start":
            if self.more_body:
                self.keep_alive = False
            if self.keep_alive:
                self.default_headers = [*self.default_headers, self.keep_alive_field]
        return super().send(message)

    async def send_500_response(self) -> None:
        """Answer a request for which the application raised before it began its answer."""
        said = b"the request failed unexpectedly"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(said)),
            (b"connection", b"close"),
            request_id_field(headers_of(cast("Scope", self.scope)), self.new_id),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": said, "more_body": False})

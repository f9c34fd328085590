"""HTTP/1.1 on one connection: what the server's own protocol leaves open is closed here.

The server parses requests and runs the application. Added to that: an `Upgrade` is ignored, every byte and every wait
has a bound, answers never overtake each other, and a client that only ended its sending still gets its answer.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote

import httptools
import structlog
from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from countermand.web.http_connections import Connections, Waiting
from countermand.web.http_writing import Flow, OneWrite

log = structlog.get_logger()

HEAD_CAP_BYTES: Final = 64 * 1024
FIELDS_CAP: Final = 100
_SLICE_BYTES: Final = 16 * 1024  # parsed at once: nothing is looked at in between
_CHUNK_HEAD_BYTES: Final = 16  # a chunk's size and line ends; what is more counts as beside the body
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
    """The head has more fields than anybody needs."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. `connections` admits it, and ends it where its client keeps it waiting."""

    transport: OneWrite  # type: ignore[assignment] # which stands before the real one
    flow: Flow

    def __init__(self, connections: Connections, **server: Any) -> None:
        super().__init__(**server)
        self._connections = connections
        self._incoming = Waiting.IDLE
        self._around_bytes = 0  # of the request that comes in: its head, and what is not its body
        self._rest = b""  # came already, and is parsed later
        self._current: RequestResponseCycle | None = None
        self._last_answer: _LastAnswer | None = None
        self.waiting_since_s = connections.now_s

    # What the connection is told

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        self.flow = Flow(transport, self.pipeline)
        if not self._connections.admit(self):
            self.transport.may_send = False  # nothing is read of it: it must not linger
            self._end_with(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody hears the answers any more, neither that under way nor those that wait."""
        self._connections.forget(self)
        self.transport.lose()
        for cycle in (self._current, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, some at a time, so that one packet cannot hold more than is looked at in between."""
        if self.transport.is_closing() or self._last_answer is not None:
            self._discard(len(data))
        elif len(data) <= _SLICE_BYTES and not self._rest:
            self._count_and_parse(data)
        else:
            self._rest += data
            self._parse_rest()

    def eof_received(self) -> bool:  # type: ignore[override] # the base class has no answer
        """Answer what was asked, and close then: a client may end its sending before it has read."""
        self.flow.at_end, self.transport.may_send = True, False
        if not self.transport.is_closing() and self._has_to_answer():
            return True
        self.transport.flush()
        return False

    def shutdown(self) -> None:
        """Finish what is under way, and close; at once where nothing is."""
        if not self._is_answering():
            self.transport.may_send = False
        super().shutdown()

    # What the sweep asks

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
        """See `Connection.give_up`. A client in the middle of a request hears why."""
        if waiting in _TOO_SLOW:
            self._end_with(_TOO_SLOW[waiting])
        else:
            self.transport.abort()

    def evict(self) -> None:
        """See `Connection.evict`."""
        self.transport.abort()

    # What the parser finds

    def on_headers_complete(self) -> None:
        """Run the application, or let the request wait for its turn."""
        if self.parser.should_upgrade():
            return  # it is parsed again without that wish: see `_without_upgrade`
        if len(self.headers) > FIELDS_CAP:
            raise _TooManyFieldsError
        cycle, before = self._new_cycle(), self.cycle  # raises where the address is none
        self._incoming, self.waiting_since_s = Waiting.BODY, self._connections.now_s
        self.cycle = cycle
        self.headers = []  # the scope has the list of the head; what comes after the body is no header
        if before is None or before.response_complete:  # type: ignore[redundant-expr] # the first has none before
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._incoming, self.waiting_since_s = Waiting.HEAD, self._connections.now_s
        super().on_message_begin()

    def on_chunk_header(self) -> None:
        """A chunk's size is no more than its due."""
        self._around_bytes -= _CHUNK_HEAD_BYTES

    def on_body(self, body: bytes) -> None:
        """Keep it for the application, which may take it as it comes."""
        self._around_bytes -= len(body)
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._incoming is Waiting.HEAD:  # with an upgrade: see `on_headers_complete`
            return
        self._incoming = Waiting.IDLE
        self._around_bytes = 0
        if self.headers and not self.parser.should_keep_alive():  # the parser obeys what followed the body
            self.cycle.keep_alive = False
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Begin with the next request, which may be here already."""
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
        self._parse_rest()  # the end of a request that just began may be there
        if self.flow.at_end and not self._has_to_answer():
            self.transport.close()
        self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current = cycle
        super()._start_asgi_task(cycle, app)

    # How it is done

    def _parse_rest(self) -> None:
        """Parse until requests wait for their turn."""
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
        elif self._around_bytes < 0:  # chunks with less around them than they may have leave no credit
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
        """Begin anew with the head that was just parsed, without its `Upgrade`.

        A server may ignore an `Upgrade` (RFC 9110, 7.8), and then the message ends where its length says. The parser
        cannot be told so: after such a head it takes all that follows for another protocol.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the server itself does
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(fields))

    def _new_cycle(self) -> RequestResponseCycle:
        """What carries the request that was just read to the application, and its answer back."""
        scope, version = self.scope, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"  # an absolute address may have none
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
            expect_100_continue=self.expect_100_continue and version != "1.0",  # such a client takes it for the answer
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.keep_alive_field = self._connections.keep_alive_field
        return cycle

    def _is_answering(self) -> bool:
        return self._current is not None and not (self._current.response_complete or self._current.disconnected)

    def _has_to_answer(self) -> bool:
        """Whether something is left to be answered, now that the client sends no more."""
        if self._incoming is Waiting.BODY and not self._rest and not self.cycle.response_started:
            self._withdraw()
        if self._current is None or not self._is_answering():
            return False
        if not self._rest and self._last_answer is None:
            newest = self.pipeline[0][0] if self.pipeline else self._current
            newest.keep_alive = False
        return True

    def _withdraw(self) -> None:
        """Take back the request whose body is still to come: the application hears that it will never be whole."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def _end_with(self, answer: _LastAnswer) -> None:
        """Read nothing more, let what was asked before be answered, give this last answer, and hang up."""
        self._last_answer, self._rest = answer, b""
        if self._incoming is Waiting.BODY:
            if self.cycle.response_started:  # an early answer, after which it is closed anyway
                return
            self._withdraw()
        if self._is_answering():
            self.flow.pause_reading()
        else:
            self._write_last_answer()

    def _write_last_answer(self) -> None:
        if self._last_answer is not None:
            status, sentence = self._last_answer
            log.debug("hung up", status=status, reason=sentence)
            head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % len(sentence) + sentence.encode())
            self.waiting_since_s = self._connections.now_s
            self.transport.close()

    def _discard(self, number: int) -> None:
        """Throw away what comes after the end, up to a bound."""
        self._around_bytes += number
        if self._around_bytes > _DISCARDED_CAP_BYTES:
            self.transport.abort()


class _Cycle(RequestResponseCycle):
    """A request and its answer, which says how long the connection stays open afterwards."""

    keep_alive_field: tuple[bytes, bytes]

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """See the ASGI specification. An answer before the end of its request ends the connection."""
        if message["type"] == "http.response.start":
            if self.more_body:
                self.keep_alive = False
            if self.keep_alive:
                self.default_headers = [*self.default_headers, self.keep_alive_field]
        return super().send(message)

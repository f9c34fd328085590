"""Traces requests and batches for an OpenTelemetry collector. The module is imported only if traces are switched on.

A request is a trace of its own, or a part of its caller's trace (W3C `traceparent`). A batch serves many requests and
so belongs to none of their traces: it is a trace of its own, with links to and from each request that it serves.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from countermand.actions.metrics import MetricsHook

WAIT: Final = "wait for the batch"
BATCH: Final = "batch"

_LONGEST_BATCH: Final = 4096  # the largest possible `batch_cap`: a batch has a link to each of its requests
_EXPORT_LIMIT_S: Final = 5.0
_SERVER_ERROR: Final = 500
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_CARRIED: Final = ("traceparent", "tracestate")


class Tracing:
    """Makes spans and sends them to `url` (OTLP over HTTP) from a thread. A lost collector only causes a log line.

    `database` is the system's name in OpenTelemetry's semantic conventions: `postgresql` or `sqlite`. `share` is the
    part of the requests that is traced; if a caller sends `traceparent`, the caller's decision counts.
    """

    def __init__(self, url: str, *, share: float, version: str, worker: int | None, database: str) -> None:
        about: dict[str, str | int] = {"service.name": "countermand", "service.version": version}
        if worker is not None:
            about["countermand.worker"] = worker
        self._provider = TracerProvider(
            sampler=ParentBased(_WithItsRequests(TraceIdRatioBased(share))),
            resource=Resource.create(about),
            span_limits=SpanLimits(max_links=_LONGEST_BATCH),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=_EXPORT_LIMIT_S)))
        self._tracer = self._provider.get_tracer("countermand", version)
        self._carrier = TraceContextTextMapPropagator()
        self._waiting: dict[str, Span] = {}
        self._database = database

    def request(self, method: str, route: str, headers: Mapping[bytes, bytes]) -> AbstractContextManager[Span]:
        """Return the span of a whole request. `headers` are keyed by their lower-case names."""
        carried = {name: headers[name.encode()].decode("latin-1") for name in _CARRIED if name.encode() in headers}
        known = method in _METHODS  # a method that a caller made up must not appear in a span
        return self._tracer.start_as_current_span(
            f"{method if known else 'HTTP'} {route}",
            context=self._carrier.extract(carried, context=Context()),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method if known else "_OTHER",
                "http.route": route,
                "url.scheme": "http",
                "network.protocol.version": "1.1",
            },
        )

    def set_status(self, span: Span, status: int) -> None:
        """Record the status of the answer; a status of 500 or more is an error of the span as well."""
        span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)

    def hop(self, name: str) -> AbstractContextManager[Span]:
        """Return the span of one hop of the current request."""
        return self._tracer.start_as_current_span(name)

    @contextmanager
    def waiting(self, command_id: str) -> Iterator[None]:
        """Open the span of a command's wait. The span ends when the command's batch begins."""
        span = self._tracer.start_span(WAIT)
        self._waiting[command_id] = span
        try:
            yield
        finally:
            del self._waiting[command_id]
            _end(span)

    @contextmanager
    def batch(self, command_ids: Sequence[str]) -> Iterator[None]:
        """Open the span of a batch. If none of its requests is traced, open no span."""
        served = [span for one in command_ids if (span := self._waiting.get(one)) is not None]
        traced = [span for span in served if span.get_span_context().trace_flags.sampled]
        # Leave the current context: one request started the flight, but the flight serves all requests.
        token = contexts.attach(Context())
        try:
            if not traced:
                yield
                return
            links = [Link(span.get_span_context()) for span in traced]
            with self._tracer.start_as_current_span(
                BATCH, links=links, attributes={"countermand.commands": len(command_ids)}
            ) as span:
                for waited in traced:
                    waited.add_link(span.get_span_context())
                    _end(waited)
                yield
        finally:
            contexts.detach(token)

    def statement(self, name: str) -> AbstractContextManager[object]:
        """Return the span of one round trip to the database, which is recorded if the batch is traced."""
        attributes = {"db.system.name": self._database, "db.operation.name": name}
        return self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def request_id(self) -> str | None:
        """Return the current trace's id, to be used as request id; None if the current request is not traced."""
        current = trace.get_current_span().get_span_context()
        return trace.format_trace_id(current.trace_id) if current.trace_flags.sampled else None

    async def close(self) -> None:
        """Send the remaining spans. The call ends after some seconds even if the collector does not answer."""
        await asyncio.to_thread(self._provider.shutdown)


class TracingMetrics:
    """Implements `MetricsHook`: makes spans, and passes each report on to `other`."""

    def __init__(self, tracing: Tracing, other: MetricsHook) -> None:
        self._tracing, self._other = tracing, other
        self.retried, self.absorbed, self.turned_away = other.retried, other.absorbed, other.turned_away

    @contextmanager
    def batch(self, commands: Sequence[Any]) -> Iterator[None]:
        """See `MetricsHook.batch`."""
        with self._other.batch(commands), self._tracing.batch([command.command_id for command in commands]):
            yield

    @contextmanager
    def statement(self, name: str) -> Iterator[None]:
        """See `MetricsHook.statement`."""
        with self._other.statement(name), self._tracing.statement(name):
            yield


class _WithItsRequests(Sampler):
    """Samples a batch always, because it has links only to traced requests. `requests` decides for a request."""

    def __init__(self, requests: Sampler) -> None:
        self._requests = requests

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = ALWAYS_ON if links else self._requests
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"WithItsRequests({self._requests.get_description()})"


def _end(span: Span) -> None:
    if span.is_recording():
        span.end()

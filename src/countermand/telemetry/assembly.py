"""Builds the telemetry objects: metrics, request log and, if enabled, tracing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from countermand.actions.metrics import MetricsHook
from countermand.telemetry.counts import Counts
from countermand.telemetry.metrics_hook import CountingMetrics
from countermand.telemetry.request_lines import Render, RequestLines
from countermand.telemetry.requests import LogLevel, Requests, counted_ids

if TYPE_CHECKING:
    from countermand.telemetry.tracing import Tracing


@dataclass(frozen=True, kw_only=True)
class Logging:
    """Says how requests are logged. `worker` is the number of this process if there are several workers.

    `render` makes the text of lines for a person, who also gets the paths that no route takes.
    """

    format: Literal["text", "json"]
    level: LogLevel
    each_request: bool
    worker: int | None = None
    render: Render | None = None


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """The metrics, request log and traces of one process."""

    counts: Counts
    requests: Requests
    metrics: MetricsHook
    tracing: "Tracing | None"

    async def close(self) -> None:
        """Write held log lines, post the tallies, and send the remaining traces."""
        self.requests.lines.flush()
        self.counts.post()
        if self.tracing is not None:
            await self.tracing.close()


def telemetry_of(
    *, version: str, logging: Logging, traces_url: str | None, traces_share: float, database: str
) -> Telemetry:
    """Build the telemetry objects. OpenTelemetry is imported only for a `traces_url`.

    `database` is the name of the database's system in spans: `sqlite` or `postgresql`.
    """
    counts = Counts(version)
    metrics: MetricsHook = CountingMetrics(counts)
    new_id, tracing = counted_ids(), None
    if traces_url is not None:
        from countermand.telemetry.tracing import Tracing, TracingMetrics  # noqa: PLC0415 - half a second to import

        tracing = Tracing(traces_url, share=traces_share, version=version, worker=logging.worker, database=database)
        metrics = TracingMetrics(tracing, metrics)
        new_id = _traced_ids(tracing, new_id)
    lines = RequestLines(logging.format, worker=logging.worker, render=logging.render)
    requests = Requests(
        counts=counts,
        lines=lines,
        level=logging.level,
        each=logging.each_request,
        new_id=new_id,
        tells_paths=logging.render is not None,
    )
    return Telemetry(counts=counts, requests=requests, metrics=metrics, tracing=tracing)


def _traced_ids(tracing: "Tracing", otherwise: Callable[[], str]) -> Callable[[], str]:
    return lambda: tracing.request_id() or otherwise()

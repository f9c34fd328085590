"""Defines and collects all metrics that `/metrics` answers.

Each request is added to a tally of plain numbers. The tallies are posted to the metrics library twice a second and
before every scrape: posting each request by itself would cost a cancellation 2 µs, and a tally costs a third of one
microsecond (measured).
"""

import asyncio
import os
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from countermand.actions.errors import CountermandError
from countermand.telemetry.deliveries import DeliveryCounts, EndpointGauge, gauges
from countermand.telemetry.process_metrics import ProcessMetrics

disable_created_metrics()  # type: ignore[no-untyped-call] # several workers have none, so one process has none either

# From half a millisecond, because the fastest cancels take about one, to ten seconds, when most callers have given up.
LATENCY_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
# The counters that alerts look at exist from the start, at 0. Otherwise the first failure would be a new counter, and
# an alert compares a counter with its value at the scrape before.
_ALERTED_OUTCOMES: Final = ("unknown", "failed", "unavailable")
_ALERTED_STATUS: Final = "5xx"
WHY_CLOSED: Final = ("idle", "head", "body", "write", "evicted", "refused")
SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name; the numbers of all workers are kept there


def forget_worker(folder: str, pid: int) -> None:
    """Remove the gauges of a worker that has ended; its counters stay counted."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class Tally:
    """Counts requests of one kind and sums up their durations, since the last posting."""

    __slots__ = ("durations", "total_s")

    def __init__(self) -> None:
        self.durations = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float) -> None:
        """Add one request."""
        self.durations[bisect_left(LATENCY_BOUNDS_S, duration_s)] += 1
        self.total_s += duration_s


class _TalliedHistogram(Histogram):
    """A histogram that takes many observations in one call."""

    def post(self, durations: list[int], total_s: float) -> None:
        self._sum.inc(total_s)
        for bucket, number in zip(self._buckets, durations, strict=True):
            if number:
                bucket.inc(number)


class _Posting:
    """Connects one tally with the metrics that it is posted to."""

    __slots__ = ("cancellations", "seconds", "tally")

    def __init__(self, tally: Tally, seconds: _TalliedHistogram, cancellations: Counter | None) -> None:
        self.tally, self.seconds, self.cancellations = tally, seconds, cancellations

    def post(self) -> None:
        durations, total_s = self.tally.durations, self.tally.total_s
        number = sum(durations)
        if number == 0:
            return
        self.tally.durations, self.tally.total_s = [0] * len(durations), 0.0
        self.seconds.post(durations, total_s)
        if self.cancellations is not None:
            self.cancellations.inc(number)


class Counts:
    """Holds the metrics of one process, and makes the `/metrics` page of all workers."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._queue_depth: Callable[[], int] | None = None
        self._outbox_age_s: Callable[[], Awaitable[float | None]] | None = None
        self._task_age_s: Callable[[], Awaitable[float | None]] | None = None
        self._clock_ahead_s: Callable[[], float | None] = lambda: None
        self._of_endpoints: Callable[[], Awaitable[Sequence[Metric]]] | None = None
        self._registry = ours = CollectorRegistry()
        self._postings: list[_Posting] = []
        self._cancellations = Counter(
            "countermand_cancellations",
            "Cancellations asked for, by the door they came in by, what became of them, and a refusal's first code",
            ("door", "outcome", "code"),
            registry=ours,
        )
        self._seconds = _TalliedHistogram(
            "countermand_request_seconds",
            "From a request's head to its answer, by the route's template and the class of the status",
            ("method", "route", "status"),
            buckets=LATENCY_BOUNDS_S,
            registry=ours,
        )
        self.batch_sizes = Histogram(
            "countermand_batch_commands", "Cancellations in one batch", buckets=_BATCH_BOUNDS, registry=ours
        )
        self.statements = Histogram(
            "countermand_statement_seconds",
            "Round trips to the database on the way of a cancellation",
            ("statement",),
            buckets=LATENCY_BOUNDS_S,
            registry=ours,
        )
        self.absorbed = Counter(
            "countermand_duplicates_absorbed", "Commands that were answered from what was done before", registry=ours
        )
        self.retries = Counter(
            "countermand_batch_retries",
            "Batches that a deadlock or a conflict undid, and that ran again",
            registry=ours,
        )
        self.turned_away = Counter(
            "countermand_turned_away",
            "Cancellations refused with 503: the queue was full, or they waited too long",
            registry=ours,
        )
        self._versions = Counter(
            "countermand_connect_requests",
            "Requests of the connect contract, by the version they were made in",
            ("version",),
            registry=ours,
        )
        self._versions_taken: Callable[[], Mapping[int, int]] = dict
        self._waiting = Gauge(
            "countermand_queue_commands",
            "Cancellations that wait for their batch",
            multiprocess_mode="livesum",
            registry=ours,
        )
        self._connections = Gauge(
            "countermand_connections", "Connections that are open", multiprocess_mode="livesum", registry=ours
        )
        self._connections_closed = _connections_closed(ours)
        self._unfinished = _unfinished(ours)
        self.deliveries = DeliveryCounts(ours)
        self._workers = Gauge("countermand_workers", "Processes that serve", multiprocess_mode="livesum", registry=ours)
        self._workers.set(1)
        self._process, self._scraping = ProcessMetrics(ours), asyncio.Lock()

    def ask(
        self,
        *,
        queue_depth: Callable[[], int],
        oldest_undelivered: Callable[[], Awaitable[datetime | None]],
        oldest_task: Callable[[], Awaitable[datetime | None]],
        endpoints: Callable[[], Awaitable[Mapping[str, EndpointGauge]]],
        clock_ahead_s: Callable[[], float | None],
        now: Callable[[], datetime],
    ) -> None:
        """Set the functions that give more numbers: `queue_depth` per posting, the others per scrape.

        `oldest_undelivered`, `oldest_task` and `endpoints` must have a time limit of their own. If one raises
        `CountermandError` or `TimeoutError`, the page leaves that metric out and the scrape still succeeds.
        """

        async def age_s(ask: Callable[[], Awaitable[datetime | None]]) -> float | None:
            try:
                oldest = await ask()
            except (CountermandError, TimeoutError):
                return None
            return 0.0 if oldest is None else max(0.0, (now() - oldest).total_seconds())

        async def of_endpoints() -> Sequence[Metric]:
            try:
                return [*gauges(await endpoints(), now())]
            except (CountermandError, TimeoutError):
                return []

        self._queue_depth, self._clock_ahead_s, self._of_endpoints = queue_depth, clock_ahead_s, of_endpoints
        self._outbox_age_s, self._task_age_s = partial(age_s, oldest_undelivered), partial(age_s, oldest_task)

    def step_unfinished(self, step: str, is_unfinished: bool) -> None:  # noqa: FBT001 - a value to set
        """Set whether a background step may still have rows to fill."""
        self._unfinished.labels(step).set(int(is_unfinished))

    def count_versions(self, taken: Callable[[], Mapping[int, int]]) -> None:
        """Set the function that returns, at every posting, the uses of each connect version since the last posting."""
        self._versions_taken = taken

    def connections_open(self, number: int) -> None:
        """Set how many connections are open."""
        self._connections.set(number)

    def connection_closed(self, why: str) -> None:
        """Count a connection that the server closed."""
        self._connections_closed.labels(why).inc()

    def expect(self, method: str, route: str, door: str | None) -> None:
        """Make the counters of a route that alerts look at, at 0. `door` is the channel of a cancel call."""
        self._seconds.labels(method, route, _ALERTED_STATUS)
        for outcome in _ALERTED_OUTCOMES if door is not None else ():
            self._cancellations.labels(door, outcome, "")

    def tally(self, method: str, route: str, status: int, cancellation: tuple[str, str, str] | None) -> Tally:
        """Return a new tally for requests of one kind; `cancellation` is channel, outcome and code."""
        tally = Tally()
        seconds = self._seconds.labels(method, route, f"{status // 100}xx")
        self._postings.append(
            _Posting(tally, seconds, None if cancellation is None else self._cancellations.labels(*cancellation))
        )
        return tally

    def post(self) -> None:
        """Post all tallies, and update the gauges."""
        for posting in self._postings:
            posting.post()
        for version, times in self._versions_taken().items():
            if times:
                self._versions.labels(str(version)).inc(times)
        self._process.post()
        if self._queue_depth is not None:
            self._waiting.set(self._queue_depth())

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers and their media type: OpenMetrics if `accept` takes it, else plain text."""
        self.post()
        self._process.post(now=True)
        registry = CollectorRegistry()
        if SHARED_FOLDER in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(self._registry)
        outbox_age_s = None if self._outbox_age_s is None else await self._outbox_age_s()
        task_age_s = None if self._task_age_s is None else await self._task_age_s()
        of_endpoints = [] if self._of_endpoints is None else await self._of_endpoints()
        registry.register(_OfThisScrape(self._version, outbox_age_s, task_age_s, self._clock_ahead_s(), of_endpoints))
        try:
            encode, media_type = choose_encoder(accept)
        except (ValueError, TypeError):  # the version in `accept` is not a number
            encode, media_type = choose_encoder("")
        async with self._scraping:  # to write a page takes a thread some ten milliseconds; one is written at a time
            return await asyncio.to_thread(encode, registry), media_type


def _unfinished(registry: CollectorRegistry) -> Gauge:
    return Gauge(
        "countermand_steps_unfinished",
        "Whether a background step may still have rows to fill that older nodes wrote: 1, or 0 once it found none",
        ("step",),
        multiprocess_mode="livemax",
        registry=registry,
    )


def _connections_closed(registry: CollectorRegistry) -> Counter:
    made = Counter(
        "countermand_connections_closed",
        "Connections that the server ended, by why: what it waited for too long, or evicted and refused at the cap",
        ("why",),
        registry=registry,
    )
    for why in WHY_CLOSED:
        made.labels(why)
    return made


class _OfThisScrape:
    """Collects the metrics that are the same for all workers, once per scrape."""

    def __init__(
        self,
        version: str,
        outbox_age_s: float | None,
        task_age_s: float | None,
        clock_ahead_s: float | None,
        of_endpoints: Sequence[Metric],
    ) -> None:
        self._version, self._outbox_age_s, self._clock_ahead_s = version, outbox_age_s, clock_ahead_s
        self._task_age_s, self._of_endpoints = task_age_s, of_endpoints

    def collect(self) -> Iterator[Metric]:
        yield from self._of_endpoints
        about: Mapping[str, str] = {"version": self._version}
        yield InfoMetricFamily("countermand_build", "What is running", value=dict(about))
        if self._outbox_age_s is not None:
            yield GaugeMetricFamily(
                "countermand_outbox_age_seconds",
                "How long the oldest event waits for an endpoint that is not paused; 0 if none waits",
                value=self._outbox_age_s,
            )
        if self._task_age_s is not None:
            yield GaugeMetricFamily(
                "countermand_appointment_task_age_seconds",
                "How long the oldest task about an appointment waits for its answer; 0 without one",
                value=self._task_age_s,
            )
        if self._clock_ahead_s is not None:
            yield GaugeMetricFamily(
                "countermand_clock_ahead_seconds",
                "How far this node's clock is ahead of the database's, as of the last look; negative if behind",
                value=self._clock_ahead_s,
            )

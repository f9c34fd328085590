"""Counts attempts to deliver events, by endpoint, and shows at a scrape what waits for each endpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


class DeliveryCounts:
    """Implements `DeliveryMetrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "countermand_delivery_attempts",
            "Attempts to deliver an event, by endpoint, and whether the attempt succeeded",
            ("endpoint", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "countermand_delivery_seconds",
            "How long attempts took, by endpoint",
            ("endpoint",),
            buckets=_BOUNDS_S,
            registry=registry,
        )

    def attempt_ended(self, endpoint: str, outcome: str, seconds: float) -> None:
        """See `DeliveryMetrics.attempt_ended`."""
        self._attempts.labels(endpoint, outcome).inc()
        self._seconds.labels(endpoint).observe(seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointGauge:
    """What waits for an endpoint: how many events, since when the oldest, and how many were given up."""

    undelivered: int
    oldest_at: datetime | None
    given_up: int
    is_paused: bool


def gauges(by_endpoint: Mapping[str, EndpointGauge], now: datetime) -> Iterator[Metric]:
    """Give the metrics of all endpoints for one scrape."""
    undelivered = GaugeMetricFamily(
        "countermand_undelivered_events", "Events that wait for an endpoint", labels=("endpoint",)
    )
    age_s = GaugeMetricFamily(
        "countermand_undelivered_age_seconds",
        "How long the oldest event waits for an endpoint; 0 without one",
        labels=("endpoint",),
    )
    given_up = GaugeMetricFamily(
        "countermand_given_up_events", "Events that were given up and are kept", labels=("endpoint",)
    )
    paused = GaugeMetricFamily("countermand_endpoint_paused", "Whether an endpoint is paused", labels=("endpoint",))
    for endpoint, one in sorted(by_endpoint.items()):
        oldest = 0.0 if one.oldest_at is None else max(0.0, (now - one.oldest_at).total_seconds())
        undelivered.add_metric((endpoint,), one.undelivered)
        age_s.add_metric((endpoint,), oldest)
        given_up.add_metric((endpoint,), one.given_up)
        paused.add_metric((endpoint,), int(one.is_paused))
    yield from (undelivered, age_s, given_up, paused)

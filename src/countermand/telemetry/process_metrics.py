"""Collects the usual `process_*` metrics of all workers. The library's own are only of the worker that is scraped."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

_EVERY_S: Final = 5.0  # counting open files takes a millisecond with some thousand connections
# How the values of several workers become one: sizes and numbers are added, a limit is the lowest limit, and the start
# is that of the youngest worker, so that a restart of any worker is visible.
_GAUGES: Final = {
    "process_resident_memory_bytes": ("Resident memory size in bytes.", "livesum"),
    "process_virtual_memory_bytes": ("Virtual memory size in bytes.", "livesum"),
    "process_open_fds": ("Number of open file descriptors.", "livesum"),
    "process_max_fds": ("Maximum number of open file descriptors.", "livemin"),
    "process_start_time_seconds": ("Start time of the process since unix epoch in seconds.", "livemax"),
}
_CPU: Final = "process_cpu_seconds"


class ProcessMetrics:
    """Reads the metrics from the system. Only Linux has them; on other systems there are none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._system = ProcessCollector(registry=None)
        self._posted_at: float | None = None
        self._cpu_s = 0.0
        found = self._read()
        self._gauges = {
            name: Gauge(name, said, multiprocess_mode=mode, registry=registry)  # type: ignore[arg-type]
            for name, (said, mode) in _GAUGES.items()
            if name in found
        }
        self._cpu = (
            Counter(_CPU, "Total user and system CPU time spent in seconds.", registry=registry)
            if _CPU in found
            else None
        )
        self.post()

    def post(self, *, now: bool = False) -> None:
        """Update the metrics: at once with `now`, otherwise at most every few seconds."""
        at_s = time.monotonic()
        if not now and self._posted_at is not None and at_s - self._posted_at < _EVERY_S:
            return
        self._posted_at = at_s
        found = self._read()
        for name, gauge in self._gauges.items():
            if name in found:
                gauge.set(found[name])
        if self._cpu is not None and _CPU in found:
            self._cpu.inc(max(0.0, found[_CPU] - self._cpu_s))
            self._cpu_s = found[_CPU]

    def _read(self) -> dict[str, float]:
        return {family.name: family.samples[0].value for family in self._system.collect() if family.samples}

"""What is told of a request once it is answered: its log line, and its place in the metrics."""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal

from countermand.telemetry.counts import Counts, Tally
from countermand.telemetry.request_lines import RequestLines

LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS: Final = ("debug", "info", "warning", "error")
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503


def counted_ids() -> Callable[[], str]:
    """Request ids of our own: unlike those of any other process, and cheap."""
    prefix = secrets.token_hex(6)
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Where every answered request is reported. `new_id` names a request that came without a name.

    With `each` false only failures are worth a line, as they are at the levels warning and error.
    """

    counts: Counts
    lines: RequestLines
    level: LogLevel
    each: bool
    new_id: Callable[[], str]

    def route(self, method: str, route: str, *, door: str | None = None, quiet: bool = False) -> "RouteReports":
        """Where the requests of one route are reported. `door` for a cancel; `quiet` for what machines ask all day."""
        self.counts.expect(method, route, door)
        least = _LEVELS.index(self.level)
        usual = "debug" if quiet else "info"
        return RouteReports(
            self,
            method,
            route,
            door,
            usual_level=usual if self.each and _LEVELS.index(usual) >= least else None,
            unavailable_level="warning" if _LEVELS.index("warning") >= least else None,
        )


class RouteReports:
    """Reports the requests of one route."""

    __slots__ = (
        "_counts",
        "_door",
        "_lines",
        "_method",
        "_route",
        "_tallies",
        "_unavailable_level",
        "_usual_level",
        "new_id",
    )

    def __init__(
        self,
        requests: Requests,
        method: str,
        route: str,
        door: str | None,
        *,
        usual_level: str | None,
        unavailable_level: str | None,
    ) -> None:
        self.new_id = requests.new_id
        self._counts, self._lines = requests.counts, requests.lines
        self._method, self._route, self._door = method, route, door
        self._usual_level, self._unavailable_level = usual_level, unavailable_level
        self._tallies: dict[tuple[int, str, str], Tally] = {}

    def answered(
        self,
        request_id: str,
        started_s: float,
        status: int,
        outcome: str,
        code: str = "",
        client: int | None = None,
        order: str | None = None,
    ) -> None:
        """Report one. `started_s` is of `perf_counter`; `code` are a refusal's codes, the first of which counts."""
        duration_s = perf_counter() - started_s
        key = (status, outcome, code)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = self._new_tally(status, outcome, code)
        tally.add(duration_s)
        if status < _SERVER_ERROR:
            level = self._usual_level
        else:
            level = self._unavailable_level if status == _UNAVAILABLE else "error"
        if level is not None:
            self._lines.add(
                level, request_id, self._method, self._route, status, outcome, duration_s, code, client, order
            )

    def _new_tally(self, status: int, outcome: str, code: str) -> Tally:
        cancellation = None if self._door is None else (self._door, outcome, code.partition(",")[0])
        return self._counts.tally(self._method, self._route, status, cancellation)

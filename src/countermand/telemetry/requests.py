"""Reports each answered request: writes its log line and adds it to the metrics."""

import itertools
import secrets
from collections.abc import Callable, Mapping
from copy import copy
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
    """Return a function that makes request ids. The ids differ from those of any other process, and cost little."""
    prefix = secrets.token_hex(6)
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Reports answered requests. `new_id` makes an id for a request that came without one.

    If `each` is false, only failures are logged; the levels warning and error have the same effect. If `tells_paths` is
    true, lines show the method and the path of a request that no route takes, as the caller wrote them.
    """

    counts: Counts
    lines: RequestLines
    level: LogLevel
    each: bool
    new_id: Callable[[], str]
    tells_paths: bool = False

    def route(
        self, method: str, route: str, *, channel: str | None = None, cancels: bool = False, quiet: bool = False
    ) -> "RouteReports":
        """Return the reports of one route. Lines show its `channel`; programs call a `quiet` route all day.

        The metrics count the cancellations of a route that `cancels`, by its channel.
        """
        self.counts.expect(method, route, channel if cancels else None)
        least = _LEVELS.index(self.level)
        usual = "debug" if quiet else "info"
        return RouteReports(
            self,
            method,
            route,
            channel,
            cancels=cancels,
            usual_level=usual if self.each and _LEVELS.index(usual) >= least else None,
            unavailable_level="warning" if _LEVELS.index("warning") >= least else None,
        )


class RouteReports:
    """Reports the requests of one route."""

    __slots__ = (
        "_cancels",
        "_channel",
        "_counts",
        "_lines",
        "_method",
        "_route",
        "_shown_as",
        "_tallies",
        "_tells_paths",
        "_unavailable_level",
        "_usual_level",
        "new_id",
    )

    def __init__(
        self,
        requests: Requests,
        method: str,
        route: str,
        channel: str | None,
        *,
        cancels: bool,
        usual_level: str | None,
        unavailable_level: str | None,
    ) -> None:
        self.new_id = requests.new_id
        self._counts, self._lines = requests.counts, requests.lines
        self._method, self._route, self._channel = method, route, channel
        self._cancels = cancels
        self._usual_level, self._unavailable_level = usual_level, unavailable_level
        self._shown_as = (method, route)
        self._tells_paths = requests.tells_paths
        self._tallies: dict[tuple[int, str, str], Tally] = {}

    def of_request(self, method: str, path: str) -> "RouteReports":
        """Return the reports of a request that no route takes: if lines tell paths, its line has `method` and `path`.

        The metrics stay those of the route, because a caller can make up any number of paths.
        """
        if not self._tells_paths:
            return self
        reports = copy(self)
        reports._shown_as = (method, path)  # noqa: SLF001 - its own class
        return reports

    def answered(
        self,
        request_id: str,
        started_s: float,
        status: int,
        outcome: str,
        code: str = "",
        client: int | None = None,
        order: str | None = None,
        people: tuple[str | None, str | None] | None = None,
        scope: Mapping[str, object] | None = None,
    ) -> None:
        """Report one request. `started_s` is from `perf_counter`; the metrics count the first of a refusal's codes.

        `people` are the person of the token and the person whom the client acts for, if there is one of them.
        `scope` is that of ASGI: if the request gets a line, the line has the address of its connection.
        """
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
            method, route = self._shown_as
            line = (level, request_id, method, route, status, outcome, duration_s, code, client, order, people)
            self._lines.add(*line, channel=self._channel, address=_address_in(scope))

    def _new_tally(self, status: int, outcome: str, code: str) -> Tally:
        cancellation = None
        if self._cancels and self._channel is not None:
            cancellation = self._channel, outcome, code.partition(",")[0]
        return self._counts.tally(self._method, self._route, status, cancellation)


def _address_in(scope: Mapping[str, object] | None) -> str | None:
    """Return the address at the other end of a connection; None if it has none, as over a Unix socket."""
    peer = None if scope is None else scope.get("client")
    return str(peer[0]) or None if isinstance(peer, tuple | list) else None

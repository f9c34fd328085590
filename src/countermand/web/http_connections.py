"""Limits the open connections of one process: how many there are, and how long each may keep the server waiting.

Uvicorn's own protocol closes an idle connection after a limit but waits for everything else without one. Here a task
sweeps over all connections once a second, which costs a request nothing: a timer for each connection would have to be
set and cancelled with every request.
"""

import asyncio
import heapq
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

import structlog

if sys.platform != "win32":
    import resource

log = structlog.get_logger()

LINGER_LIMIT_S: Final = 2.0
_SWEEP_EVERY_S: Final = 1.0
_LOG_EVERY_S: Final = 10.0
_DESCRIPTORS_FOR_THE_REST: Final = (
    100  # files, the listening socket, key sets, logs; connections to databases come on top
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """`cap` is the greatest number of connections at once. The other limits are seconds of waiting for a client.

    `idle_s` counts until a request begins, `head_s` and `body_s` until they are complete, and `write_s` while the
    client reads nothing of an answer.
    """

    cap: int
    idle_s: float
    head_s: float
    body_s: float
    write_s: float


class Waiting(Enum):
    """Names what the server waits for the client to send or to take. The values are those of the metric's label."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    WRITE = "write"
    LINGER = "linger"


_FOR_THE_CLIENT: Final = frozenset({Waiting.IDLE, Waiting.HEAD, Waiting.BODY, Waiting.LINGER})


class Connection(Protocol):
    """The methods that the sweep needs of a connection. `HttpProtocol` implements them."""

    waiting_since_s: float

    def waits_for(self) -> Waiting | None:
        """Return what the client owes the connection; None while the server owes the answer."""
        ...

    def unsent_mark(self) -> int | None:
        """Return a number that changes whenever the client takes bytes; None if no bytes wait for the client."""
        ...

    def give_up(self, waiting: Waiting) -> None:
        """End the connection because its client kept the server waiting for too long."""
        ...

    def evict(self) -> None:
        """End the connection at once, because a new connection needs its place."""
        ...


class ConnectionCounts(Protocol):
    """Receives the numbers of connections. `Counts` implements it."""

    def connections_open(self, number: int) -> None:
        """Report how many connections are open."""
        ...

    def connection_closed(self, why: str) -> None:
        """Report that the server closed a connection; `why` is a value of `Waiting`, `evicted` or `refused`."""
        ...


class Connections:
    """Admits connections, and ends those connections that keep the server waiting.

    `new_id` makes the ids of requests that never reach the application.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        counts: ConnectionCounts,
        *,
        new_id: Callable[[], str],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.new_id = new_id
        self.now_s = clock_s()  # the time of the last sweep, which is exact enough for limits of seconds
        self._clock_s = clock_s
        self._counts = counts
        self.keep_alive_field = (b"keep-alive", b"timeout=%d" % limits.idle_s)
        self._open: set[Connection] = set()
        self._stuck: dict[Connection, tuple[int, float]] = {}
        self._full_since_s: float | None = None
        self._evicted = self._refused = 0
        self._logged_s = float("-inf")
        self._every_s = min(_SWEEP_EVERY_S, *(limit / 4 for limit in (limits.idle_s, limits.head_s, limits.body_s)))
        self._limit_s = {
            Waiting.IDLE: limits.idle_s + self._every_s,  # clients are told the limit, so it never ends earlier
            Waiting.HEAD: limits.head_s,
            Waiting.BODY: limits.body_s,
            Waiting.LINGER: LINGER_LIMIT_S,
        }

    def admit(self, connection: Connection) -> bool:
        """Admit a new connection. At the cap, make room for it; return False if there is no room to make."""
        if len(self._open) >= self.limits.cap and not self._make_room():
            self._refused += 1
            self._counts.connection_closed("refused")
            return False
        self._open.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self._stuck.pop(connection, None)

    def sweep(self) -> None:
        """Check every connection once, and end those that have reached a limit."""
        self.now_s = now_s = self._clock_s()
        for connection in list(self._open):
            mark = connection.unsent_mark()
            if mark is not None:  # the client is still reading an answer
                connection.waiting_since_s = now_s
                if self._is_stuck(connection, mark):
                    self._give_up(connection, Waiting.WRITE)
                continue
            self._stuck.pop(connection, None)
            waiting = connection.waits_for()
            if waiting is not None and now_s - connection.waiting_since_s >= self._limit_s[waiting]:
                self._give_up(connection, waiting)
        self._counts.connections_open(len(self._open))
        if (self._evicted or self._refused) and now_s - self._logged_s >= _LOG_EVERY_S:
            log.warning(
                "the cap of connections was reached", cap=self.limits.cap, evicted=self._evicted, refused=self._refused
            )
            self._evicted = self._refused = 0
            self._logged_s = now_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            self.sweep()
            await asyncio.sleep(self._every_s)

    def _make_room(self) -> bool:
        """End those connections that have waited longest for a request or for the rest of it: no answer is lost.

        Each call ends several connections. If there are fewer, the next search has to wait for the next sweep: a search
        takes milliseconds, and at the cap every new connection would start one.
        """
        if self._full_since_s == self.now_s:
            return False
        several = max(1, self.limits.cap // 100)
        waiting = [
            connection
            for connection in self._open
            if connection.waits_for() in _FOR_THE_CLIENT and connection.unsent_mark() is None
        ]
        longest = heapq.nsmallest(several, waiting, key=lambda connection: connection.waiting_since_s)
        for connection in longest:
            self._evicted += 1
            self._counts.connection_closed("evicted")
            self.forget(connection)
            connection.evict()
        if len(longest) < several:
            self._full_since_s = self.now_s
        return bool(longest)

    def _give_up(self, connection: Connection, waiting: Waiting) -> None:
        if waiting is not Waiting.LINGER:
            self._counts.connection_closed(waiting.value)
        self._stuck.pop(connection, None)
        connection.give_up(waiting)

    def _is_stuck(self, connection: Connection, mark: int) -> bool:
        before, since_s = self._stuck.get(connection, (None, self.now_s))
        if mark != before:
            self._stuck[connection] = (mark, self.now_s)
            return False
        return self.now_s - since_s >= self.limits.write_s


def cap_below_descriptors(wanted: int, *, reserved: int) -> int:
    """Return how many connections this process can hold: `wanted`, or fewer if its file descriptors do not suffice.

    `reserved` descriptors are kept for databases. The function first raises the soft limit of descriptors towards the
    hard limit, as far as needed: the soft limit is low for programs that use select(2), which this program does not.
    """
    if sys.platform == "win32":
        return wanted
    needed = wanted + reserved + _DESCRIPTORS_FOR_THE_REST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == unlimited or soft >= needed:
        return wanted
    cap = max(1, soft - reserved - _DESCRIPTORS_FOR_THE_REST)
    log.warning("fewer connections than set: the limit of descriptors is low", descriptors=soft, set=wanted, cap=cap)
    return cap

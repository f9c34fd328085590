"""Counts the round trips to PostgreSQL that a test's own calls take, by a hook on the driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from countermand.storage.postgres.store import PostgresStore
from support.world import World

# Every method of the driver's protocol that sends something and waits for the answer.
_ROUND_TRIPS = frozenset(
    {"prepare", "bind_execute", "bind_execute_many", "bind", "execute", "query", "close_statement"}
)
# Background tasks of the service use the same connections, but none of them has this context.
_counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)


class _Protocol:
    """Stands before the protocol of a connection."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._protocol, name)
        if name not in _ROUND_TRIPS or (counted := _counted.get()) is None:
            return found

        def send(*given: Any, **named: Any) -> Any:
            counted.append(f"{name} {_said(given)}")
            return found(*given, **named)

        return send


def _said(given: tuple[Any, ...]) -> str:
    """The beginning of the statement, for the message of a test that fails."""
    first = given[0] if given else ""
    return " ".join((first if isinstance(first, str) else getattr(first, "query", "")).split())[:200]


@contextmanager
def round_trips(world: World) -> Iterator[list[str]]:
    """The round trips of what the test itself does meanwhile, over the connections that are open now."""
    store = world.database.store
    assert isinstance(store, PostgresStore)
    assert store._lending._idle, "open a connection before: its first statements are prepared"
    for lent in store._lending._idle:
        if not isinstance(lent.driver._protocol, _Protocol):
            lent.driver._protocol = _Protocol(lent.driver._protocol)
    counted: list[str] = []
    token = _counted.set(counted)
    try:
        yield counted
    finally:
        _counted.reset(token)

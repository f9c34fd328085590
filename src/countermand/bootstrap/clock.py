"""The service's clocks."""

from datetime import UTC, datetime

from countermand.actions.ports import Clock, SharedClock


def utc_now() -> datetime:
    """The clock: aware, UTC, whole microseconds."""
    return datetime.now(UTC)


def shared_by_all(clock: Clock) -> SharedClock:
    """A clock of one node as the one that all share."""

    async def now() -> datetime:
        return clock()

    return now

"""Reads the clock of this machine, and lets one node's clock stand in for the clock of all nodes."""

from datetime import UTC, datetime

from countermand.actions.ports import Clock, SharedClock


def utc_now() -> datetime:
    """Return the current instant: aware, in UTC, in whole microseconds."""
    return datetime.now(UTC)


def shared_by_all(clock: Clock) -> SharedClock:
    """Return a shared clock that reads the clock of one node."""

    async def now() -> datetime:
        return clock()

    return now

"""The service's clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The clock: aware, UTC, whole microseconds."""
    return datetime.now(UTC)

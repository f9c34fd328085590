"""How is an instant written? In ISO 8601 and UTC, with a fraction only if the instant has one."""

from datetime import UTC, datetime


def written_instant(instant: datetime) -> str:
    """Write an aware instant as `2026-11-23T01:00:00Z`, with microseconds if it has any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

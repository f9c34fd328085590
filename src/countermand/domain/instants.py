"""How is an instant written? ISO 8601 in UTC, with a fraction only where there is one."""

from datetime import UTC, datetime


def written_instant(instant: datetime) -> str:
    """An aware instant as `2026-11-23T01:00:00Z`, to the microsecond where it has any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

"""How is an instant written, and how far may somebody else's clock be from ours?"""

from datetime import UTC, datetime
from typing import Final

# Ours: `nbf`, `iat` and `exp` of assertions and tokens of every issuer are judged with this much grace.
CLOCK_LEEWAY_S: Final = 30


def written_instant(instant: datetime) -> str:
    """Write an aware instant as `2026-11-23T01:00:00Z`, with microseconds if it has any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

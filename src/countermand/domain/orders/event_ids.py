"""How is an order event named to its receivers? The same event always has the same id, another event another id."""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

_DIGITS: Final = 8


def event_digest(recorded_at: int, details: Mapping[str, object]) -> str:
    """Return the digest that tells apart two events of the same order, version and kind.

    Such events exist after a restore from a backup, when a version is used again. `recorded_at` is in microseconds
    since 1970. The form of the JSON does not depend on the database that stored the details.
    """
    canonical = msgspec.json.encode(details, order="sorted")
    return hashlib.sha256(b"%d %s" % (recorded_at, canonical)).hexdigest()[:_DIGITS]


def event_id(order: str, version: int, kind: str, digest: str) -> str:
    """Return the id of an event. `order` is the id of the order in the operator's API. An id has no full stop."""
    return f"evt_{order}_{version}_{kind.replace('.', '_')}_{digest}"

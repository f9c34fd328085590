"""The key of a request that a client may send again."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """A client's key for a request, and the fingerprint (method, path and body) of the request it stands for."""

    key: str
    fingerprint: str

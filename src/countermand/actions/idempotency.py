"""The key of a request that a client may send again, and the protocol that stores its answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.client import ClientId


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """The hashes that identify a request: of its bytes, and of the message that the bytes say.

    `message` is None if a node of an older version stored the key, because those nodes know only `request`.
    """

    request: str
    message: str | None

    def agree_with(self, other: "Fingerprints") -> bool:
        """Return whether both are of the same request: by the message if both have its hash, otherwise by the bytes."""
        if self.message is None or other.message is None:
            return self.request == other.request
        return self.message == other.message


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """A client's key for a request, and the fingerprints of the request it stands for."""

    key: str
    fingerprints: Fingerprints


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnswer:
    """The answer that a key stands for; None if the key is a cancellation's that needed no transaction of its own.

    `is_undone` if the request cancelled an order, and the cancellation was undone since.
    """

    fingerprints: Fingerprints
    answer: bytes | None
    is_undone: bool


class KeptAnswers(Protocol):
    """Reads and writes the answers that idempotency keys stand for."""

    async def kept_answer(self, client_id: ClientId, key: str) -> KeptAnswer | None:
        """Return what a key stands for, or None."""
        ...

    async def claim_key(self, client_id: ClientId, key: str) -> None:
        """Let no other transaction claim the key until this one ends. Waits for a transaction that has claimed it."""
        ...

    async def keep_answer(self, client_id: ClientId, key: IdempotencyKey, answer: bytes, now: datetime) -> None:
        """Store the answer that a key stands for. Raises `KeyTakenError` if the key is in use."""
        ...

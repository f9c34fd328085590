"""What does the token endpoint need from outside? Protocols that `storage` fulfils."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.client import Client, ClientId
from countermand.domain.signing_key import SigningKey


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientKey:
    """A public key that a client signs its assertions with: its id, and itself as a JWK (JSON)."""

    kid: str
    public_key: str


class ClientKeys(Protocol):
    """The keys that clients of our own token endpoint registered."""

    async def live(self, name: str, kid: str | None) -> tuple[Client, Sequence[ClientKey]] | None:
        """The client of this name (its client id) and its keys, newest first; of a `kid`, the one with that id.

        None where there is no such key. Keys and clients that are revoked are left out.
        """
        ...


class UsedAssertions(Protocol):
    """The assertions that were exchanged already."""

    async def use(self, client_id: ClientId, jti_sha256: str, expires_at: datetime) -> bool:
        """Remember one, committed before this returns; False where it is remembered already. Of two at once one wins.

        Raises `UnavailableError`, or `OutcomeUnknownError`.
        """
        ...


class SigningKeys(Protocol):
    """The keys that our own access tokens are signed with, shared by all nodes."""

    async def all(self) -> Sequence[SigningKey]:
        """Every key that is kept, retired ones included, by number."""
        ...

    async def add_first(self, kid: str, private_key: str, now: datetime) -> None:
        """Add a key that signs at once, where there is none that counts: of several nodes at once one does."""
        ...

"""Protocols that the token issuer needs, and `storage` implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.client import Client, ClientId
from countermand.domain.signing_key import SigningKey


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientKey:
    """A public key that verifies a client's assertions: its id, and the key as a JWK (JSON)."""

    kid: str
    public_key: str


class ClientKeys(Protocol):
    """The public keys that clients of the token issuer registered."""

    async def live(self, name: str, kid: str | None) -> tuple[Client, Sequence[ClientKey]] | None:
        """Return the client with this name (its client id) and its keys, newest first; with `kid`, only that key.

        Return None if there is no such key. Revoked keys and clients are left out.
        """
        ...


class UsedAssertions(Protocol):
    """The assertions that were already exchanged."""

    async def use(self, client_id: ClientId, jti_sha256: str, expires_at: datetime) -> bool:
        """Store an assertion and commit. Return False if it was stored before; of two calls at once, one gets True.

        Raises `UnavailableError`, or `OutcomeUnknownError`.
        """
        ...


class SigningKeys(Protocol):
    """The keys that access tokens are signed with, shared by all nodes."""

    async def all(self) -> Sequence[SigningKey]:
        """Return every stored key by number, including retired keys."""
        ...

    async def add_first(self, kid: str, private_key: str, now: datetime) -> None:
        """Add a key that signs at once, unless a key counts already. Of several nodes at once, only one adds a key."""
        ...

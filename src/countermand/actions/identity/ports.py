"""Protocols that the token issuer needs, and `storage` implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Channel
from countermand.domain.redirects import Redirects
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


class Clients(Protocol):
    """The clients, as `identity/authentication.py` and `countermand client` need them."""

    async def by_key(self, key: str) -> tuple[Client, str] | None:
        """The client with this key, and its secret's SHA-256 (hexadecimal). Revoked ones, too."""
        ...

    async def by_identity(self, issuer: str, subject: str) -> Client | None:
        """The client whose tokens come from `issuer` and name `subject`. Revoked ones, too."""
        ...

    async def current(self, ids: Sequence[ClientId]) -> Sequence[tuple[Client, str | None]]:
        """These clients as they are now, with their secrets' hashes, in one query."""
        ...


class ClientAdministration(Protocol):
    """The clients, as the operator changes them."""

    async def all(self) -> Sequence[Client]:
        """Every client, revoked ones included, in the order they were added."""
        ...

    async def add(
        self,
        *,
        channel: Channel,
        name: str,
        permissions: frozenset[Permission],
        key: str | None,
        secret_sha256: str | None,
        identity: tuple[str, str] | None,
        now: datetime,
        redirects: Redirects = ...,
    ) -> Client:
        """Add a client with a key and the hash of its secret, or with an identity. Raises `ConflictError`."""
        ...

    async def rotate(self, client_id: ClientId, *, key: str, secret_sha256: str) -> Client:
        """Give a client a new key and secret. Raises `NotFoundError`."""
        ...

    async def one(self, client_id: ClientId) -> Client:
        """The client with this number. Raises `NotFoundError`."""
        ...

    async def change_redirects(self, client_id: ClientId, redirects: Redirects) -> Client:
        """Set where a client's buyers may be led back to. Raises `NotFoundError`."""
        ...

    async def revoke(self, client_id: ClientId, now: datetime) -> Client:
        """Let a client call no more. Raises `NotFoundError`."""
        ...

"""Protocols that the token issuer needs, and `storage` implements."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Channel
from countermand.domain.redirects import Redirects
from countermand.domain.signing_key import SigningKey

Identity = tuple[str, str]  # the issuer of a client's tokens, and the claim that names the client


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientKey:
    """A public key that verifies a client's assertions: its id, and the key as a JWK (JSON)."""

    kid: str
    public_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretHashes:
    """The SHA-256 (hexadecimal) of a client's secret and, after a rotation with an overlap, of the secret before."""

    current: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None

    def working(self, now_s: float) -> Sequence[str]:
        """Return the hashes of the secrets that work at an instant, in seconds since 1970."""
        if self.previous is None or self.previous_until is None or self.previous_until.timestamp() <= now_s:
            return (self.current,)
        return (self.current, self.previous)


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
    """The clients, as `identity/client_directory.py` needs them. Revoked clients are among them."""

    async def named(self, names: Collection[str | Identity]) -> Sequence[tuple[Client, SecretHashes | None]]:
        """The clients with these keys or identities, with the hashes of their secrets, in one query.

        An identity is the issuer of a client's tokens, and how these name the client.
        """
        ...

    async def current(self, ids: Sequence[ClientId]) -> Sequence[tuple[Client, SecretHashes | None]]:
        """These clients as they are now, with the hashes of their secrets, in one query."""
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
        client_key: ClientKey | None = ...,
    ) -> Client:
        """Add a client with a key and the hash of its secret, or with an identity and perhaps a public key.

        Raises `ConflictError`.
        """
        ...

    async def rotate(
        self, client_id: ClientId, *, secret_sha256: str, now: datetime, overlap: timedelta | None
    ) -> Client:
        """Give a client a new secret; it stays the same client, with its key and its orders.

        The secret that it had works until the end of the overlap; without an overlap, every older secret stops. While
        the secret from before a rotation works, only `overlap` None replaces the newest secret and keeps that one until
        its end. Raises `NotFoundError`, and `ConflictError` with `client_revoked`, `client_without_secret`,
        `secret_overlap`, or `no_secret_overlap`.
        """
        ...

    async def rotate_key(self, client_id: ClientId, new: ClientKey, now: datetime, *, keep_old: bool) -> Client:
        """Give a client of the token issuer a new public key. Raises `NotFoundError`, `ConflictError`."""
        ...

    async def one(self, client_id: ClientId) -> Client:
        """The client with this number. Raises `NotFoundError`."""
        ...

    async def change(
        self, client_id: ClientId, *, name: str | None, permissions: frozenset[Permission] | None
    ) -> Client:
        """Change a client's name, its permissions, or both; None changes nothing. Raises `NotFoundError`."""
        ...

    async def change_redirects(self, client_id: ClientId, redirects: Redirects) -> Client:
        """Set where a client's buyers may be led back to. Raises `NotFoundError`."""
        ...

    async def revoke(self, client_id: ClientId, now: datetime) -> Client:
        """Let a client call no more. Raises `NotFoundError`."""
        ...

    async def restore(self, client_id: ClientId) -> Client:
        """Let a revoked client call again, with its newest credential. Raises `NotFoundError`."""
        ...

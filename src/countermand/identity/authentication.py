"""Finds the client behind a request's credential, and refuses clients that are revoked.

Verified tokens are remembered by their hash, so that a client's next request costs only a look-up and a check of `exp`.
`client_directory.py` remembers the clients.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, TypeGuard, TypeVar

from joserfc import jwt
from joserfc.jwk import RSAKey

from countermand.actions.errors import NotAuthenticatedError
from countermand.actions.identity.ports import Identity
from countermand.actions.identity.secrets import hash_of
from countermand.actions.identity.staff import STAFF_TOKEN
from countermand.contracts.http.answer import ForbiddenError
from countermand.contracts.http.cancel_endpoint import BasicKey, BearerToken, Credential
from countermand.contracts.http.contract import Access
from countermand.contracts.http.contract import Authentication as Way
from countermand.domain.client import BROWSER_PERMISSIONS, Client, ClientId, Permission
from countermand.domain.contract import MANAGE, PARTNER, Channel
from countermand.domain.instants import CLOCK_LEEWAY_S
from countermand.domain.staff_id import StaffId
from countermand.identity.browser_tokens import key_named_in, verified
from countermand.identity.client_directory import Directory, make_room
from countermand.identity.key_sets import KeyRing
from countermand.identity.staff_directory import StaffDirectory
from countermand.identity.unverified_jwt import UNREADABLE, unverified

Known = TypeVar("Known")

_REMEMBERED_CAP: Final = 10_000
_LONGEST_TOKEN: Final = 8 * 1024
_LONGEST_KEY: Final = 64  # the width of the column

_ACCESS_TOKEN: Final = frozenset({"at+jwt", "application/at+jwt"})

# Within a channel, each type of credential belongs to one way to authenticate.
_CREDENTIAL_OF: Final[Mapping[Way, type[Credential]]] = {
    Way.ACCESS_TOKEN: BearerToken,
    Way.KEY_AND_SECRET: BasicKey,
    Way.KEY_SECRET_TOKEN: BearerToken,
    Way.BROWSER_TOKEN: BearerToken,
}

# The ways of contracts by which a partner calls the partners' API. A browser application's token is none of them.
_OF_PARTNERS: Final = (Way.ACCESS_TOKEN, Way.KEY_AND_SECRET)


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted. Its `claim` names the client.

    If `audience` is set, the token's audiences must include it. Clients are registered under `known_as`, which is the
    issuer's name, except for the service's own token issuer, because that issuer's address may change.
    """

    name: str
    keys: KeyRing
    claim: str = "clientId"
    audience: str | None = None
    known_as: str | None = None


class Tokens:
    """Verifies RS256 access tokens of the form on the published page. `now_s` returns seconds since 1970."""

    def __init__(self, issuers: Mapping[str, Issuer], now_s: Callable[[], float] = time.time) -> None:
        self._issuers = issuers
        self._now_s = now_s
        self._remembered: dict[bytes, tuple[float, Identity]] = {}
        self._changes = 0

    def known(self, token: str) -> Identity | None:
        """Return the (issuer, claim) of a token that was verified before and is still valid; None for all others."""
        self._forget_if_keys_changed()
        expires_at_s, identity = self._remembered.get(_digest(token), (float("-inf"), None))
        return identity if expires_at_s > self._now_s() - CLOCK_LEEWAY_S else None

    async def identity(self, token: str) -> Identity:
        """Return the (issuer, claim) of a valid token. Raises `NotAuthenticatedError` or `KeySetUnavailableError`."""
        self._forget_if_keys_changed()
        if len(token) > _LONGEST_TOKEN:
            raise _token_refused("the bearer token is too long")
        digest = _digest(token)
        remembered = self._remembered.get(digest)
        if remembered is None:
            remembered = await self._verified(token)
            make_room(self._remembered, _REMEMBERED_CAP)
            self._remembered[digest] = remembered
        expires_at_s, identity = remembered
        if expires_at_s <= self._now_s() - CLOCK_LEEWAY_S:
            self._remembered.pop(digest, None)
            ago_s = ceil(self._now_s() - expires_at_s)
            said = f"exp passed {ago_s} s ago by the clock of this server"
            raise _token_refused(f"the bearer token has expired: {said}")
        return identity

    def _forget_if_keys_changed(self) -> None:
        changes = sum(issuer.keys.changes for issuer in self._issuers.values())
        if changes != self._changes:  # a key was added or removed, so all tokens are verified again
            self._remembered.clear()
            self._changes = changes

    async def refresh(self) -> None:
        """Read every issuer's key set again."""
        await asyncio.gather(*(issuer.keys.refresh() for issuer in self._issuers.values()))

    async def _verified(self, token: str) -> tuple[float, Identity]:
        invalid = _token_refused("the bearer token is not valid")
        header, claims = unverified(token) or ({}, {})
        named = claims.get("iss")
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        kid = header.get("kid")
        if issuer is None or header.get("alg") != "RS256" or not isinstance(kid, str):
            raise invalid
        key = await issuer.keys.key(kid)
        if key is None:
            raise invalid
        claims = _decoded(token, key)
        if not _is_access_token(header, claims):
            raise _token_refused("the bearer token is no access token")
        return self._checked(issuer, claims)

    def _checked(self, issuer: Issuer, claims: Mapping[str, object]) -> tuple[float, Identity]:
        expires_at_s, not_before_s = claims.get("exp"), claims.get("nbf", 0)
        subject, audience = claims.get(issuer.claim), claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not (_is_instant(expires_at_s) and _is_instant(not_before_s)):
            raise _token_refused("the bearer token has no valid exp or nbf")
        ahead_s = not_before_s - self._now_s()
        if ahead_s > CLOCK_LEEWAY_S:
            said = f"nbf is {ceil(ahead_s)} s in the future by the clock of this server"
            raise _token_refused(f"the bearer token is not valid yet: {said}")
        if claims.get("iss") != issuer.name:
            raise _token_refused("the bearer token is not of this issuer")
        if issuer.audience is not None and issuer.audience not in audiences:
            raise _token_refused("the bearer token is for another audience")
        if not isinstance(subject, str) or not subject:
            raise _token_refused(f"the bearer token has no {issuer.claim}")
        return float(expires_at_s), (issuer.known_as or issuer.name, subject)


class Authentication:
    """Implements `Authenticator`. `accesses` says how the clients of each channel authenticate.

    Over the partners' API, a client of every contract calls with the credential that it has for its contract.

    `note_use` is called with each client that was let in. It must be quick, because a request waits for it.

    Raises `ValueError` if two ways of one channel use the same type of credential.
    """

    def __init__(
        self,
        tokens: Tokens,
        directory: Directory,
        staff: StaffDirectory,
        accesses: Iterable[Access],
        now_s: Callable[[], float] = time.time,
        note_use: Callable[[ClientId], object] = lambda _: None,
    ) -> None:
        self._ways: dict[tuple[Channel, type[Credential]], Way] = {}
        self._let_in: dict[tuple[Channel, type[Credential]], set[Channel]] = {}  # the channels of the clients
        for access in accesses:
            for way in access.authentication:
                known = self._ways.setdefault((access.channel, _CREDENTIAL_OF[way]), way)
                if known is not way:
                    raise ValueError(f"{access.channel} has two ways to authenticate that take one type of credential")
                self._let_in.setdefault((access.channel, _CREDENTIAL_OF[way]), set()).add(access.channel)
                if way in _OF_PARTNERS and access.channel != MANAGE:
                    self._ways[PARTNER, _CREDENTIAL_OF[way]] = way
                    self._let_in.setdefault((PARTNER, _CREDENTIAL_OF[way]), set()).add(access.channel)
        self.tokens = tokens
        self._directory = directory
        self._staff = staff
        self._now_s = now_s
        self._note_use = note_use

    def known_client(self, channel: Channel, credential: Credential) -> Client | None:
        """Return the client that `client` would return, if that is known without waiting; otherwise None.

        A client that calls with the secret from before a rotation, from a browser, or as a person is not known.
        """
        asked = channel, type(credential)
        way, client = self._ways.get(asked), None
        if way is Way.ACCESS_TOKEN and isinstance(credential, BearerToken):
            identity = self.tokens.known(credential.token)
            client = None if identity is None else self._directory.known_by_identity(identity)
        elif way is Way.KEY_AND_SECRET and isinstance(credential, BasicKey):
            found = self._directory.known_by_key(credential.key)
            if found is not None and hmac.compare_digest(hash_of(credential.secret), found[1].current):
                client = found[0]
        if client is None or client.channel not in self._let_in[asked] or client.revoked_at is not None:
            return None
        self._note_use(client.id)
        return client

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """See `Authenticator.client`."""
        asked = channel, type(credential)
        match self._ways.get(asked), credential:
            case Way.ACCESS_TOKEN, BearerToken(token):
                client = await self._directory.by_identity(await self.tokens.identity(token))
            case Way.KEY_AND_SECRET, BasicKey(key, secret):
                client = await self._with_secret(key, secret)
            case Way.BROWSER_TOKEN, BearerToken(token):
                client = await self._in_browser(token)
            case Way.KEY_SECRET_TOKEN, BearerToken(token) if token.startswith(STAFF_TOKEN):
                client = await self._with_person(token.removeprefix(STAFF_TOKEN))
            case Way.KEY_SECRET_TOKEN, BearerToken(token):
                key, _, secret = token.partition(".")
                client = await self._with_secret(key, secret)
            case _:
                client = None
        if client is None or client.channel not in self._let_in[asked] or client.revoked_at is not None:
            raise NotAuthenticatedError("the credentials are not valid", scheme=credential.scheme, refused=True)
        self._note_use(client.id)
        return client

    async def acting_as(self, client: Client, given: str) -> StaffId:
        """See `Authenticator.acting_as`."""
        if not client.may(Permission.ACT_AS):
            raise ForbiddenError(f"the permission {Permission.ACT_AS} is needed for the header Acting-As")
        return await self._staff.person(given)

    async def _with_person(self, token: str) -> Client | None:
        """Return the client of a person's token, with the permissions of the person's roles."""
        key, _, secret = token.partition(".")
        login = await self._staff.login(key) if _can_be_key(key) else None
        if login is None or not login.counts or not hmac.compare_digest(hash_of(secret), login.secret_sha256):
            return None
        return replace(login.client, permissions=login.staff.permissions, staff_id=login.staff.id)

    async def _in_browser(self, token: str) -> Client | None:
        """Return the client of a browser application's token, with only the permissions of a browser application."""
        key = key_named_in(token)
        if key is None:
            return None
        now_s = self._now_s()
        found = await self._with_hash(key, lambda one: verified(token, one, now_s))
        if found is None:
            return None
        client, claims = found
        may = client.permissions & BROWSER_PERMISSIONS
        return replace(client, permissions=may, in_browser=True, only_event=claims.get("event"))

    async def _with_secret(self, key: str, secret: str) -> Client | None:
        given = hash_of(secret)
        found = await self._with_hash(key, lambda one: hmac.compare_digest(given, one) or None)
        return None if found is None else found[0]

    async def _with_hash(self, key: str, proves: Callable[[str], Known | None]) -> tuple[Client, Known] | None:
        """Return the client with this key, and what `proves` returns for a hash of a secret of it that works now.

        If none of the remembered hashes fits, the secret may be newer: the client is read again.
        """
        if not _can_be_key(key):
            return None
        for read in (self._directory.by_key, self._directory.by_key_again):
            known = await read(key)
            if known is None:
                return None
            client, hashes = known
            for one in hashes.working(self._now_s()):
                if (proof := proves(one)) is not None:
                    return client, proof
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _token_refused(why: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(why, scheme=BearerToken.scheme, refused=True)


def _can_be_key(given: str) -> bool:
    """Return whether the text can be a key. A database would refuse a NUL and a lone surrogate."""
    return len(given) <= _LONGEST_KEY and given.isascii() and given.isprintable()


def _decoded(token: str, key: RSAKey) -> Mapping[str, object]:
    try:
        return jwt.decode(token, key, algorithms=["RS256"]).claims
    except UNREADABLE as error:
        raise _token_refused("the bearer token is not valid") from error


def _is_access_token(header: Mapping[str, object], claims: Mapping[str, object]) -> bool:
    """Keycloak says so in the claim `typ`, as on the published page; others in the header (RFC 9068, section 2.1)."""
    if "typ" in claims:
        return bool(claims["typ"] == "Bearer")
    return isinstance(kind := header.get("typ"), str) and kind.lower() in _ACCESS_TOKEN


def _is_instant(value: object) -> TypeGuard[float]:
    """Whether a claim can be seconds since 1970."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53

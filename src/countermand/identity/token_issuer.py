"""The token issuer: verifies clients' assertions and issues access tokens in exchange.

Every node reads the signing keys from the database every few seconds. No request for a token waits for that.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from joserfc import jwt
from joserfc.jwk import RSAKey

from countermand.actions.errors import NotAuthenticatedError, UnavailableError
from countermand.actions.identity.exchange_assertion import read_claims, use_once
from countermand.actions.identity.ports import ClientKey, ClientKeys, SigningKeys, UsedAssertions
from countermand.actions.ports import Clock
from countermand.contracts.connect.tokens import Issued, TokenRequest, realm_path, token_path
from countermand.domain.client import OWN_CLIENT_ID_PATTERN, OWN_ISSUER, Client
from countermand.domain.signing_key import TOKEN_LIFE, SigningKey, signer
from countermand.identity.authentication import Issuer
from countermand.identity.key_sets import KeyRing, Source
from countermand.identity.unverified_jwt import UNREADABLE, unverified

log = structlog.get_logger()

_LOOK_AGAIN_S: Final = 0.1  # the least time between reads of the keys that tokens with an unknown `kid` cause
_LONGEST_ASSERTION: Final = 8 * 1024
_KEY_BITS: Final = 2048
_KEYS_TRIED: Final = 2  # a rotation leaves a client its newest key and, at most, the one before
_CLIENT_ID: Final = re.compile(OWN_CLIENT_ID_PATTERN)
_KID: Final = re.compile("[!-~]{1,64}")


class TokenIssuer:
    """Implements `TokenEndpoint`. `public_url` is the clients' address, without a trailing slash; `also` are others.

    An assertion may be for each of `audiences`; `issuers` are the names under which the issuer is known.
    """

    def __init__(
        self,
        *,
        public_url: str,
        realm: str,
        signing_keys: SigningKeys,
        client_keys: ClientKeys,
        used: UsedAssertions,
        clock: Clock,
        also: Sequence[str] = (),
    ) -> None:
        self.realm = realm
        self.issuer = f"{public_url}{realm_path(realm)}"
        self.token_url = f"{public_url}{token_path(realm)}"
        self.issuers = tuple(f"{address}{realm_path(realm)}" for address in (public_url, *also))
        token_urls = [f"{address}{token_path(realm)}" for address in (public_url, *also)]
        self.audiences = (self.token_url, self.issuer, *token_urls[1:], *self.issuers[1:])
        self.key_set_url = f"{self.issuer}/protocol/openid-connect/certs"
        self._signing_keys, self._client_keys, self._used = signing_keys, client_keys, used
        self._clock = clock
        self._keys: Mapping[str, tuple[SigningKey, RSAKey]] = {}
        source = Source("the database", self._read)
        self.key_ring = KeyRing(source, look_again_s=_LOOK_AGAIN_S, waits=True)

    @property
    def as_issuer(self) -> Issuer:
        """The data that verifies this issuer's own tokens."""
        return Issuer(name=self.issuer, keys=self.key_ring, known_as=OWN_ISSUER)

    async def open(self) -> None:
        """Read the keys, and make the first key if there is none. No client waits yet, as making a key is slow."""
        if not any(key.counts_at(self._clock()) for key in await self._signing_keys.all()):
            kid, private_key = await asyncio.to_thread(new_key)
            await self._signing_keys.add_first(kid, private_key, self._clock())
        await self.key_ring.refresh()

    async def published(self) -> bytes:
        """See `TokenEndpoint.published`."""
        return await self.key_ring.content()

    async def token(self, request: TokenRequest) -> Issued:
        """See `TokenEndpoint.token`."""
        now = self._clock()
        self._signer(now)  # raises before the assertion is used up
        client = await self._who_asks(request, now)
        return Issued(
            access_token=self.access_token(client, now, peer=request.peer), expires_in_s=int(TOKEN_LIFE.total_seconds())
        )

    def access_token(
        self, client: Client, issued_at: datetime, *, peer: str = "127.0.0.1", life: timedelta = TOKEN_LIFE
    ) -> str:
        """Return an access token with exactly the claims of the published page's token.

        `client` is a client of this issuer. Raises `UnavailableError` if no key can sign.
        """
        signing, key = self._signer(issued_at)
        (_, name), issued_at_s, session = client.identity or ("", ""), int(issued_at.timestamp()), str(uuid.uuid4())
        claims = {
            "exp": issued_at_s + int(life.total_seconds()),
            "iat": issued_at_s,
            "auth_time": 0,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.issuer}/{name}")),
            "typ": "Bearer",
            "azp": name,
            "session_state": session,
            "acr": "1",
            "scope": "",
            "sid": session,
            "clientId": name,
            "clientHost": peer,
            "userId": str(client.id),
            "clientAddress": peer,
            "apps": name,
        }
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": signing.kid}, claims, key, algorithms=["RS256"])

    async def _who_asks(self, request: TokenRequest, now: datetime) -> Client:
        """Verify the assertion, use it up, and return its client. Raises `NotAuthenticatedError`."""
        read = unverified(request.assertion) if len(request.assertion) <= _LONGEST_ASSERTION else None
        if read is None:
            raise NotAuthenticatedError("client_assertion is no signed JWT")
        header, claims = read
        kid = header.get("kid")
        if header.get("alg") != "RS256":
            raise NotAuthenticatedError("client_assertion: alg must be RS256")
        if "kid" in header and not isinstance(kid, str):
            raise NotAuthenticatedError("client_assertion: kid must be a string, or left out")
        assertion = read_claims(claims, self.audiences, now)
        if request.client_id not in {None, assertion.client}:
            raise NotAuthenticatedError("client_id must be the iss of client_assertion")
        found = None
        named = kid if isinstance(kid, str) else None
        if _CLIENT_ID.fullmatch(assertion.client) and (named is None or _KID.fullmatch(named)):
            found = await self._client_keys.live(assertion.client, named)
        client, keys = found or (None, ())
        is_signed = _is_signed_by_one_of(request.assertion, keys, spare=self._signer(now)[1])
        if client is None or not is_signed:
            raise NotAuthenticatedError("client_assertion: the client, its kid or the signature is not right")
        await use_once(self._used, client.id, assertion)
        return client

    def _signer(self, now: datetime) -> tuple[SigningKey, RSAKey]:
        signing = signer((key for key, _ in self._keys.values()), now)
        if signing is None:
            raise UnavailableError("there is no key to sign tokens with right now")
        return self._keys[signing.kid]

    async def _read(self) -> bytes:
        """Return the key set as it is published, and take over the private keys meanwhile."""
        now = self._clock()
        counting = [key for key in await self._signing_keys.all() if key.counts_at(now)]
        read = {
            key.kid: (key, self._keys[key.kid][1] if key.kid in self._keys else _imported(key.kid, key.private_key))
            for key in counting
        }
        self._keys = {kid: (key, imported) for kid, (key, imported) in read.items() if imported is not None}
        published = [_published(kid, key) for kid, (_, key) in self._keys.items()]
        return json.dumps({"keys": published}).encode()


def new_key() -> tuple[str, str]:
    """Return a new RSA key: its id (the thumbprint, RFC 7638) and the private JWK. This takes a tenth of a second."""
    key = RSAKey.generate_key(_KEY_BITS)
    return key.thumbprint(), json.dumps(key.as_dict(private=True))


def _imported(kid: str, written: str) -> RSAKey | None:
    """Read a key from its JWK; return None for a kind that this version does not know: other keys still count."""
    try:
        return RSAKey.import_key(json.loads(written))
    except UNREADABLE as error:
        log.warning("a key of a kind that is not known here is left out", kid=kid, error=str(error))
        return None


def _published(kid: str, key: RSAKey) -> dict[str, str]:
    return public_part(key) | {"kid": kid, "use": "sig", "alg": "RS256"}


def public_part(key: RSAKey) -> dict[str, str]:
    """Return a key's public part as a JWK, without its id and use."""
    members = key.as_dict(private=False)
    return {name: str(members[name]) for name in ("kty", "n", "e")}


def _is_signed_by_one_of(token: str, keys: Sequence[ClientKey], *, spare: RSAKey) -> bool:
    """Return whether one of a client's keys signed a token.

    The same number of keys is read and tried for every caller, so that the time of an answer does not tell who is a
    client. `spare` takes the place of each missing key.
    """
    nobodys = ClientKey(kid="", public_key=json.dumps(public_part(spare)))
    tried = [*keys[:_KEYS_TRIED], *[nobodys] * (_KEYS_TRIED - len(keys))]
    is_signed = False
    for key in tried:
        imported = _imported(key.kid, key.public_key)
        fits = _is_signed_by(token, imported or spare)
        is_signed |= fits and imported is not None and key is not nobodys
    return is_signed


def _is_signed_by(token: str, key: RSAKey) -> bool:
    try:
        jwt.decode(token, key, algorithms=["RS256"])
    except UNREADABLE:
        return False
    return True

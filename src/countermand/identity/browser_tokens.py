"""Makes and checks the tokens of browser applications: JWTs that every visitor of a shop's page can read.

A token has few permissions. It is signed with the stored hash of its client's secret. So it counts until the client is
revoked, or rotated and the rotation's overlap is over. Nothing of it has to be stored, and a reader of the database
could make only such tokens as the page already shows.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OctKey

from countermand.domain.client import Client
from countermand.domain.instants import CLOCK_LEEWAY_S
from countermand.identity.unverified_jwt import UNREADABLE, unverified

_ALGORITHM: Final = "HS256"
_TYPE: Final = "Browser"
_LONGEST_TOKEN: Final = 4 * 1024


def browser_token(client: Client, secret_sha256: str, *, event_uid: str | None, now: datetime, life: timedelta) -> str:
    """Make a token for a client with a key, for one event or for all events."""
    issued_at_s = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": "countermand",
        "sub": client.key,
        "typ": _TYPE,
        "iat": issued_at_s,
        "exp": issued_at_s + int(life.total_seconds()),
    }
    if event_uid is not None:
        claims["event"] = event_uid
    return jwt.encode({"alg": _ALGORITHM, "typ": "JWT"}, claims, OctKey.import_key(secret_sha256), [_ALGORITHM])


def key_named_in(token: str) -> str | None:
    """Return the client's key that a token names, without verifying the token."""
    read = unverified(token) if len(token) <= _LONGEST_TOKEN else None
    if read is None:
        return None
    header, claims = read
    key = claims.get("sub")
    return key if header.get("alg") == _ALGORITHM and isinstance(key, str) else None


def verified(token: str, secret_sha256: str, now_s: float) -> Mapping[str, Any] | None:
    """Return the claims of a token that is signed with the client's secret and has not expired; else None."""
    try:
        claims = jwt.decode(token, OctKey.import_key(secret_sha256), algorithms=[_ALGORITHM]).claims
    except UNREADABLE:
        return None
    expires_at_s = claims.get("exp")
    if not isinstance(expires_at_s, int) or isinstance(expires_at_s, bool):
        return None
    return claims if expires_at_s > now_s - CLOCK_LEEWAY_S and claims.get("typ") == _TYPE else None

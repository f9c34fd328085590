"""Checks that a client's assertion may be exchanged for an access token: each of its claims, and that it is used once.

The checks follow RFC 7523, section 3, with the lifetime of the published page's sample. The module that has the keys
checks the signature. Messages name the claim and may repeat the client's own values, but never say whether a client
exists.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Final, TypeGuard

from countermand.actions.errors import NotAuthenticatedError, OutcomeUnknownError, UnavailableError
from countermand.actions.identity.ports import UsedAssertions
from countermand.domain.client import ClientId
from countermand.domain.instants import CLOCK_LEEWAY_S

LONGEST_LIFE_S: Final = 30_000  # `exp` - `nbf` of the published page's sample
_LONGEST_JTI: Final = 255
_SHOWN_CAP: Final = 60
_AUDIENCES_SAID: Final = 2  # the endpoint and the issuer; the other audiences are their other names
_INSTANTS: Final = 1 << 53  # seconds since 1970 that every JSON reader holds exactly


@dataclass(frozen=True, kw_only=True, slots=True)
class Assertion:
    """A client's statement of who it is. It may be used once, until `expires_at_s` (seconds since 1970)."""

    client: str
    jti: str = field(repr=False)
    expires_at_s: float


def read_claims(claims: Mapping[str, object], audiences: Sequence[str], now: datetime) -> Assertion:
    """Check the claims of an assertion. Raises `NotAuthenticatedError` with the first claim that is wrong."""
    client, expires_at_s = claims.get("iss"), claims.get("exp")
    if not isinstance(client, str) or not client:
        raise _wrong("iss must be the client's id")
    if claims.get("sub") != client:
        raise _wrong("sub must be the same as iss")
    _check_audience(claims.get("aud"), audiences)
    if not _is_instant(expires_at_s):
        raise _wrong("exp must be there, in seconds since 1970")
    now_s = now.timestamp()
    if expires_at_s <= now_s - CLOCK_LEEWAY_S:
        raise _wrong(f"exp passed {_apart(now_s, expires_at_s)} ago by the clock of this server")
    _check_life(claims, expires_at_s, now_s)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
        raise _wrong(f"jti must be a string of 1 to {_LONGEST_JTI} characters")
    return Assertion(client=client, jti=jti, expires_at_s=expires_at_s)


async def use_once(used: UsedAssertions, client_id: ClientId, assertion: Assertion) -> None:
    """Mark an assertion as used. Raises `NotAuthenticatedError` if it was used before, and `UnavailableError`."""
    jti_sha256 = hashlib.sha256(assertion.jti.encode("utf-8", "surrogatepass")).hexdigest()
    expires_at = datetime.fromtimestamp(ceil(assertion.expires_at_s), UTC)
    try:
        is_first = await used.use(client_id, jti_sha256, expires_at)
    except OutcomeUnknownError as error:  # no token is issued for it, so only the assertion is lost
        raise UnavailableError("the assertion may be used up: ask again with a new one") from error
    if not is_first:
        raise _wrong("jti was used before")


def _check_audience(given: object, audiences: Sequence[str]) -> None:
    named = given if isinstance(given, list) else [given]
    if not any(one in audiences for one in named if isinstance(one, str)):
        said = f", not {given[:_SHOWN_CAP]}" if isinstance(given, str) else ""
        raise _wrong(f"aud must be {' or '.join(audiences[:_AUDIENCES_SAID])}{said}")


def _check_life(claims: Mapping[str, object], expires_at_s: float, now_s: float) -> None:
    """Check the lifetime, which begins at `nbf`, else at `iat`, else now on the client's clock, and must have begun."""
    name = next((one for one in ("nbf", "iat") if one in claims), None)
    begins_at_s = now_s + CLOCK_LEEWAY_S if name is None else claims[name]
    if not _is_instant(begins_at_s):
        raise _wrong(f"{name} must be in seconds since 1970")
    if begins_at_s > now_s + CLOCK_LEEWAY_S:
        raise _wrong(f"{name} is {_apart(begins_at_s, now_s)} in the future by the clock of this server")
    if expires_at_s - begins_at_s > LONGEST_LIFE_S:
        lives = _apart(expires_at_s, begins_at_s if name is not None else now_s)
        raise _wrong(f"exp is {lives} after {name or 'now'}; it may be {LONGEST_LIFE_S} s after it at most")


def _apart(later_s: float, earlier_s: float) -> str:
    """The seconds between two instants, rounded up: 30.001 s must not read like the 30 s that are let pass."""
    return f"{ceil(later_s - earlier_s)} s"


def _wrong(what: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(f"client_assertion: {what}")


def _is_instant(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _INSTANTS

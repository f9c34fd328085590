"""Signs events, and checks signatures, as Standard Webhooks 1.0.0 says.

The signed text is `{id}.{timestamp}.{body}`. Every valid secret of an endpoint makes a signature `v1` (HMAC-SHA256),
and its signing key, if it has one, makes a signature `v1a` (ed25519). A receiver accepts any one that fits.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
SECRET: Final = "whsec_"  # noqa: S105 - what secrets begin with
SIGNING_KEY: Final = "whsk_"
PUBLIC_KEY: Final = "whpk_"
TOLERANCE_S: Final = 300
_SECRET_BYTES: Final = 32
_SHORTEST, _LONGEST = 24, 64
_SEED_BYTES: Final = 32
_KEPT_KEYS: Final = 256
_SECONDS: Final = re.compile("[0-9]{1,12}")


def new_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in standard base64."""
    return SECRET + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_signing_key() -> str:
    """Return a new ed25519 key: `whsk_` and the base64 of its seed and its public part, 64 bytes."""
    key = Ed25519PrivateKey.generate()
    return SIGNING_KEY + base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()


def public_key_of(signing_key: str) -> str:
    """Return the public part of a signing key: `whpk_` and base64. Raises `ValueError`."""
    public = _private_key(signing_key).public_key().public_bytes_raw()
    return PUBLIC_KEY + base64.b64encode(public).decode()


def sign(
    endpoint_secrets: Iterable[str], event_id: str, timestamp_s: int, body: bytes, signing_key: str | None = None
) -> str:
    """Return the header `webhook-signature`. Raises `ValueError` for a secret or key that is none."""
    text = _signed_text(event_id, str(timestamp_s), body)
    signatures = [f"v1,{_hmac(secret_bytes(one), text)}" for one in endpoint_secrets]
    if signing_key is not None:
        signatures.append(f"v1a,{base64.b64encode(_private_key(signing_key).sign(text)).decode()}")
    return " ".join(signatures)


@lru_cache(maxsize=4096)
def secret_bytes(secret: str) -> bytes:
    """Return the 24 to 64 bytes of a secret. Raises `ValueError`, whose sentence does not repeat the secret."""
    found = _bytes_of(secret, SECRET)
    if not _SHORTEST <= len(found) <= _LONGEST:
        raise ValueError(f"must have {_SHORTEST} to {_LONGEST} bytes after {SECRET}, and has {len(found)}")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRequest:
    """What a receiver got. The texts are those of the headers."""

    id: str
    timestamp: str
    signature: str
    body: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes) -> "SignedRequest":
        """Read the headers, whose names are in small letters. Raises `ValueError` for a missing one."""
        missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name)]
        if missing:
            raise ValueError(f"the request has no header {', '.join(missing)}")
        return cls(id=headers[ID], timestamp=headers[TIMESTAMP], signature=headers[SIGNATURE], body=body)


def why_unfit(
    request: SignedRequest,
    *,
    endpoint_secrets: Sequence[str] = (),
    public_keys: Sequence[str] = (),
    now_s: float | None,
) -> str | None:
    """Return None for a request that one of the secrets or keys signed, or a sentence that names what does not fit.

    Without `now_s` the age does not matter. Raises `ValueError` for a secret or key that is none.
    """
    text = _signed_text(request.id, request.timestamp, request.body)
    shared = [_hmac(secret_bytes(one), text).encode() for one in endpoint_secrets]
    public = [_public_key(one) for one in public_keys]
    versions = [version for version, given in (("v1", shared), ("v1a", public)) if given]
    if "." in request.id:
        return f"{ID} has a full stop, so that the signed text would be ambiguous"
    if not _SECONDS.fullmatch(request.timestamp):
        return f"{TIMESTAMP} is not a whole number of seconds: {request.timestamp[:40]!r}"
    sent_s = int(request.timestamp)
    if now_s is not None and abs(now_s - sent_s) > TOLERANCE_S:
        when = "old" if sent_s < now_s else "in the future"
        return f"{TIMESTAMP} is {abs(now_s - sent_s):.0f} s {when}; up to {TOLERANCE_S} s are allowed"
    given = [one.partition(",") for one in request.signature.split()]
    if not any(version in versions for version, _, _ in given):
        return f"{SIGNATURE} has no signature {' or '.join(versions)}"
    if any(_fits(version, signature, shared, public, text) for version, _, signature in given):
        return None
    return f"{SIGNATURE} does not fit: the body was changed, or the secret or key is another one"


def _fits(
    version: str, signature: str, shared: Sequence[bytes], public: Sequence[Ed25519PublicKey], text: bytes
) -> bool:
    given = signature.encode()
    if version == "v1":
        return sum(hmac.compare_digest(given, expected) for expected in shared) > 0  # every one is compared
    return version == "v1a" and any(_is_signed_by(key, given, text) for key in public)


def _is_signed_by(key: Ed25519PublicKey, given: bytes, text: bytes) -> bool:
    try:
        key.verify(base64.b64decode(given, validate=True), text)
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _signed_text(event_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{event_id}.{timestamp}.".encode() + body


def _hmac(secret: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, text, hashlib.sha256)).decode()


@lru_cache(maxsize=_KEPT_KEYS)
def _private_key(signing_key: str) -> Ed25519PrivateKey:
    both = _bytes_of(signing_key, SIGNING_KEY)
    key = Ed25519PrivateKey.from_private_bytes(both[:_SEED_BYTES]) if len(both) == 2 * _SEED_BYTES else None
    if key is None or key.public_key().public_bytes_raw() != both[_SEED_BYTES:]:
        raise ValueError(f"must have an ed25519 key of 64 bytes after {SIGNING_KEY}")
    return key


def _public_key(text: str) -> Ed25519PublicKey:
    found = _bytes_of(text, PUBLIC_KEY)
    if len(found) != _SEED_BYTES:
        raise ValueError(f"must have {_SEED_BYTES} bytes after {PUBLIC_KEY}, and has {len(found)}")
    return Ed25519PublicKey.from_public_bytes(found)


def _bytes_of(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"must begin with {prefix}")
    try:
        return base64.b64decode(text.removeprefix(prefix), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"must have standard base64 after {prefix}") from None

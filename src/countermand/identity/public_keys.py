"""Reads a partner's public key: PEM text, or a JWK."""

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey

from countermand.actions.identity.ports import ClientKey
from countermand.identity.token_issuer import public_part

_LEAST_BITS: Final = 2048
_KID: Final = re.compile("[!-~]{1,64}")
_ACCEPTED: Final = "must be a public RSA key: PEM text, or a JWK with kty, n and e; the partner keeps the private key"


def public_key_of(written: str | bytes | Mapping[str, object]) -> ClientKey:
    """Return a public key, with the `kid` of its JWK or a `kid` made from the key.

    Raises `ValueError` with a sentence whose subject, the place of the key, is missing. The sentence shows nothing of
    what was given, which may be a private key, and nothing of the library's own words.
    """
    if isinstance(written, bytes):
        written = written.decode("latin-1")
    try:
        given: Any = json.loads(written) if isinstance(written, str) and written.lstrip().startswith("{") else written
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # a key that is too short is refused below
            key = RSAKey.import_key(given)
    except Exception:  # noqa: BLE001 - the libraries below have no common error for a text that is no key
        raise ValueError(_ACCEPTED) from None
    if key.is_private:
        raise ValueError("has a private key, which the partner must keep; ask for a file with the public key only")
    if (bits := key.public_key.key_size) < _LEAST_BITS:
        raise ValueError(f"has a key of {bits} bits; a key needs {_LEAST_BITS} bits or more")
    kid = given.get("kid") if isinstance(given, Mapping) else None
    kid = key.thumbprint() if kid is None else kid
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise ValueError("has a kid that cannot be used; a kid must be 1 to 64 visible ASCII characters")
    return client_key(kid, key)


def client_key(kid: str, key: RSAKey) -> ClientKey:
    """Return the key's public part in the form that is stored."""
    return ClientKey(kid=kid, public_key=json.dumps(public_part(key)))

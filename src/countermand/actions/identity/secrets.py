"""Makes a client's key and secret, and the hash of a secret that is stored."""

import hashlib
import secrets
from typing import Final

# For how long the old secret works after a rotation: a day, so that a partner can change its programs by daylight.
DEFAULT_OVERLAP_S: Final = 24 * 3600
LONGEST_OVERLAP_S: Final = 30 * 24 * 3600


def new_key() -> str:
    """Return a new key, which identifies a client and is not secret."""
    return secrets.token_hex(12)


def new_secret() -> str:
    """Return a new secret: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return the hash that is stored for a secret. A slow hash is not needed: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()

"""Make a client's key and secret, and the hash under which a secret is kept."""

import hashlib
import secrets


def new_key() -> str:
    """A key: what a client is known by; no secret."""
    return secrets.token_hex(12)


def new_secret() -> str:
    """A secret: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """How a secret of ours is kept: 256 random bits need no slow hash, which would only serve those who guess."""
    return hashlib.sha256(secret.encode()).hexdigest()

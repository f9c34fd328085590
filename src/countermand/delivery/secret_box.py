"""Encrypts the secrets of endpoints, which the database keeps, with a key that the database does not have.

A key is 32 random bytes in base64 of either alphabet, with or without the `=` at its end. Of several keys the first
encrypts, and all decrypt: so an operator changes the key by writing the new key before the old one.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from countermand.actions.errors import ConflictError

KEY_BYTES: Final = 32
_REMEMBERED: Final = 4096  # decrypted secrets


class UnreadableSecretError(Exception):
    """No key of this node decrypts a stored secret. The message has neither secret nor key."""


class SecretBox:
    """Encrypts and decrypts secrets. Without a key, a box is locked: it does neither."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take keys of 32 bytes. The first encrypts."""
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys]) if keys else None
        self.decrypt = lru_cache(maxsize=_REMEMBERED)(self._decrypt)

    @property
    def is_locked(self) -> bool:
        """Whether there is no key."""
        return self._fernet is None

    def encrypt(self, secret: bytes) -> bytes:
        """Return the secret as the database keeps it. Raises `ConflictError` (`webhook_key_missing`) without a key."""
        if self._fernet is None:
            raise ConflictError(
                "webhook_key_missing",
                "this service has no key to encrypt the secrets of endpoints; nothing was done; the operator makes a "
                "key with `countermand webhook key` and gives it to every node as COUNTERMAND_WEBHOOK_SECRET_KEY",
            )
        return self._fernet.encrypt(secret)

    def renewed(self, stored: bytes) -> bytes:
        """Return a stored secret as the first key encrypts it. Raises `UnreadableSecretError`."""
        return self.encrypt(self.decrypt(stored))

    def _decrypt(self, stored: bytes) -> bytes:
        """Return a secret that `encrypt` returned. Raises `UnreadableSecretError`."""
        if self._fernet is None:
            raise UnreadableSecretError(
                "this node has no key to decrypt the secrets of endpoints; give it COUNTERMAND_WEBHOOK_SECRET_KEY"
            )
        try:
            return self._fernet.decrypt(stored)
        except InvalidToken:
            raise UnreadableSecretError(
                "no key of this node decrypts the secret of this endpoint; add the key that encrypted it after the "
                "present one in COUNTERMAND_WEBHOOK_SECRET_KEY, or rotate the secret of the endpoint"
            ) from None


def new_key() -> str:
    """Return a new key as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def keys_of(text: str) -> list[bytes]:
    """Read keys that white space separates. Raises `ValueError`, whose sentence does not repeat a key."""
    words = text.split()
    if not words:
        raise ValueError("has no key; `countermand webhook key` prints a new one")
    keys = [_key_of(word, number) for number, word in enumerate(words, 1)]
    if len(set(keys)) < len(keys):
        raise ValueError("has the same key twice")
    return keys


def _key_of(word: str, number: int) -> bytes:
    try:
        key = base64.b64decode(word.rstrip("=") + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"must be {KEY_BYTES} bytes in base64, as `countermand webhook key` prints them, and key {number} "
            "is something else"
        )
    return key

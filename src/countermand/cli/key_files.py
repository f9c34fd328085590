"""Reads a client's public key from a file, and writes a new private key to a file. Only RSA keys are accepted."""

import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey

from countermand.actions.identity.ports import ClientKey
from countermand.cli.errors import CommandError
from countermand.identity.token_issuer import new_key, public_part

_LEAST_BITS: Final = 2048
_KID: Final = re.compile("[!-~]{1,64}")


@contextmanager
def made_key(path: Path) -> Iterator[ClientKey]:
    """Make a key pair and write the private key to a new file that only its owner can read.

    The file is removed if the block raises. Raises `CommandError` if the file exists or cannot be written.
    """
    kid, private_key = new_key()
    key = RSAKey.import_key(json.loads(private_key))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(
            f"{path} exists already and was not changed; name another file with --private-key-file"
        ) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.as_pem(private=True))  # PKCS#8
            file.flush()
            os.fsync(file.fileno())
        yield client_key(kid, key)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def given_key(path: Path) -> ClientKey:
    """Read a partner's public key: PEM, or a JWK, whose `kid` is taken over. Raises `CommandError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    try:
        written: Any = json.loads(content) if content.lstrip().startswith(b"{") else content
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # a key that is too short is refused below
            key = RSAKey.import_key(written)
    except (JoseError, ValueError, TypeError) as error:
        raise CommandError(f"{path} has no RSA public key, as PEM or JWK: {error}") from error
    if key.is_private:
        raise CommandError(
            f"{path} has a private key, which the partner must keep; ask for a file with the public key only"
        )
    if (bits := key.public_key.key_size) < _LEAST_BITS:
        raise CommandError(f"{path} has a key of {bits} bits; a key needs {_LEAST_BITS} bits or more")
    kid = written.get("kid") if isinstance(written, dict) else None
    kid = key.thumbprint() if kid is None else kid
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise CommandError(f"{path} has the kid {kid!r}, which must be 1 to 64 visible ASCII characters")
    return client_key(kid, key)


def client_key(kid: str, key: RSAKey) -> ClientKey:
    """Return the key's public part in the form that is stored."""
    return ClientKey(kid=kid, public_key=json.dumps(public_part(key)))

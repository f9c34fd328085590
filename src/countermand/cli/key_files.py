"""Reads a client's public key from a file, and writes a new private key to a file. Only RSA keys are accepted."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joserfc.jwk import RSAKey

from countermand.actions.identity.ports import ClientKey
from countermand.cli.errors import CommandError
from countermand.identity.public_keys import client_key, public_key_of
from countermand.identity.token_issuer import new_key


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
        raise CommandError(f"--private-key-file {path} cannot be written: {error.strerror}") from error
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
        raise CommandError(f"--public-key-file {path} cannot be read: {error.strerror}") from error
    try:
        return public_key_of(content)
    except ValueError as error:
        raise CommandError(f"--public-key-file {path} {error}") from None

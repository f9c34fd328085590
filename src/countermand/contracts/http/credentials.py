"""Reads the key and the secret of an application from the header `Authorization: Basic`."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from countermand.actions.errors import NotAuthenticatedError
from countermand.contracts.http.cancel_endpoint import BasicKey

_LONGEST_CREDENTIAL: Final = 1024


def basic(headers: Mapping[bytes, bytes]) -> BasicKey:
    """Return the key and secret of a request. Raises `NotAuthenticatedError`."""
    needed = "an application key and secret are needed: Authorization: Basic <base64 of key:secret>"
    scheme, _, encoded = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _LONGEST_CREDENTIAL:
        raise NotAuthenticatedError(needed)
    try:
        key, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NotAuthenticatedError("the Basic credentials are not base64 of key:secret") from None
    if not (key and colon and secret):
        raise NotAuthenticatedError("the Basic credentials are not base64 of key:secret")
    return BasicKey(key, secret)

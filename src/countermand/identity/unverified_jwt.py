"""Reads the header and the claims of a JWT without verifying them."""

import json
from collections.abc import Mapping
from typing import Final

from joserfc import jws
from joserfc.errors import JoseError

# The errors that the parsers raise for text that is no token. They lead to nothing worse than a 401.
UNREADABLE: Final = (JoseError, ValueError, TypeError, RecursionError)


def unverified(token: str) -> tuple[Mapping[str, object], Mapping[str, object]] | None:
    """Return header and claims, to find the key that must have signed the token; None for text that is no token.

    Nothing is verified yet.
    """
    try:
        signed = jws.extract_compact(token.encode())
        header: object = signed.headers()  # the library promises a dict, but a forged token may have text or a list
        claims = json.loads(signed.payload)
    except UNREADABLE:
        return None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None

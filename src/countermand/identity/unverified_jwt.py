"""What does a token claim to be, before anything of it is believed?"""

import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

# What a string that is no token makes of the readers: never more than a 401.
UNREADABLE: Final = (JoseError, ValueError, TypeError, RecursionError)


def unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Header and claims as they claim to be, to find the key that must have signed them. Nothing is believed yet."""
    try:
        signed = jws.extract_compact(token.encode())
        header: object = signed.headers()  # a dict, says the library; a string or a list, says a forged token
        claims = json.loads(signed.payload)
    except UNREADABLE:
        return None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None

"""Reads the `Idempotency-Key` of a request (IETF draft 07: visible ASCII characters, quoted or not)."""

import re
from collections.abc import Mapping
from typing import Final

from countermand.actions.idempotency import IdempotencyKey
from countermand.actions.run_idempotently import fingerprint_of
from countermand.contracts.http.answer import MalformedRequestError

_QUOTED: Final = re.compile(rb'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_BARE: Final = re.compile(rb"[\x21\x23-\x7e][\x21-\x7e]*")
_LONGEST: Final = 255


def idempotency_key(headers: Mapping[bytes, bytes], method: str, path: str, body: bytes) -> IdempotencyKey | None:
    """Return the request's key with the request's fingerprint. `k` and `"k"` are the same key.

    Raises `MalformedRequestError` unless the key is 1 to 255 visible ASCII characters.
    """
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    value = given.strip()
    if quoted := _QUOTED.fullmatch(value):
        key = re.sub(rb'\\(["\\])', rb"\1", quoted[1])
    elif _BARE.fullmatch(value):
        key = value
    else:
        raise MalformedRequestError('Idempotency-Key must be 1 to 255 visible ASCII characters, as k or as "k"')
    if len(key) > _LONGEST:
        raise MalformedRequestError(f"Idempotency-Key must be 1 to {_LONGEST} characters long, not {len(key)}")
    return IdempotencyKey(key=key.decode("ascii"), fingerprint=fingerprint_of(method, path, body))

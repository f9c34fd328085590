"""Reads the `Idempotency-Key` of a request (IETF draft 07: visible ASCII characters, quoted or not)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from countermand.contracts.http.answer import MalformedRequestError
from countermand.domain.actor import Actor

_QUOTED: Final = re.compile(rb'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_BARE: Final = re.compile(rb"[\x21\x23-\x7e][\x21-\x7e]*")
_LONGEST: Final = 255


def key_of(actor: Actor, sent: str | None) -> str | None:
    """Return the key that is stored. A person's keys are apart from the client's own, and from other persons' keys.

    A person is that of the token, or whom the client says that it acts for: the two have keys of their own, too, even
    if they are the same person. The primary key of older nodes has only the client, so the stored text names the
    person, with `>` before the person that is only claimed. It has a blank, which no client can send in a key; a text
    that the column cannot hold has two blanks and a hash.
    """
    person = actor.staff_id or ""
    if actor.acting_as is not None:
        person += f">{actor.acting_as}"
    if sent is None or not person:
        return sent
    stored = f"{person} {sent}"
    if len(stored) <= _LONGEST:
        return stored
    return f"{person}  {hashlib.sha256(sent.encode()).hexdigest()}"


def key_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key that a request was sent with, or None. `k` and `"k"` are the same key.

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
    return key.decode("ascii")

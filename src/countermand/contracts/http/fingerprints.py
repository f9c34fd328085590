"""What makes two requests under one `Idempotency-Key` the same? Their message: not the bytes that it was sent in.

The same message: method, path (with or without a slash at its end), the same parameters in any order, and the same
JSON. Numbers are compared by their value (`1`, `1.0` and `1e0` are equal), texts and names by their characters after
the escapes are resolved, lists by their elements in order, objects by their fields in any order. A field with `null`
differs from a field that is not there. A body that is not JSON is compared by its bytes.

Nodes of older versions compare bytes. So a key is stored with two hashes: the hash of the bytes, as those nodes compute
it, and the hash of the message.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Final
from urllib.parse import parse_qsl

from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.contracts.http.answer import MalformedRequestError
from countermand.contracts.http.body import decode

_UNREAD: Final = object()


def idempotency_key(
    sent: str | None, method: str, path: str, query: bytes, body: bytes, json: object = _UNREAD
) -> IdempotencyKey | None:
    """Return the key that a request was sent with, with the request's fingerprints, or None without a key."""
    if sent is None:
        return None
    return IdempotencyKey(key=sent, fingerprints=fingerprints_of(method, path, query, body, json))


def fingerprints_of(method: str, path: str, query: bytes, body: bytes, json: object = _UNREAD) -> Fingerprints:
    """Return both hashes of a request. `json` is the decoded body, if the caller has decoded it already."""
    return Fingerprints(
        request=_of_bytes(method, path, body),
        message=_of_message(method, path, query, body, json),
    )


def _of_bytes(method: str, path: str, body: bytes) -> str:
    """Return the hash that nodes of every version compute, so it never changes. It does not cover the query."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def _of_message(method: str, path: str, query: bytes, body: bytes, json: object) -> str:
    # The first line is JSON without a line end in it, and the word after it says how the rest is to be read. So no two
    # messages have the same text.
    parts: list[str] = []
    _write(parts, [method, path.removesuffix("/"), _parameters(query) if query else []])
    if json is _UNREAD:
        try:
            json = decode(body)
        except MalformedRequestError:
            parts.append("\nbytes\n")
            return hashlib.sha256("".join(parts).encode() + body).hexdigest()
    parts.append("\njson\n")
    _write(parts, json)
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _parameters(query: bytes) -> list[list[str]]:
    # Each byte is one character, so that bytes that are not UTF-8 stay different from each other.
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return [[name, value] for name, value in sorted(pairs)]


def _write(parts: list[str], value: object) -> None:
    """Append a JSON value in its only form: sorted names, no white space, ASCII, and numbers as `_number` writes them.

    The form is JSON itself, which tells the types apart and shows where each value ends.
    """
    if value is None:
        parts.append("null")
    elif isinstance(value, str):
        parts.append(encode_basestring_ascii(value))
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int | Decimal):
        parts.append(_number(value))
    elif isinstance(value, list):
        parts.append("[")
        for element in value:
            _write(parts, element)
            parts.append(",")
        parts.append("]")
    elif isinstance(value, Mapping):
        parts.append("{")
        for name in sorted(value):
            parts.append(encode_basestring_ascii(name))
            parts.append(":")
            _write(parts, value[name])
            parts.append(",")
        parts.append("}")
    else:
        raise TypeError(f"{type(value).__name__} is no JSON value")


def _number(value: int | Decimal) -> str:
    """Return a number's digits without zeros at the end, and its exponent: `25e-1` for 2.5 and for 2.50.

    The digits are those that were sent. `Decimal.normalize` would round them, and give different numbers one form; to
    write the zeros of a large exponent would take long.
    """
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int), "JSON has no NaN and no infinity"
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    if not kept:
        return "0"  # 0.00 and -0, too
    return f"{'-' if sign else ''}{kept}e{exponent + len(text) - len(kept)}"

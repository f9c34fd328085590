"""Recognizes how a body that is not JSON in UTF-8 is encoded, so that its sender hears what to change."""

import re
from collections.abc import Mapping
from typing import Final

# The first bytes of a compressed body, and the name of what compresses it.
_COMPRESSED: Final = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"))
_UTF_32: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_WORD: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_SHOWN_CAP: Final = 60  # characters of a header that an error repeats
_SEND_UTF_8: Final = "encode it as UTF-8"


def compression_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Return what the header says that the body is compressed with; None if it is not compressed."""
    said = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    return None if said in {"", "identity"} else said


def named(given: str) -> str:
    """Return a name from a header for an error: as it is if it is a plain word, otherwise quoted and cut short."""
    return given if _WORD.fullmatch(given) else repr(given[:_SHOWN_CAP])


def what_it_is(body: bytes) -> str | None:
    """Return a sentence about a body that is not JSON in UTF-8; None if nothing is known about it."""
    for begins, name in _COMPRESSED:
        if body.startswith(begins):
            return f"the body is compressed with {name}; send it uncompressed"
    if body.startswith(_UTF_32) or b"\0\0\0" in body[:4]:
        return f"the body is UTF-32, not UTF-8; {_SEND_UTF_8}"
    if body.startswith(_UTF_16) or body[:2].count(b"\0") == 1:
        return f"the body is UTF-16, not UTF-8; {_SEND_UTF_8}"
    return None


def is_latin_1(body: bytes, wrong: int) -> bool:
    """Return whether the byte at `wrong` is a letter or a sign of Latin-1 between characters of ASCII."""
    before, after = body[max(wrong - 1, 0) : wrong], body[wrong + 1 : wrong + 2]
    around = all(0x20 <= byte < 0x7F or byte >= 0xA0 for byte in before + after)  # noqa: PLR2004
    return body[wrong] >= 0xA0 and around and after != b""  # noqa: PLR2004

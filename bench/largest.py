"""A request with the largest input of its route, and the parts of which such requests are made."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from countermand.contracts.http.body import BODY_CAP_BYTES


@dataclass(frozen=True, kw_only=True)
class Largest:
    """A request, and in words what is largest about it. If `once`, only the first answer of a process costs anything.

    `at_once` requests are sent together; `each` returns the number of them that is sent.
    """

    route: str
    what: str
    method: str = "GET"
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: Sequence[bytes] = (b"",)
    status: int = 200
    once: bool = False


def padded(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON, with blanks up to the largest size."""
    return json.dumps(body).encode().ljust(BODY_CAP_BYTES)


def basic(key: str, secret: str) -> dict[str, str]:
    """Return the headers of a client with a key."""
    given = base64.b64encode(f"{key}:{secret}".encode()).decode()
    return {"authorization": f"Basic {given}", "content-type": "application/json"}


def base64url(number: int) -> str:
    """Return a number as a JWK has it."""
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def uid(letter: str, number: int) -> str:
    """Return a uid of a kind of things, by their number."""
    return letter + f"{number:031x}"


def in_short(path: str) -> str:
    """Return a path as a route, without its uids and query."""
    return re.sub("[0-9a-z]{32}", "{uid}", path.partition("?")[0])

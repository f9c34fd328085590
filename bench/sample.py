"""Makes the sample of the benchmark: a hundred clients with credentials, and the ids of the orders, shuffled.

An order is made from its place n = 1, 2, 3 … alone, in SQL within the database (`made_orders.py`). This module has the
same in Python for the few things that a caller must know: the order's name, its owner, and how it is cancelled.
"""

import base64
import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER: Final = "https://countermand.example/auth/realms/bench"
CONNECT_CLIENTS: Final = 50  # numbered from 1
SHOPPING_CLIENTS: Final = 50  # numbered after them
CLIENTS: Final = CONNECT_CLIENTS + SHOPPING_CLIENTS
# Of every three orders, one has an appointment, one is for two tickets, and one holds nothing to release.
KINDS: Final = 3
WITH_APPOINTMENT, WITH_TICKETS, BARE = 0, 1, 2
_TOKEN_LIFE: Final = timedelta(hours=12)

MIXED: Final = "mixed"
BARE_ALONE: Final = "bare"


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Orders in the sequence in which they are cancelled, each once.

    The file `requests` has a line of `LINE_BYTES` per order: `c` (connect) or `s` (shopping), the client's number from
    0, and the order's name. The file `places` has a line `turn <tab> n` per order, for the database.
    """

    name: str
    length: int
    requests: Path
    places: Path


LINE_BYTES: Final = 38  # all lines are alike, so a load generator can begin in the middle without reading the rest


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The issuer's keys and, for each client, in order, the value of its `Authorization` header."""

    key_set: Path
    headers: Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The number of orders, and the sequences in which they are cancelled, by name."""

    orders: int
    turns: dict[str, Turns]


def make_sample(folder: Path, *, orders: int, seed: int, at_most: int | None = None) -> Sample:
    """Shuffle the orders of a database. The same seed makes the same sequences, each of at most `at_most` orders."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    ranges = {MIXED: range(1, orders + 1), BARE_ALONE: range(BARE, orders + 1, KINDS)}
    # This is a true shuffle. A stride (n * step mod orders) looks shuffled, but can be neighbours in disguise:
    # 1,000,003 modulo a million is a stride of 3, so that each page is still in memory, and the result flatters.
    return Sample(
        orders=orders,
        turns={
            name: _write(folder, name, chance.sample(numbers, min(len(numbers), at_most or orders)))
            for name, numbers in ranges.items()
        },
    )


def owner_of(n: int) -> int:
    """Return the number of the order's client, from 1. It is scattered; `made_orders.py` has the same in SQL."""
    scattered = n * 2654435761 % 4294967296 // 65536
    if n % KINDS == WITH_TICKETS:
        return 1 + CONNECT_CLIENTS + scattered % SHOPPING_CLIENTS
    return 1 + scattered % CONNECT_CLIENTS


def uid_of(n: int) -> str:
    """Return the uid of a ticket order; `made_orders.py` has the same in SQL."""
    return hashlib.md5(f"order {n}".encode(), usedforsecurity=False).hexdigest()


def client_name(client: int) -> str:
    """Return the name of the client with this number (from 1), which is also its token's claim or its key."""
    return f"partner-{client:03d}"


def secret_of(client: int) -> str:
    """Return the secret of a client with a key."""
    return hashlib.sha256(client_name(client).encode()).hexdigest()


def make_credentials(folder: Path) -> Credentials:
    """Make tokens for the connect clients, keys and secrets for the others."""
    now = datetime.now(UTC)
    made = Credentials(key_set=folder / "key-set.json", headers=folder / "authorization.txt")
    key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
    made.key_set.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    header = {"alg": "RS256", "typ": "JWT", "kid": "bench"}
    tokens = (
        f"Bearer {jwt.encode(header, _claims(client, now), key, algorithms=['RS256'])}\n"
        for client in range(1, CONNECT_CLIENTS + 1)
    )
    keys = (
        f"Basic {base64.b64encode(f'{client_name(client)}:{secret_of(client)}'.encode()).decode()}\n"
        for client in range(CONNECT_CLIENTS + 1, CLIENTS + 1)
    )
    made.headers.write_text("".join((*tokens, *keys)))
    return made


def _write(folder: Path, name: str, sequence: Iterable[int]) -> Turns:
    requests, places = folder / f"{name}-requests.txt", folder / f"{name}-places.txt"
    length = 0
    with requests.open("w") as of_requests, places.open("w") as of_places:
        for turn, n in enumerate(sequence):
            by_uid = n % KINDS == WITH_TICKETS
            of_requests.write(f"{'s' if by_uid else 'c'}{owner_of(n) - 1:03d} {uid_of(n) if by_uid else n:<32}\n")
            of_places.write(f"{turn}\t{n}\n")
            length += 1
    return Turns(name=name, length=length, requests=requests, places=places)


def _claims(client: int, now: datetime) -> dict[str, Any]:
    """Return claims in the shape, and so of the size, of those in the published page's token."""
    issued_at_s = int(now.timestamp())
    session = f"0b7bd0a1-3c1e-4a4e-9d3b-{client:012d}"
    return {
        "exp": issued_at_s + int(_TOKEN_LIFE.total_seconds()),
        "iat": issued_at_s,
        "auth_time": 0,
        "jti": f"7d1ea0f0-2a52-4a5e-8d4c-{client:012d}",
        "iss": ISSUER,
        "sub": f"ca0ce66a-408c-4b3a-aa73-{client:012d}",
        "typ": "Bearer",
        "azp": client_name(client),
        "session_state": session,
        "acr": "1",
        "scope": "",
        "sid": session,
        "clientId": client_name(client),
        "clientHost": "localhost",
        "userId": str(11001 + client),
        "clientAddress": "127.0.0.1",
    }

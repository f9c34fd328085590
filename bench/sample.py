"""What is there to cancel? Orders in the real schema, a hundred clients with tokens, and the ids, shuffled.

The rows are those that the product writes when orders are placed and appointments are made over its API: straight into
SQLite only because a million requests would take longer than the measurement.
"""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey

from countermand.domain.appointment import AppointmentState
from countermand.domain.client import Permission
from countermand.domain.contract import Contract, Door
from countermand.domain.facts import FactKind
from countermand.domain.order_state import OrderState
from countermand.storage import tables
from countermand.storage.rows import written
from countermand.storage.schema import migrate
from countermand.storage.tables import micros

ISSUER: Final = "https://countermand.example/auth/realms/bench"
CLIENTS: Final = 100
_TOKEN_LIFE: Final = timedelta(hours=12)
_WITH_APPOINTMENT: Final = 3  # every third order
_NOTICE: Final = timedelta(hours=30)  # beyond the policy's 26 hours, and beyond any measurement's length


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The files that every measured run starts from."""

    database: Path
    key_set: Path
    tokens: Path  # a token a line, client by client
    ids: Path  # "order client" a line, in the order in which they are to be cancelled
    orders: int

    def copy(self, to: Path) -> None:
        """A database of its own for one run: no order is cancelled twice. On the disk before the run begins."""
        shutil.copyfile(self.database, to)
        with to.open("rb") as file:
            os.fsync(file.fileno())


def make_sample(folder: Path, *, orders: int, seed: int) -> Sample:
    """Make the files in `folder`. The same seed makes the same orders, owners and sequence of ids."""
    now = datetime.now(UTC)
    chance = random.Random(seed)
    owners = [chance.randrange(CLIENTS) for _ in range(orders)]
    sample = Sample(
        database=folder / "sample.sqlite3",
        key_set=folder / "key-set.json",
        tokens=folder / "tokens.txt",
        ids=folder / "ids.txt",
        orders=orders,
    )
    _make_tokens(sample, now)
    # A true shuffle. A stride (id * step mod orders) looks shuffled, and can be neighbours in disguise: 1,000,003
    # modulo a million is a stride of 3, so that SQLite finds each page where it left it, and the result flatters.
    sequence = list(range(1, orders + 1))
    chance.shuffle(sequence)
    sample.ids.write_text("".join(f"{order} {owners[order - 1]}\n" for order in sequence))
    _make_database(sample.database, owners, now)
    return sample


def _make_tokens(sample: Sample, now: datetime) -> None:
    key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
    sample.key_set.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    header = {"alg": "RS256", "typ": "JWT", "kid": "bench"}
    tokens = [jwt.encode(header, _claims(client, now), key, algorithms=["RS256"]) for client in range(CLIENTS)]
    sample.tokens.write_text("".join(f"{token}\n" for token in tokens))


def _claims(client: int, now: datetime) -> dict[str, Any]:
    """In the shape, and so of the size, of the token on the published page."""
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
        "azp": _subject(client),
        "session_state": session,
        "acr": "1",
        "scope": "",
        "sid": session,
        "clientId": _subject(client),
        "clientHost": "localhost",
        "userId": str(11001 + client),
        "clientAddress": "127.0.0.1",
    }


def _subject(client: int) -> str:
    return f"partner-{client:03d}"


def _make_database(path: Path, owners: list[int], now: datetime) -> None:
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # nothing to lose yet; the server turns WAL on
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for name, rows in _rows(owners, now).items():
            columns = [column.name for column in tables.metadata.tables[name].columns]
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows)
        connection.execute("COMMIT")


def _rows(owners: list[int], now: datetime) -> dict[str, Iterator[tuple[Any, ...]]]:
    """Every table's rows, columns in the table's order, ascending: as years of business leave them."""
    orders = len(owners)
    visits = orders // _WITH_APPOINTMENT
    first_visit, now_us, second_us = micros(now + _NOTICE), micros(now), 1_000_000
    placed = micros(now - timedelta(days=30))
    step = micros(now - timedelta(days=1)) - placed
    # Plain strings: the driver asks long whether it may take an enum's member for one.
    connect, booked = Contract.CONNECT.value, AppointmentState.BOOKED.value
    states = tuple(state.value for state in (OrderState.SUBMITTED, OrderState.ACCEPTED, OrderState.IN_PROGRESS))
    placed_fact, visit_fact = FactKind.ORDER_PLACED.value, FactKind.APPOINTMENT_SET.value
    permissions = json.dumps(sorted((Permission.CREATE, Permission.READ, Permission.CANCEL)))

    def placed_at(order: int) -> int:
        return placed + step * order // orders

    def visit(order: int) -> int | None:
        """Within the next ten days after the notice, on a whole second; None for two orders of three."""
        has_one = order % _WITH_APPOINTMENT == 0
        return (first_visit // second_us + order * 7919 % 864_000) * second_us if has_one else None

    def facts(order: int) -> Iterator[tuple[Any, ...]]:
        client, starts_at = owners[order - 1] + 1, visit(order)
        yield (order, 1, placed_fact, placed_at(order), client, '{"state":"submitted"}', None)
        if starts_at is not None:
            details = {"appointment_id": order // _WITH_APPOINTMENT, **_times(starts_at)}
            yield (order, 2, visit_fact, placed_at(order) + second_us, client, written(details), None)

    numbers = range(1, orders + 1)
    return {
        "clients": (
            (n + 1, Door.CONNECT.value, _subject(n), permissions, None, None, ISSUER, _subject(n), now_us, None)
            for n in range(CLIENTS)
        ),
        "orders": (
            (n, connect, owners[n - 1] + 1, 2 if visit(n) else 1, states[n % 7 % 3], visit(n), None, placed_at(n))
            for n in numbers
        ),
        "order_details": ((n, None, str(n), written(_details(n))) for n in numbers),
        "appointments": (
            (n * _WITH_APPOINTMENT, n, booked, starts_at, starts_at + 4 * 3600 * second_us, None)
            for n in range(1, visits + 1)
            if (starts_at := visit(n * _WITH_APPOINTMENT)) is not None
        ),
        "outbox": (row for n in numbers for row in facts(n)),
        "counters": iter((("order", orders), ("appointment", visits))),
    }


def _details(order: int) -> dict[str, Any]:
    """What a partner gives when it places an order."""
    return {
        "sourceType": "nbn",
        "contactName": f"Jo Citizen {order}",
        "contactPhone": "0412 345 678",
        "contactEmail": f"jo.{order}@example.com",
        "locationId": f"LOC{380_100_000_000 + order}",
        "planName": "Home Fast 100/20",
        "aggregationMethod": "L2TP",
        "customerReference": f"C-{order:08d}",
    }


def _times(starts_at: int) -> dict[str, datetime]:
    begins = tables.instant(starts_at)
    return {"starts_at": begins, "ends_at": begins + timedelta(hours=4)}

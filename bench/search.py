"""Measures how long `GET /manage/v1/orders?q=` takes among 100,000 orders; with `--orders 1000000`, among a million.

It runs over HTTP, on SQLite and on its own PostgreSQL. A few of the names are very frequent. SQL makes the orders with
their handles, and the product is asked whether it makes the same handles of some of them. The medians and the slowest
times go to bench/results/search.json, beside those of a call that reads one empty table; no test asserts them.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import select, text

from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database, address_of, open_database
from countermand.contracts.connect.contract import CHANNEL
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderId
from countermand.settings import Settings, read_settings
from countermand.storage.schema import migrate
from countermand.storage.tables.search import order_search
from lists import served
from own_postgres import OwnPostgres

_TURNS: Final = 15
_HERE: Final = Path(__file__).parent
_AT_ONCE: Final = 10_000  # orders in a statement, which has a time limit
_NUMBERS: Final = (
    "WITH RECURSIVE n(i) AS (SELECT CAST(<first> AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < <last>)"
)
# Every tenth customer is called Anna, every twentieth Smith, a hundredth Jansen; the other names are each of a few.
_FIRST: Final = "CASE WHEN i % 10 = 0 THEN 'Anna' WHEN i % 10 < 4 THEN 'Jo' ELSE 'First' || (i * 7919 % 5000) END"
_LAST: Final = (
    "CASE WHEN i % 20 = 0 THEN 'Smith' WHEN i % 100 = 1 THEN 'Jansen' ELSE 'Last' || (i * 104729 % 50000) END"
)
_DOCUMENT: Final = (
    '\'{"sourceType":"nbn","contactName":"\' || <first> || \' \' || <last> || \'","contactPhone":"04\' ||'
    ' (10000000 + i) || \'","contactEmail":"jo.\' || i || \'@example.com","customerReference":"C-\' || i || \'"}\''
)
_HANDLES: Final = (
    "'=' || i",
    "'=c-' || i",
    "'=jo.' || i || '@example.com'",
    "'=04' || (10000000 + i)",
    "'=4' || (10000000 + i)",
    "'~' || lower(<first>)",
    "'~' || lower(<last>)",
)
_COMPARED: Final = "the empty calendar, to compare"
_QUESTIONS: Final = {
    "a number": "<i>",
    "an e-mail address": "jo.<i>@example.com",
    "a reference": "c-<i>",
    "a phone number": "04<phone>",
    "a rare name": "last104",
    "a frequent name": "anna",
    "two letters": "jo",
    "two frequent names": "anna smith",
    "a frequent and a rare name": "anna last104",
    "three words": "jo jo.<i>@example.com last",
    "a name that nobody has": "anna zebra",
    "frequent, and none has both": "jo smith jansen",
    "an address": "https://a.example/api/connect/orders/<i>",
}


def main() -> int:
    """Measure, write the results, and print them."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--orders", type=int, default=100_000)
    given.add_argument("--databases", nargs="*", default=["sqlite", "postgresql"])
    wanted = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "sqlite" in wanted.databases:
            database = {"database_path": str(Path(folder) / "search.sqlite3")}
            _write("sqlite", wanted.orders, _measured(database, wanted.orders))
        if "postgresql" in wanted.databases:
            with OwnPostgres() as server:
                server.create_database("search")
                _write("postgresql", wanted.orders, _measured({"database_url": server.url("search")}, wanted.orders))
    return 0


def _write(database: str, orders: int, took: dict[str, list[float]]) -> None:
    results = _HERE / "results" / "search.json"
    shown = json.loads(results.read_text()) if results.exists() else {}
    shown.setdefault(str(orders), {})[database] = {
        name: {"median_ms": round(statistics.median(times), 1), "slowest_ms": round(max(times), 1)}
        for name, times in took.items()
    }
    results.write_text(json.dumps(shown, indent=2) + "\n")
    print(database, json.dumps(shown[str(orders)][database], indent=2))


def _measured(database: dict[str, Any], orders: int) -> dict[str, list[float]]:
    settings = read_settings(None, **database)
    migrate(address_of(settings))
    token = asyncio.run(_filled(settings, orders))
    took: dict[str, list[float]] = {name: [] for name in (_COMPARED, *_QUESTIONS)}
    headers = {"Authorization": f"Bearer {token}"}
    with served(database) as url, closing(httpx.Client(base_url=url, headers=headers, timeout=60)) as http:
        for turn in range(_TURNS + 1):  # the first turn warms up
            number = (turn + 1) * 6007 % orders + 1
            began_s = time.perf_counter()
            http.get("/manage/v1/calendar/slots").raise_for_status()
            took[_COMPARED].append((time.perf_counter() - began_s) * 1000)
            for name, question in _QUESTIONS.items():
                q = question.replace("<i>", str(number)).replace("<phone>", str(10_000_000 + number))
                began_s = time.perf_counter()
                reply = http.get("/manage/v1/orders", params={"q": q})
                took[name].append((time.perf_counter() - began_s) * 1000)
                reply.raise_for_status()
                is_there = bool(reply.json()["orders"])
                assert is_there or "<i>" not in question or " " in question, f"{q} finds nothing"
    return {name: times[1:] for name, times in took.items()}


async def _filled(settings: Settings, orders: int) -> str:
    """Make orders, and their handles with the product's own task; return the token of an operator."""
    database = await open_database(settings)
    partner, _ = await _client(database, CHANNEL, "A partner")
    _, token = await _client(database, MANAGE, "A desk")
    for first in range(1, orders + 1, _AT_ONCE):
        async with database.store.transaction() as tx:
            for statement in _statements(partner, first, min(first + _AT_ONCE - 1, orders)):
                await tx.run(text(statement.replace(":", "\\:")))
    async with database.store.transaction() as tx:
        assert await tx.move_handle_progress(None, (utc_now(), OrderId(orders)))
    await _check_handles(database, orders)
    if not settings.is_sqlite:
        async with database.store.transaction() as tx:
            await tx.run(text("ANALYZE"))
    await database.close()
    return token


def _statements(partner: int, first: int, last: int) -> Iterator[str]:
    """Yield the statements that make the orders with these numbers, and their handles."""
    numbers = _NUMBERS.replace("<first>", str(first)).replace("<last>", str(last))
    yield (
        "INSERT INTO orders (id, contract, client_id, version, state, created_at)"
        f" {numbers} SELECT i, 'connect', {partner}, 1, 'submitted', i * 1000000 FROM n"
    )
    document = _DOCUMENT.replace("<first>", _FIRST).replace("<last>", _LAST)
    yield f"INSERT INTO order_details (order_id, reference, details) {numbers} SELECT i, '' || i, {document} FROM n"
    handles = " UNION ALL ".join(f"SELECT {handle} AS handle, i FROM n" for handle in _HANDLES)
    named = handles.replace("<first>", _FIRST).replace("<last>", _LAST)
    yield f"INSERT INTO order_search (handle, order_id) {numbers} SELECT handle, i FROM ({named}) AS h ORDER BY 1, 2"


async def _check_handles(database: Database, orders: int) -> None:
    """Check that the product makes the same handles of some orders."""
    some = [OrderId(number) for number in range(1, orders, orders // 50)]
    of_some = select(order_search).where(order_search.c.order_id.in_(some)).order_by(*order_search.primary_key)
    async with database.store.transaction() as tx:
        before = [tuple(row.values()) for row in await tx.rows(of_some)]
        await tx.renew_handles(some)
        assert before == [tuple(row.values()) for row in await tx.rows(of_some)], "the product makes other handles"


async def _client(database: Database, channel: Any, name: str) -> tuple[int, str]:
    key, secret = new_key(), new_secret()
    client = await database.clients.add(
        channel=channel,
        name=name,
        permissions=frozenset({Permission.READ}),
        key=key,
        secret_sha256=hash_of(secret),
        identity=None,
        now=utc_now(),
    )
    return client.id, f"{key}.{secret}"


if __name__ == "__main__":
    sys.exit(main())

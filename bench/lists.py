"""Measures whether a list of many orders pages in constant time: `GET /orders` of a shop with 100,000 orders.

It runs over HTTP, on SQLite and on its own PostgreSQL, and reads the first page, a middle page and the last page in
turns. The results go to bench/results/lists.json and into docs/performance.md; no test asserts them.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import text

from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import address_of, open_database
from countermand.contracts.shopping.contract import CHANNEL
from countermand.domain.client import Permission
from countermand.environment import PREFIX
from countermand.settings import Settings, read_settings
from countermand.storage.schema import migrate
from own_postgres import OwnPostgres
from report import write_into

ORDERS: Final = 100_000
_PAGE: Final = 500
_TURNS: Final = 15
_LIST: Final = "lists"
_HERE: Final = Path(__file__).parent
_DETAILS: Final = (
    '{"consumer":{"first_name":"Jo"},"external_purchases":[],"external_reference":null,"currency":"EUR",'
    '"product_total_minor":2500,"service_costs_minor":0,"grand_total_minor":2500,"payment_method":null,'
    '"shipping_method":null}'
)
_UID: Final = {"sqlite": "printf('%032x', i)", "postgresql": "lpad(to_hex(i), 32, '0')"}
_NUMBERS: Final = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ORDERS})"


def main() -> int:
    """Measure, write the results, and print them."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        found["sqlite"] = _measured({"database_path": str(Path(folder) / "lists.sqlite3")}, "sqlite")
    with OwnPostgres() as server:
        server.create_database("lists")
        found["postgresql"] = _measured({"database_url": server.url("lists")}, "postgresql")
    shown = {
        database: {page: round(statistics.median(times), 2) for page, times in pages.items()}
        for database, pages in found.items()
    }
    (_HERE / "results" / "lists.json").write_text(json.dumps({"orders": ORDERS, "ms": shown}, indent=2) + "\n")
    heads = (
        "| database | first page, ms | in the middle | last page | last over first |\n| --- | --- | --- | --- | --- |\n"
    )
    lines = "".join(
        f"| {database} | {of['first']} | {of['middle']} | {of['last']} | {of['last'] / of['first']:.2f} |\n"
        for database, of in shown.items()
    )
    table = f"{ORDERS:,} orders of one shop, 500 a page, medians of {_TURNS} turns.\n\n{heads}{lines}"
    write_into(_HERE.parent / "docs" / "performance.md", _LIST, table)
    print(table)
    return 0


def _measured(database: dict[str, Any], dialect: str) -> dict[str, list[float]]:
    settings = read_settings(None, **database)
    migrate(address_of(settings))
    key, secret = asyncio.run(_filled(settings, dialect))
    pages = {"first": 1, "middle": ORDERS // _PAGE // 2, "last": ORDERS // _PAGE}
    took: dict[str, list[float]] = {name: [] for name in pages}
    with served(database) as url, closing(httpx.Client(base_url=url, auth=(key, secret), timeout=60)) as http:
        for _ in range(_TURNS + 1):  # the first turn warms up
            for name, page in pages.items():
                began_s = time.perf_counter()
                reply = http.get("/orders", params={"page": page})
                took[name].append((time.perf_counter() - began_s) * 1000)
                assert reply.raise_for_status().json()["item_count"] == ORDERS
                assert len(reply.json()["_embedded"]["shop:order"]) == _PAGE
    return {name: times[1:] for name, times in took.items()}


async def _filled(settings: Settings, dialect: str) -> tuple[str, str]:
    """Make a shop with its orders; return its key and secret."""
    key, secret = new_key(), new_secret()
    database = await open_database(settings)
    shop = await database.clients.add(
        channel=CHANNEL,
        name="A shop",
        permissions=frozenset({Permission.READ}),
        key=key,
        secret_sha256=hash_of(secret),
        identity=None,
        now=utc_now(),
    )
    uid, number = _UID[dialect], "4611686018427387904 + i"
    product = "'" + "b" * 32 + "'"
    statements = (
        (
            "INSERT INTO products"
            " (uid, name, price_minor, service_costs_minor, currency, availability, total_availability)"
            f" VALUES ({product}, '{{\"en\":\"Day ticket\"}}', 1250, 0, 'EUR', 0, {2 * ORDERS})"
        ),
        (
            "INSERT INTO orders (id, contract, client_id, version, state, created_at)"
            f" {_NUMBERS} SELECT {number}, 'shopping', {shop.id}, 1, 'pending', CAST(i AS bigint) * 1000000 FROM n"
        ),
        (
            f"INSERT INTO order_details (order_id, uid, reference, details) {_NUMBERS}"
            f" SELECT {number}, {uid}, '' || i, '{_DETAILS}' FROM n"
        ),
        (
            f"INSERT INTO order_lines (order_id, line, product_uid, quantity) {_NUMBERS}"
            f" SELECT {number}, 1, {product}, 2 FROM n"
        ),
        (
            f"INSERT INTO tickets (order_id, number, uid, product_uid, code, valid) {_NUMBERS}"
            f" SELECT {number}, 1, {uid}, {product}, '' || i, true FROM n"
        ),
    )
    async with database.store.transaction() as tx:
        for statement in statements:
            await tx.run(text(statement.replace(":", "\\:")))
    if dialect == "postgresql":
        async with database.store.transaction() as tx:
            await tx.run(text("ANALYZE"))
    await database.close()
    return key, secret


@contextmanager
def served(database: Mapping[str, str]) -> Iterator[str]:
    """Serve the product in a process of its own, and yield its address."""
    settings = {PREFIX + name.upper(): value for name, value in database.items()}
    command = [sys.executable, "-m", "countermand", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(main())

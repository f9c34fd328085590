"""Measures new orders: of a telecom service, and of tickets for one product and for fifty; bills, and payments.

On PostgreSQL, pgbench does the same writes as an order of a telecom service, in one statement for each order.
`--against <folder>` measures another checkout in turns with this one, as in `reads.py`.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from typing import Any, Final

from beside import NOW, Ask, Measure, Place, Result, measured, options, places, table, write
from countermand.actions.identity.secrets import hash_of
from databases import PostgresOrders, SqliteOrders
from made_orders import PRODUCTS
from reads import CONNECT_ORDERS, VERSION, authorizations
from sample import CONNECT_CLIENTS, KINDS, SHOPPING_CLIENTS, WITH_TICKETS, uid_of

ORDERS: Final = 30_000
CONNECT: Final = "connect: a new order"
_CONNECTIONS: Final = 64
_CLIENTS: Final = 32  # of pgbench; more clients make it slower
_METHOD: Final = "6d1b2c0f8a7e4d5c9b3a1f0e2d4c6b8a"
_STOCK: Final = 10**9
_OPERATOR: Final = "operator"
_PAYMENTS: Final = 8000
_PREPARED: Final = (
    (
        "INSERT INTO methods (uid, kind, name, costs_minor, currency, details)"
        f" VALUES ('{_METHOD}', 'payment', '{{\"en\":\"iDeal\"}}', 100, 'EUR', '{{}}')"
    ),
    (
        "INSERT INTO clients (id, door, name, permissions, key, secret_sha256, created_at)"
        f" VALUES (1000, 'manage', '{_OPERATOR}', '[\"record\"]', '{_OPERATOR}', '{hash_of(_OPERATOR)}', 0)"
    ),
    f"UPDATE products SET availability = {_STOCK}, total_availability = {_STOCK}",
)
SERVICE: Final[Mapping[str, Any]] = {
    "sourceType": "nbn",
    "contactName": "Jo Citizen",
    "contactPhone": "0412345678",
    "contactEmail": "jo@example.com",
    "remoteQualificationSearchId": "QS1",
    "qualificationSearchId": "1",
    "locationId": "LOC380100009114",
    "planName": "Home Fast 100/20",
    "term": 1,
    "aggregationMethod": "L2TP",
    "customerReference": "C-1",
}
_DOCUMENT: Final = (
    '{"sourceType":"nbn","contactName":"Jo Citizen","contactPhone":"0412345678","contactEmail":"jo@example.com",'
    '"remoteQualificationSearchId":"QS1","qualificationSearchId":1,"locationId":"LOC380100009114",'
    '"planName":"Home Fast 100/20","term":1,"aggregationMethod":"L2TP","customerReference":"C-1","serviceId":1}'
)
_HANDLES: Final = ("=c-1", "=jo@example.com", "=0412345678", "=412345678", "~jo", "~citizen")
# The same rows as the product writes for an order of a service. Its number stands for that of its service, too.
_SCRIPT: Final = f"""\\set client random(1, {CONNECT_CLIENTS})
WITH numbers AS MATERIALIZED (SELECT nextval('order_number') AS id, nextval('service_number') AS service),
placed AS (
    INSERT INTO orders (id, contract, client_id, version, state, created_at)
    SELECT id, 'connect', :client, 1, 'submitted', 1790000000000000 FROM numbers
), described AS (
    INSERT INTO order_details (order_id, reference, details) SELECT id, id::text, '{_DOCUMENT}' FROM numbers
), told AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, channel)
    SELECT id, 1, 'order.placed', 1790000000000000, :client, '{{"state":"submitted"}}', 'connect' FROM numbers
), found AS (
    INSERT INTO order_search (handle, order_id)
    SELECT h, id FROM numbers, unnest(ARRAY{list(_HANDLES)} || ('=' || id)) AS h ON CONFLICT DO NOTHING
)
SELECT id FROM numbers;
"""


def main() -> int:
    """Measure, and print a table for each database."""
    given = options(__doc__ or "", ORDERS).parse_args()
    found = {}
    with places(given) as made:
        for name, place in made.items():
            prepare(place)
            found[name] = measured(place, measures(place), given)
            print(f"\n{name}\n\n{table(found[name])}", flush=True)
            if isinstance(place.database, PostgresOrders) and CONNECT in found[name]:
                _beside_pgbench(place.database, found[name][CONNECT][NOW], given.seconds)
    if given.write:
        write("placing", found)
    return 0


def prepare(place: Place) -> None:
    """Put a payment method, and enough of every product, into the catalogue."""
    for statement in _PREPARED:
        if isinstance(place.database, SqliteOrders):
            place.database.change(statement)
        elif isinstance(place.database, PostgresOrders):
            place.database.server.sql(statement, place.database.name)


def measures(place: Place) -> list[Measure]:
    """Return what is measured."""
    headers = authorizations(place)
    partners, shops = headers[:CONNECT_CLIENTS], headers[CONNECT_CLIENTS : CONNECT_CLIENTS + SHOPPING_CLIENTS]

    def service(_: str) -> list[Ask]:
        path = f"{CONNECT_ORDERS}/create"
        return [Ask(method="POST", path=path, authorization=one, headers=VERSION, body=SERVICE) for one in partners]

    def tickets(base: str, of_order: int) -> list[Ask]:
        bodies = [_tickets(base, number, of_order) for number in range(PRODUCTS)]
        return [
            Ask(method="POST", path="/orders", authorization=shops[number % SHOPPING_CLIENTS], body=body)
            for number, body in enumerate(bodies)
        ]

    def bill(base: str) -> list[Ask]:
        return [replace(one, path="/bill") for one in tickets(base, PRODUCTS)]

    return [
        Measure(name=CONNECT, requests=service, status=201, connections=_CONNECTIONS),
        Measure(name="shopping: a bill of 50 products", requests=bill),
        Measure(name="manage: a payment", requests=lambda _: payments(place), status=201),
        Measure(name="shopping: a new order, 1 product", requests=lambda base: tickets(base, 1), status=201),
        Measure(
            name="shopping: a new order, 50 products",
            requests=lambda base: tickets(base, PRODUCTS),
            status=201,
            connections=8,
        ),
    ]


def payments(place: Place) -> list[Ask]:
    """Return payments of a cent, each with a reference that is new."""
    bought = range(WITH_TICKETS, place.sample.orders, KINDS)
    prefix = time.time_ns()
    return [
        Ask(
            method="POST",
            path=f"/manage/v1/orders/{uid_of(bought[number % len(bought)])}/payments",
            authorization=f"Bearer {_OPERATOR}.{_OPERATOR}",
            body={"reference": f"{prefix}-{number}", "amount": 0.01, "currency": "EUR"},
        )
        for number in range(_PAYMENTS)
    ]


def _tickets(base: str, first: int, of_order: int) -> dict[str, Any]:
    uids = [_product((first + number) % PRODUCTS) for number in range(of_order)]
    return {
        "products": [{"product": f"{base}/products/{uid}", "quantity": 1} for uid in uids],
        "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
        "payment_method": _METHOD,
    }


def _product(number: int) -> str:
    return md5(f"product {number}".encode(), usedforsecurity=False).hexdigest()


def _beside_pgbench(database: PostgresOrders, results: Sequence[Result], seconds: float) -> None:
    rate = statistics.median(one.a_second for one in results)
    alone = _pgbench(database, max(1, round(seconds)))
    print(f"\npgbench, the same writes: {alone:,.0f} a second; the product is at {rate / alone:.2f} of it", flush=True)


def _pgbench(database: PostgresOrders, seconds: int) -> float:
    database.settle()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "placing.sql"
        script.write_text(re.sub(r'(":?\w*"):(?=["\w])', r"\1' || chr(58) || '", _SCRIPT))
        command: list[str | Path] = [database.server.programs / "pgbench", "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={_CLIENTS}", f"--jobs={os.cpu_count() or 1}", f"--time={seconds}", f"--file={script}"]
        done = subprocess.run(
            [*command, database.server.url(database.name)], capture_output=True, text=True, check=False
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())

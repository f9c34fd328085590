"""Fills a database with a million orders: SQL makes them within the database, from their places n = 1, 2, 3 …

The rows are those that the product writes when orders are placed and appointments are made over its API, in the
product's own tables. SQL makes them only because a million requests would take longer than the measurement. The SQL is
the same for both databases, except for the source of the numbers.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from countermand.actions.identity.secrets import hash_of
from countermand.contracts.connect.contract import CONTRACT as CONNECT
from countermand.contracts.shopping.contract import CONTRACT as SHOPPING
from countermand.domain.appointments.appointment import AppointmentState
from countermand.domain.client import Permission
from countermand.domain.orders.order import LARGEST_ORDER_ID
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState
from countermand.storage.repositories.rows import written
from countermand.storage.tables.columns import metadata, micros
from countermand.storage.tables.schema import COUNTERS
from sample import (
    CLIENTS,
    CONNECT_CLIENTS,
    ISSUER,
    KINDS,
    SHOPPING_CLIENTS,
    WITH_APPOINTMENT,
    WITH_TICKETS,
    client_name,
    secret_of,
)

Dialect = Literal["postgresql", "sqlite"]

PRODUCTS: Final = 50  # every ticket order is for one of these products, so their rows are busy
REASON: Final = "The visitor cannot come"  # the cancellation of a ticket order needs a reason
_LEFT: Final = 1000  # unsold pieces of each product
_NOTICE: Final = timedelta(hours=30)  # longer than the policy's 26 hours, and than any measurement
_LANGUAGES: Final = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")
_N: Final = "<n>"  # marks the order's place in a document
_NUMBERS: Final[dict[Dialect, str]] = {
    "postgresql": "generate_series(1::bigint, {0}) AS n(i)",
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0}) SELECT i FROM n) AS n",
}
_PREPARE: Final[dict[Dialect, tuple[str, ...]]] = {
    "postgresql": (
        # This is `order_id_of` of domain/orders/order.py. SQLite gets Python's function, and md5 as well.
        (
            "CREATE FUNCTION pg_temp.order_id_of(uid text) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN"
            " (('x' || encode(substr(sha256(uid::bytea), 1, 8), 'hex'))::bit(64)::bigint >> 2)"
            " & ((1::bigint << 62) - 1) | (1::bigint << 62)"
        ),
        "SET session_replication_role = replica",  # foreign keys hold by construction; checking each takes long
    ),
    "sqlite": (),
}
_FUNCTIONS: Final[dict[Dialect, str]] = {"postgresql": "pg_temp.order_id_of", "sqlite": "order_id_of"}
_COUNTERS: Final[dict[Dialect, str]] = {
    "postgresql": "SELECT setval('{0}_number', {1})",
    "sqlite": "INSERT INTO counters (name, last) VALUES ('{0}', {1})",
}
_TICKETS_CHOSEN: Final = f"i % {KINDS} = {WITH_TICKETS}"
_VISIT_CHOSEN: Final = f"i % {KINDS} = {WITH_APPOINTMENT}"
_SCATTERED: Final = "i * 2654435761 % 4294967296 / 65536"


def turns_table(name: str) -> str:
    """Return the table that maps turns to orders, for pgbench and for the check afterwards."""
    return f"bench_turns_{name}"


def places_table(name: str) -> str:
    """Return the table that a sequence's rows `turn, n` are loaded into before the statements run."""
    return f"bench_places_{name}"


def statements(dialect: Dialect, orders: int, sequences: Iterable[str]) -> Iterator[str]:
    """Yield the statements that fill a fresh schema; the places of the sequences are loaded already."""
    now = datetime.now(UTC)
    computed = _computed(orders, now)
    columns = ", ".join(f"{sql} AS {name}" for name, sql in computed.items())
    made = f"(SELECT i, {columns} FROM {_NUMBERS[dialect].format(orders)}) AS made"
    yield from _PREPARE[dialect]
    yield _insert("clients", _values(_clients(now)))
    for table, source in _of_orders(made).items():
        yield _insert(table, source).replace("order_id_of", _FUNCTIONS[dialect])
    # The orders have no handles, and no node begins to make them during the measurement.
    yield _insert("task_progress", _values([("handles", micros(now), LARGEST_ORDER_ID)]))
    for counter in COUNTERS:
        yield _COUNTERS[dialect].format(counter, orders)
    for name in sequences:
        yield (
            f"INSERT INTO {turns_table(name)} SELECT turn, id, client_id, contract,"
            f" CASE WHEN uid IS NOT NULL THEN '{REASON}' END, md5('command ' || turn)"
            f" FROM (SELECT turn, {columns} FROM (SELECT turn, n AS i FROM {places_table(name)}) AS place) AS made"
        ).replace("order_id_of", _FUNCTIONS[dialect])
        yield f"DROP TABLE {places_table(name)}"


def _computed(orders: int, now: datetime) -> dict[str, str]:
    """Return an order's facts, as SQL over its place `i`."""
    connect, shopping = CONNECT.name, SHOPPING.name
    states = (OrderState.SUBMITTED, OrderState.ACCEPTED, OrderState.IN_PROGRESS)
    state = " ".join(f"WHEN i % 7 % 3 = {which} THEN '{one.value}'" for which, one in enumerate(states))
    # All instants are within a day, so that no row is old enough to be deleted during a measurement.
    placed = micros(now - timedelta(hours=20))
    step = micros(now - timedelta(hours=1)) - placed
    first_visit_s = micros(now + _NOTICE) // 1_000_000
    uid = "md5('order ' || i)"
    return {
        "uid": f"CASE WHEN {_TICKETS_CHOSEN} THEN {uid} END",
        "id": f"CASE WHEN {_TICKETS_CHOSEN} THEN order_id_of({uid}) ELSE i END",
        "contract": f"CASE WHEN {_TICKETS_CHOSEN} THEN '{shopping}' ELSE '{connect}' END",
        "client_id": f"CASE WHEN {_TICKETS_CHOSEN} THEN {1 + CONNECT_CLIENTS} + {_SCATTERED} % {SHOPPING_CLIENTS}"
        f" ELSE 1 + {_SCATTERED} % {CONNECT_CLIENTS} END",
        "state": f"CASE WHEN {_TICKETS_CHOSEN} THEN '{SHOPPING.kind.opening_state.value}' {state} END",
        # The visit begins within ten days after the notice, on a whole second.
        "starts_at": f"CASE WHEN {_VISIT_CHOSEN} THEN ({first_visit_s} + i * 7919 % 864000) * 1000000 END",
        "placed_at": f"{placed} + {step} * i / {orders}",
        "product_uid": f"md5('product ' || (i * 1597334677 % 4294967296 / 65536 % {PRODUCTS}))",
    }


def _of_orders(made: str) -> dict[str, str]:
    """Return, by table, the source of its rows, with columns in the table's order. All but the last ascend by place."""
    connect, shopping = written(_SERVICE), written(_TICKETS)
    visit = '{"appointment_id":<n>,"starts_at":"<from>","ends_at":"<to>"}'
    opening = {one.name: written({"state": one.kind.opening_state}) for one in (CONNECT, SHOPPING)}
    bought, visits = f"FROM {made} WHERE {_TICKETS_CHOSEN}", f"FROM {made} WHERE {_VISIT_CHOSEN}"
    day = "2030-01-01T08:00:00Z"  # for the history, which the benchmark never reads
    return {
        "orders": "SELECT id, contract, client_id, CASE WHEN starts_at IS NULL THEN 1 ELSE 2 END, state, starts_at,"
        f" NULL, placed_at, NULL FROM {made}",
        "order_details": "SELECT id, uid, '' || i,"
        f" CASE WHEN uid IS NULL THEN {_text(connect)} ELSE {_text(shopping)} END,"
        f" CASE WHEN uid IS NOT NULL THEN {_TOTAL_MINOR} END, CASE WHEN uid IS NOT NULL THEN 'EUR' END FROM {made}",
        "order_lines": f"SELECT id, 1, product_uid, 2, NULL {bought}",
        "appointments": f"SELECT id, i, '{AppointmentState.BOOKED.value}', starts_at, starts_at + 14400000000,"
        f" NULL, NULL, NULL, NULL, NULL, NULL {visits}",
        "tickets": f"SELECT id, number, md5('ticket ' || i || ' ' || number), product_uid,"
        f" substr(md5('code ' || i || ' ' || number), 1, 20), TRUE, NULL"
        f" FROM {made} CROSS JOIN (SELECT 1 AS number UNION ALL SELECT 2) AS numbers WHERE {_TICKETS_CHOSEN}",
        "outbox": f"SELECT id, 1, '{OrderEventKind.ORDER_PLACED.value}', placed_at, client_id,"
        f" CASE WHEN uid IS NULL THEN {_text(opening[CONNECT.name])}"
        f" ELSE {_text(opening[SHOPPING.name])} END, placed_at + 1000000, NULL, NULL, contract, NULL, NULL FROM {made}"
        f" UNION ALL SELECT id, 2, '{OrderEventKind.APPOINTMENT_SET.value}', placed_at + 1000000, client_id,"
        f" {_text(visit.replace('<from>', day).replace('<to>', day))}, placed_at + 2000000, NULL, NULL,"
        f" NULL, NULL, NULL {visits}",
        "products": f"SELECT uid, {_text(_name('Day ticket'))}, 1250, 150, 'EUR', {_LEFT}, {_LEFT} + sold,"
        " NULL, '', 1, NULL, TRUE, TRUE, FALSE, FALSE, NULL, NULL, 0, '{}'"
        " FROM (SELECT product_uid AS uid, count(*) AS sold FROM tickets GROUP BY product_uid) AS sales",
    }


def _clients(now: datetime) -> Iterator[tuple[Any, ...]]:
    permissions = json.dumps(sorted((Permission.CREATE, Permission.READ, Permission.CANCEL)))
    for client in range(1, CLIENTS + 1):
        name = client_name(client)
        if client <= CONNECT_CLIENTS:
            yield (client, CONNECT.channel, name, permissions, None, None, ISSUER, name, micros(now), *[None] * 7)
        else:
            key = (name, hash_of(secret_of(client)), None, None)
            yield (client, SHOPPING.channel, name, permissions, *key, micros(now), *[None] * 7)


def _insert(table: str, source: str) -> str:
    names = ", ".join(column.name for column in metadata.tables[table].columns)
    return f"INSERT INTO {table} ({names}) {source}"


def _values(rows: Iterable[tuple[Any, ...]]) -> str:
    return "VALUES " + ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)


def _literal(value: str | int | None) -> str:
    return "NULL" if value is None else _text(value) if isinstance(value, str) else str(value)


def _text(document: str) -> str:
    """Return a text as SQL, with the order's place filled in."""
    quoted = document.replace("'", "''")
    return f"'{quoted}'".replace(_N, "' || i || '")


def _name(english: str) -> str:
    return json.dumps({language: english if language == "en" else "" for language in _LANGUAGES})


# The fields that a partner gives when it places an order.
_SERVICE: Final = {
    "sourceType": "nbn",
    "contactName": f"Jo Citizen {_N}",
    "contactPhone": "0412 345 678",
    "contactEmail": f"jo.{_N}@example.com",
    "remoteQualificationSearchId": f"QS{_N}",
    "qualificationSearchId": _N,
    "locationId": f"LOC{_N}",
    "planName": "Home Fast 100/20",
    "term": 1,
    "aggregationMethod": "L2TP",
    "customerReference": f"C-{_N}",
    "serviceId": 1,
}
_TOTAL_MINOR: Final = 2950
# The fields that the product stores of an order for tickets (`actions/ticketing/place.py`).
_TICKETS: Final = {
    "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": f"jo.{_N}@example.com", "country": "NL"},
    "external_purchases": [],
    "external_reference": f"bench-{_N}",
    "currency": "EUR",
    "product_total_minor": 2500,
    "service_costs_minor": 300,
    "grand_total_minor": _TOTAL_MINOR,
    "payment_method": {
        "uid": "6d1b2c0f8a7e4d5c9b3a1f0e2d4c6b8a",
        "name": json.loads(_name("iDeal")),
        "image": None,
        "costs_minor": 100,
        "currency": "EUR",
    },
    "shipping_method": {
        "uid": "0f8a7e4d5c9b3a1f0e2d4c6b8a6d1b2c",
        "name": json.loads(_name("Eticket")),
        "image": None,
        "costs_minor": 50,
        "currency": "EUR",
    },
    "etickets_token": f"bench-token-of-order-{_N}",
}

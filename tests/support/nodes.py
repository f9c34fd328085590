"""Starts nodes: `countermand serve` as separate processes, which share nothing but a PostgreSQL database."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from joserfc import jwt

from countermand.actions.identity.secrets import hash_of
from countermand.bootstrap.clock import utc_now
from countermand.domain.orders.order import OrderUid, order_id_of
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import migrate
from countermand.storage.tables.columns import metadata, micros
from own_postgres import OwnPostgres
from support.elsewhere import elsewhere
from support.processes import forked
from support.serving import PREFIX, Served, started
from support.world import ISSUER, signing_key

ROLE = "countermand_node"  # nobody's superuser: what a node may do, it may do as the owner of its database
PASSWORD = "pass-word-of-the-database"
PUBLIC_URL = "http://shop.test"
HOT_PRODUCTS = 3
PARTNER, SHOP, OPERATOR = 1, 2, 3

_numbers = count(1)


@dataclass(kw_only=True)
class Orders:
    """Orders to cancel: numbers of telecom orders, without a visit and with one, and uids of ticket orders."""

    plain: list[int]
    with_visit: list[int]
    tickets: list[str]


@dataclass(kw_only=True)
class Shop:
    """A database with a partner, a shop and an operator, and the headers that each of them calls with."""

    url: str
    folder: Path
    partner: dict[str, str] = field(default_factory=dict)
    shop: dict[str, str] = field(default_factory=dict)
    operator: dict[str, str] = field(default_factory=dict)

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Rows as another process sees them: committed ones alone."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def column(self, query: str, *values: Any) -> list[Any]:
        return [row[0] for row in await self.rows(query, *values)]

    async def orders(self, *, plain: int = 0, with_visit: int = 0, tickets: int = 0) -> Orders:
        """New orders that may be cancelled; a ticket order is for two tickets of one of a few products."""
        connection = await asyncpg.connect(self.url)
        try:
            return await _made(connection, plain, with_visit, tickets)
        finally:
            await connection.close()

    async def forget_orders(self) -> None:
        """As it was when it was new: no orders, and nothing of them."""
        of_orders = set(metadata.tables) - {"clients", "products", "policies", "schema_notes", "methods", "counters"}
        await self.rows(f"TRUNCATE {', '.join(sorted(of_orders))}")
        await self.rows("UPDATE products SET availability = 0, total_availability = 0")

    def uri(self, uid: str) -> str:
        return f"{PUBLIC_URL}/orders/{uid}"


@contextmanager
def a_shop(server: OwnPostgres, folder: Path, migrated: Callable[["Shop"], object] | None = None) -> Iterator[Shop]:
    """A new database on a server, `migrated` by this version or by another, with clients."""
    name = f"shop_{next(_numbers)}_{secrets.token_hex(3)}"
    server.sql(
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    server.sql(f"CREATE DATABASE {name} OWNER {ROLE} STRATEGY file_copy")
    made = Shop(url=url_at(server.port, name), folder=folder)
    if migrated is None:
        elsewhere(migrate, PostgresAddress(url=made.url))
    else:
        migrated(made)
    elsewhere(_add_clients, made)
    try:
        yield made
    finally:
        if server.pid is not None:
            server.drop_database(name)


def url_at(ports: int | Sequence[int], database: str) -> str:
    """A database's address, on one server or on several of which one takes writes."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ([ports] if isinstance(ports, int) else ports))
    return f"postgresql://{ROLE}:{PASSWORD}@{hosts}/{database}"


def environment_of(shop: Shop, **settings: Any) -> dict[str, str]:
    """The environment that makes a node serve the shop's database."""
    given = {
        "database_url": shop.url,
        "connect_issuer": ISSUER,
        "connect_key_set": shop.folder / "key-set.json",
        "public_url": PUBLIC_URL,
        "log_format": "json",
    } | settings
    return {PREFIX + name.upper(): str(value) for name, value in given.items()}


@contextmanager
def a_node(shop: Shop, *arguments: str, **settings: Any) -> Iterator[Served]:
    """A running node. `settings` overrides any setting."""
    environment = environment_of(shop, **settings)
    with started(
        lambda port, log: forked("serve", "--port", port, *arguments, environment=environment, stderr=log), shop.folder
    ) as node:
        yield node


async def _add_clients(shop: Shop) -> None:
    """A partner, a shop and an operator, and the products that are sold."""
    now, now_s = micros(utc_now()), int(time.time())
    (shop.folder / "key-set.json").write_text(json.dumps({"keys": [signing_key().as_dict(private=False)]}))
    secret = secrets.token_urlsafe(32)
    claims = {"iss": ISSUER, "clientId": "partner", "typ": "Bearer", "iat": now_s, "exp": now_s + 3600}
    header = {"alg": "RS256", "typ": "JWT", "kid": signing_key().kid}
    token = jwt.encode(header, claims, signing_key(), algorithms=["RS256"])
    shop.partner = {"Authorization": f"Bearer {token}", "X-API-VERSION": "7"}
    shop.shop = {"Authorization": "Basic " + base64.b64encode(f"the-shop:{secret}".encode()).decode()}
    shop.operator = {"Authorization": f"Bearer the-operator.{secret}"}
    may = json.dumps(["cancel", "create", "read", "record"])
    callers = [
        (PARTNER, "connect", "Partner", may, None, None, ISSUER, "partner", now),
        (SHOP, "shopping", "Shop", may, "the-shop", hash_of(secret), None, None, now),
        (OPERATOR, "manage", "Operator", may, "the-operator", hash_of(secret), None, None, now),
    ]
    name = json.dumps({"en": "Day ticket"})
    products = [(f"{n:032x}", name, 1250, 0, "EUR", 0, 0) for n in range(HOT_PRODUCTS)]
    connection = await asyncpg.connect(shop.url)
    # By name: the schema may be an older one, or have columns that nobody here knows.
    columns = ["id", "door", "name", "permissions", "key", "secret_sha256", "issuer", "subject", "created_at"]
    await connection.copy_records_to_table("clients", records=callers, columns=columns)
    await connection.execute("SELECT setval('clients_id_seq', 100)")
    columns = ["uid", "name", "price_minor", "service_costs_minor", "currency", "availability", "total_availability"]
    await connection.copy_records_to_table("products", records=products, columns=columns)
    await connection.close()


async def _made(connection: Any, plain: int, with_visit: int, tickets: int) -> Orders:
    now = utc_now()
    at, starts_at = micros(now), micros(now + timedelta(hours=30))
    ids = [
        row[0]
        for row in await connection.fetch(
            "SELECT nextval('order_number') FROM generate_series(1, $1::int)", plain + with_visit
        )
    ]
    uids = [secrets.token_hex(16) for _ in range(tickets)]
    made = Orders(plain=ids[:plain], with_visit=ids[plain:], tickets=uids)
    orders = [(id_, "connect", PARTNER, 1, "submitted", None, None, at) for id_ in made.plain]
    orders += [(id_, "connect", PARTNER, 1, "submitted", starts_at, None, at) for id_ in made.with_visit]
    orders += [(order_id_of(OrderUid(uid)), "shopping", SHOP, 1, "pending", None, None, at) for uid in uids]
    details = [(id_, None, str(id_), _SERVICE) for id_ in ids]
    details += [(order_id_of(OrderUid(uid)), uid, uid[:8], _TICKETS) for uid in uids]
    visits = [(id_, id_, "booked", starts_at, starts_at + 3_600_000_000, *[None] * 5) for id_ in made.with_visit]
    lines, places = [], []
    for n, uid in enumerate(uids):
        order_id, product = order_id_of(OrderUid(uid)), f"{n % HOT_PRODUCTS:032x}"
        lines.append((order_id, 1, product, 2, None))
        places += [(order_id, number, secrets.token_hex(16), product, secrets.token_hex(8), True) for number in (1, 2)]
    rows = {"orders": orders, "order_details": details, "appointments": visits, "order_lines": lines, "tickets": places}
    async with connection.transaction():
        for table, records in rows.items():
            if records:  # as an older node writes them: without the columns that a table has got since
                columns = [one.name for one in metadata.tables[table].columns][: len(records[0])]
                await connection.copy_records_to_table(table, records=records, columns=columns)
        await connection.execute(
            "UPDATE products SET total_availability = availability +"
            " (SELECT count(*) FROM tickets WHERE product_uid = products.uid AND valid)"
        )
        if ids:
            await connection.execute("SELECT setval('appointment_number', $1)", max(ids))
    return made


_SERVICE = json.dumps({"sourceType": "nbn", "locationId": "LOC380100009114", "planName": "Home Fast 100/20"})
_TICKETS = json.dumps(
    {
        "consumer": {"first_name": "Jo", "last_name": "Visitor"},
        "currency": "EUR",
        "product_total_minor": 2500,
        "service_costs_minor": 0,
        "grand_total_minor": 2500,
        "payment_method": None,
        "shipping_method": None,
        "etickets_token": "token",
    }
)

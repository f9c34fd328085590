"""Runs a whole service in the test's process: a real database, a clock that the test sets, and all kinds of clients."""

import asyncio
import atexit
import base64
import contextlib
import functools
import itertools
import json
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from litestar.types import ASGIApp
from sqlalchemy import insert, select

from countermand.actions.appointments.set import set_appointment
from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.actions.identity.secrets import hash_of
from countermand.actions.identity.staff import make_token
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.actions.ordering.views import Line, OrderView
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.bootstrap.database import Database, open_database
from countermand.bootstrap.service import Service, build
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment
from countermand.domain.client import Client, Permission
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId, OrderUid
from countermand.domain.orders.order_details import ServiceOrderDetails, TicketOrderDetails, TicketOrderGiven
from countermand.domain.orders.order_state import Transition
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from countermand.domain.ticketing.consumer import Consumer
from countermand.settings import Settings, read_settings
from countermand.storage.schema import migrate
from countermand.storage.tables.catalogue import methods, products
from countermand.storage.tables.columns import metadata
from support.contracts import CONNECT, SHOPPING
from support.outside_world import OutsideWorld
from support.postgres import a_database

ISSUER = "http://localhost:10342/auth/realms/superloop"
PUBLIC_URL = "http://shop.test"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EVERYTHING = frozenset(Permission)
EVERYTHING_OF_ITS_OWN = EVERYTHING - {Permission.READ_ALL}

_signing_key: RSAKey | None = None


def signing_key() -> RSAKey:
    """One RSA key for the whole run: making one takes a tenth of a second."""
    global _signing_key  # noqa: PLW0603
    if _signing_key is None:
        _signing_key = RSAKey.generate_key(2048, {"kid": "test-key", "use": "sig", "alg": "RS256"})
    return _signing_key


@dataclass
class Clock:
    """What time it is, as the test says."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Caller:
    """A client with what it needs to call."""

    client: Client
    key: str = ""
    secret: str = ""
    subject: str = ""

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()


@dataclass
class World:
    """The service and everything around it. Made by the fixture `world`."""

    folder: Path
    settings: Settings
    clock: Clock
    database: Database
    service: Service
    http: httpx.AsyncClient
    outside: OutsideWorld
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def endpoints(self) -> EndpointAdministration:
        return self.service.endpoints

    # who calls

    async def connect_client(
        self, subject: str = "partner", *, permissions: frozenset[Permission] = EVERYTHING
    ) -> Caller:
        client = await self.database.clients.add(
            channel=CONNECT.channel,
            name=subject,
            permissions=permissions,
            key=None,
            secret_sha256=None,
            identity=(ISSUER, subject),
            now=self.clock(),
        )
        return Caller(client, subject=subject)

    async def shopping_client(self, *, permissions: frozenset[Permission] = EVERYTHING_OF_ITS_OWN) -> Caller:
        return await self.client_with_secret(SHOPPING.channel, permissions)

    async def manage_client(self, *, permissions: frozenset[Permission] = EVERYTHING) -> Caller:
        return await self.client_with_secret(MANAGE, permissions)

    async def client_with_secret(self, channel: Channel, permissions: frozenset[Permission]) -> Caller:
        key, secret = secrets.token_hex(12), secrets.token_urlsafe(32)
        client = await self.database.clients.add(
            channel=channel,
            name=f"{channel} {key[:4]}",
            permissions=permissions,
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=self.clock(),
        )
        return Caller(client, key, secret)

    async def person(self, staff_id: str, *roles: Role, client: Caller | None = None) -> Caller:
        """A person with a token. The caller's client is that of the token."""
        database, called = self.database, client or await self.manage_client()
        given = StaffId(staff_id)
        await database.staff.add(given, name=staff_id.title(), roles=frozenset(roles), now=self.clock())
        made = await make_token(database.staff, database.clients, given, called.client.id, self.clock())
        key, _, secret = made.token.partition(".")
        return Caller(called.client, key, secret)

    def claims(self, subject: str, **changed: Any) -> dict[str, Any]:
        """Claims as on the published page. `changed` overrides; a value of None leaves the claim out."""
        now_s = int(self.clock().timestamp())
        claims = {
            "exp": now_s + 3000,
            "iat": now_s,
            "auth_time": 0,
            "jti": secrets.token_hex(16),
            "iss": ISSUER,
            "sub": "ca0ce66a-408c-4b3a-aa73-119b492346bc",
            "typ": "Bearer",
            "azp": subject,
            "scope": "",
            "clientId": subject,
            "userId": "11001",
        } | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, caller: Caller | str, **changed: Any) -> str:
        subject = caller if isinstance(caller, str) else caller.subject
        header = {"alg": "RS256", "typ": "JWT", "kid": signing_key().kid}
        return jwt.encode(header, self.claims(subject, **changed), signing_key(), algorithms=["RS256"])

    def connect_headers(self, caller: Caller, **more: str) -> dict[str, str]:
        """`more` has header names with _ for -: connect_headers(me, Idempotency_Key="k")."""
        return {
            "Authorization": f"Bearer {self.token(caller)}",
            "X-API-VERSION": "7",
            "Content-Type": "application/json",
        } | {name.replace("_", "-"): value for name, value in more.items()}

    def shopping_headers(self, caller: Caller, **more: str) -> dict[str, str]:
        return {"Authorization": caller.basic, "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in more.items()
        }

    def manage_headers(self, caller: Caller, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {caller.key}.{caller.secret}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in more.items()
        }

    # orders, through the same actions as every request

    async def service_order(
        self, owner: Caller, *, appointment_in: timedelta | None = None, moves: tuple[Transition, ...] = ()
    ) -> OrderId:
        details = ServiceOrderDetails(source_type="nbn", location_id="LOC380100009114", plan_name="Home Fast 100/20")
        async with self.database.store.transaction() as tx:
            view = await place_service_order(tx, owner.client.id, details, self.clock(), contract=CONNECT.name)
        order_id = view.order.id
        if appointment_in is not None:
            await self.appointment(order_id, appointment_in)
        for move in moves:
            await self.advance(order_id, move)
        return order_id

    async def appointment(self, order_id: OrderId, starts_in: timedelta) -> Appointment:
        starts_at = self.clock() + starts_in
        async with self.database.store.transaction() as tx:
            order = await tx.order(order_id)
            assert order is not None
            return await set_appointment(
                tx, Actor(order.client_id), order_id, starts_at, starts_at + timedelta(hours=4), self.clock()
            )

    async def advance(self, order_id: OrderId, move: Transition) -> None:
        async with self.database.store.transaction() as tx:
            order = await tx.order(order_id)
            assert order is not None
            await advance_order(tx, Actor(order.client_id), order_id, move, self.clock())

    async def product(self, *, stock: int = 100, price_minor: int = 1250) -> str:
        uid = secrets.token_hex(16)
        async with self.database.store.transaction() as tx:
            await tx.run(
                insert(products).values(
                    uid=uid,
                    name=json.dumps({"en": "Day ticket"}),
                    price_minor=price_minor,
                    service_costs_minor=0,
                    currency="EUR",
                    availability=stock,
                    total_availability=stock,
                )
            )
        return uid

    async def payment_method(self, *, costs_minor: int = 100) -> str:
        uid = secrets.token_hex(16)
        async with self.database.store.transaction() as tx:
            name = json.dumps({"en": "iDeal"})
            await tx.run(
                insert(methods).values(
                    uid=uid, kind="payment", name=name, image=None, costs_minor=costs_minor, currency="EUR"
                )
            )
        return uid

    async def ticket_order(
        self,
        owner: Caller,
        *,
        product: str | None = None,
        quantity: int = 2,
        uid: str | None = None,
        paid: bool = False,
    ) -> OrderView:
        wanted = TicketOrder(
            lines=[Line(product_uid=product or await self.product(), quantity=quantity)],
            payment_method_uid=await self.payment_method(costs_minor=0),
            shipping_method_uid=None,
            given=TicketOrderGiven(consumer=Consumer(first_name="John", last_name="Doe")),
        )
        async with self.database.store.transaction() as tx:
            made = None if uid is None else OrderUid(uid)
            view = await place_ticket_order(tx, owner.client.id, wanted, self.clock(), contract=SHOPPING.name, uid=made)
        if paid:
            await self.pay(view.order.id)
        return view

    async def pay(self, order_id: OrderId, reference: str | None = None) -> None:
        async with self.database.store.transaction() as tx:
            order = await tx.order(order_id)
            assert order is not None
            details = (await tx.views([order_id]))[order_id].details
            money = details.total if isinstance(details, TicketOrderDetails) else Money(minor=2500, currency="EUR")
            if money.minor == 0:  # the order needs no payment, and a payment of 0 is refused
                return
            await record_payment(
                tx, Actor(order.client_id), order_id, reference or secrets.token_hex(8), money, self.clock()
            )

    def uri(self, view: OrderView) -> str:
        return f"{PUBLIC_URL}/orders/{view.order.uid}"

    # the cancellation, below HTTP

    def command(self, caller: Caller, order_id: OrderId, *, key: str | None = None, **more: Any) -> CancelOrder:
        same = f"cancel {order_id}"
        fingerprints = Fingerprints(request=same, message=same)
        return CancelOrder(
            command_id=CommandId(secrets.token_hex(16)),
            order_id=order_id,
            actor=Actor(caller.client.id, caller.client.channel),
            idempotency=None if key is None else IdempotencyKey(key=key, fingerprints=fingerprints),
            **more,
        )

    async def cancel(self, caller: Caller, order_id: OrderId, **more: Any) -> CancelOutcome:
        return await self.service.commit.submit(self.command(caller, order_id, **more))

    # what the database has

    async def rows(self, table: str, order_id: OrderId | None = None) -> list[dict[str, Any]]:
        """A table's rows (of one order) by their keys, as plain values: what happened, and what did not."""
        it = metadata.tables[table]
        query = select(it)
        if order_id is not None:
            query = query.where((it.c.id if table == "orders" else it.c.order_id) == order_id)
        async with self.database.store.snapshot() as reading:
            rows = [dict(row) for row in await reading.rows(query)]
        return sorted(rows, key=lambda row: tuple(row[column.name] for column in it.primary_key))


@functools.cache
def migrated() -> Path:
    """An empty database of the newest schema, made once a run: migrating takes longer than most tests."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "template.sqlite3"
    migrate(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@asynccontextmanager
async def a_world(
    folder: Path,
    on: str = "sqlite",
    *,
    with_front: bool = True,
    contracts: Sequence[Contract] = CONTRACTS,
    **settings: Any,
) -> AsyncIterator[World]:
    """A service on a new database of its own, `on` "sqlite" or "postgres".

    `settings` overrides any setting, and `contracts` are those in force.
    """
    with contextlib.ExitStack() as stack:
        if on == "postgres" and "database_url" not in settings:
            settings["database_url"] = stack.enter_context(a_database())
        async with _a_world(folder, with_front=with_front, contracts=contracts, **settings) as made:
            yield made


@asynccontextmanager
async def _a_world(
    folder: Path, *, with_front: bool, contracts: Sequence[Contract], **settings: Any
) -> AsyncIterator[World]:
    key_set = folder / "key-set.json"
    key_set.write_text(json.dumps({"keys": [signing_key().as_dict(private=False)]}))
    read = read_settings(
        contracts=contracts,
        **{
            "database_path": folder / "test.sqlite3",
            "connect_issuer": ISSUER,
            "connect_key_set": str(key_set),
            "client_refresh_s": 0,
            "log_level": "error",
            "deliveries": False,  # the tests of deliveries take each step themselves
        }
        | settings,
    )
    if read.is_sqlite and not read.database_path.exists():
        shutil.copy(migrated(), read.database_path)
    clock = Clock()
    database = await open_database(read, contracts=contracts)
    outside = OutsideWorld()
    service = build(
        read, database, read.public_url or PUBLIC_URL, clock=clock, with_front=with_front, outside=outside.joined()
    )
    transport = httpx.ASGITransport(service.application, raise_app_exceptions=False)
    async with (
        running(service.application),
        httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http,
    ):
        yield World(folder, read, clock, database, service, http, outside)
    await database.close()


@asynccontextmanager
async def running(application: ASGIApp) -> AsyncIterator[None]:
    """Start and stop an application as a server does."""
    to_application: asyncio.Queue[Any] = asyncio.Queue()
    from_application: asyncio.Queue[Any] = asyncio.Queue()
    scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(application(scope, to_application.get, from_application.put))
    for moment in ("startup", "shutdown"):
        await to_application.put({"type": f"lifespan.{moment}"})
        said = await from_application.get()
        assert said["type"] == f"lifespan.{moment}.complete", said
        if moment == "startup":
            yield
    await task

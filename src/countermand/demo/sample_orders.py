"""The demo's orders: topped up at every start, so that there are always enough in each state worth trying."""

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, insert, select
from sqlalchemy.sql.elements import ColumnElement

from countermand.actions.cancel_orders import CancelOrders
from countermand.actions.explain import PolicyArchive
from countermand.actions.place_orders import TicketOrder, place_service_order, place_ticket_order
from countermand.actions.ports import CancelOrder, Line, new_command_id
from countermand.actions.record_progress import advance_order, record_payment, set_appointment
from countermand.bootstrap import Database, addresses_of, utc_now
from countermand.demo.credentials import ISSUER, Credentials
from countermand.domain.client import Client, Permission
from countermand.domain.contract import Door
from countermand.domain.money import Money
from countermand.domain.order import OrderId
from countermand.domain.order_state import CANCELLABLE_STATES, Move, OrderState
from countermand.settings import Settings
from countermand.storage.tables import methods, order_details, orders, products
from countermand.web.auth import hash_of

_PLENTY: Final = 40
_FEW: Final = 3
_LISTED: Final = 100
_TOKEN_LIFE: Final = timedelta(hours=24)
_ALL: Final = frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL})
_LANGUAGES: Final = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")


def _uid(name: str) -> str:
    """A uid that is the same at every first start: these name things that are no secret."""
    return hashlib.sha256(f"countermand demo: {name}".encode()).hexdigest()[:32]


def _name(english: str) -> str:
    return json.dumps({language: english if language == "en" else "" for language in _LANGUAGES})


_PRODUCTS: Final[Sequence[dict[str, Any]]] = (
    {"uid": _uid("day ticket"), "name": _name("Day ticket"), "price_minor": 1250, "service_costs_minor": 150},
    {"uid": _uid("locker"), "name": _name("Locker"), "price_minor": 500, "service_costs_minor": 0},
)
_STOCK: Final = 10_000
_METHODS: Final[Sequence[dict[str, Any]]] = (
    {"uid": _uid("ideal"), "kind": "payment", "name": _name("iDeal"), "image": None, "costs_minor": 100},
    {"uid": _uid("eticket"), "kind": "shipping", "name": _name("Eticket"), "image": None, "costs_minor": 50},
)


class SampleOrders:
    """Makes what is missing, through the same actions as every request, and lists what there is."""

    def __init__(self, settings: Settings, database: Database, credentials: Credentials, url: str) -> None:
        self._settings = settings
        self._database = database
        self._credentials = credentials
        self._addresses = addresses_of(settings, url)
        self._url = url
        self._now = utc_now()

    async def prepare(self) -> dict[str, Any]:
        """What `demo.json` says; names with an underscore are for the welcome alone."""
        await self._database.store.keep_policies(list(self._database.policies.by_contract.values()), self._now)
        await self._catalogue()
        manage = await self._client(Door.MANAGE, "manage", frozenset(Permission) - {Permission.CREATE})
        key, secret = self._credentials.keys["manage"]
        connect = await self._connect(manage)
        shopping = await self._shopping(manage)
        return {"base_url": self._url, **connect, **shopping, "manage": {"token": f"{key}.{secret}"}}

    async def _connect(self, manage: Client) -> dict[str, Any]:
        mine = await self._client(Door.CONNECT, "demo-partner", _ALL)
        other = await self._client(Door.CONNECT, "demo-other-partner", _ALL)
        free = and_(orders.c.state.in_(CANCELLABLE_STATES), orders.c.appointment_starts_at.is_(None))
        active = orders.c.state == OrderState.ACTIVATED
        await self._top_up(mine, free, _PLENTY, self._service_order)
        await self._top_up(other, free, _FEW * 2, self._service_order)

        await self._top_up(mine, active, _FEW, lambda client: self._activated(client, manage))
        in_25h = [await self._with_appointment(mine, manage, 25) for _ in range(_FEW)]
        in_30h = [await self._with_appointment(mine, manage, 30) for _ in range(_FEW)]
        token = self._credentials.access_token
        return {
            "connect": {
                "access_token": token("demo-partner", self._now, _TOKEN_LIFE),
                "other_access_token": token("demo-other-partner", self._now, _TOKEN_LIFE),
                "expired_access_token": token("demo-partner", self._now - 2 * _TOKEN_LIFE, _TOKEN_LIFE),
                "orders": {
                    "cancellable": await self._ids(mine, free),
                    "appointment_in_25h": in_25h,
                    "appointment_in_30h": in_30h,
                    "activated": await self._ids(mine, active),
                    "others": await self._ids(other, free),
                },
            }
        }

    async def _shopping(self, manage: Client) -> dict[str, Any]:
        mine = await self._client(Door.SHOPPING, "shopping", _ALL)
        other = await self._client(Door.SHOPPING, "shopping_other", _ALL)
        without = await self._client(Door.SHOPPING, "shopping_no_permission", _ALL - {Permission.CANCEL})
        unpaid = and_(orders.c.state == OrderState.PENDING, orders.c.first_payment_at.is_(None))
        paid = and_(orders.c.state == OrderState.COMPLETED, orders.c.first_payment_at.is_not(None))
        cancelled = orders.c.state == OrderState.CANCELLED
        await self._top_up(mine, unpaid, _PLENTY, self._ticket_order)
        await self._top_up(other, unpaid, _FEW, self._ticket_order)
        await self._top_up(without, unpaid, _FEW, self._ticket_order)

        await self._top_up(mine, paid, _FEW, lambda client: self._paid(client, manage))
        await self._top_up(mine, cancelled, 1, self._cancelled)
        (key, secret), (other_key, other_secret) = (self._credentials.keys[n] for n in ("shopping", "shopping_other"))
        no_permission_key, no_permission_secret = self._credentials.keys["shopping_no_permission"]
        return {
            "shopping": {
                "key": key,
                "secret": secret,
                "other_key": other_key,
                "other_secret": other_secret,
                "no_permission_key": no_permission_key,
                "no_permission_secret": no_permission_secret,
                "orders": {
                    "cancellable": await self._uris(mine, unpaid),
                    "paid": await self._uris(mine, paid),
                    "others": await self._uris(other, unpaid),
                    "no_permission": await self._uris(without, unpaid),
                },
            },
            "_cancelled_ticket_order": (await self._uris(mine, cancelled))[0],
        }

    async def _client(self, door: Door, name: str, permissions: frozenset[Permission]) -> Client:
        """The client of this name, made where it is missing."""
        clients = self._database.clients
        if door is Door.CONNECT:
            known = await clients.by_identity(ISSUER, name)
            key, secret_sha256, identity = None, None, (ISSUER, name)
        else:
            key, secret = self._credentials.keys[name]
            found = await clients.by_key(key)
            known, secret_sha256, identity = found and found[0], hash_of(secret), None
        return known or await clients.add(
            door=door,
            name=name,
            permissions=permissions,
            key=key,
            secret_sha256=secret_sha256,
            identity=identity,
            now=self._now,
        )

    async def _catalogue(self) -> None:
        """What tickets can be bought, and how they are paid and sent."""
        async with self._database.store.transaction() as tx:
            known = await tx.products([product["uid"] for product in _PRODUCTS])
            for product in _PRODUCTS:
                if product["uid"] not in known:
                    stock = {"currency": "EUR", "availability": _STOCK, "total_availability": _STOCK}
                    await tx.run(insert(products).values(**product, **stock))
            methods_known = await tx.methods([method["uid"] for method in _METHODS])
            for method in _METHODS:
                if method["uid"] not in methods_known:
                    await tx.run(insert(methods).values(**method, currency="EUR"))

    async def _top_up(
        self, client: Client, state: ColumnElement[bool], wanted: int, make: Callable[[Client], Awaitable[Any]]
    ) -> None:
        for _ in range(wanted - len(await self._ids(client, state))):
            await make(client)

    async def _service_order(self, client: Client) -> OrderId:
        details = {
            "sourceType": "nbn",
            "contactName": "Jo Citizen",
            "contactPhone": "0412 345 678",
            "contactEmail": "jo@example.com",
            "locationId": "LOC380100009114",
            "planName": "Home Fast 100/20",
            "aggregationMethod": "L2TP",
            "customerReference": f"demo-{secrets.token_hex(3)}",
        }
        async with self._database.store.transaction() as tx:
            return (await place_service_order(tx, client.id, details, self._now)).order.id

    async def _with_appointment(self, client: Client, manage: Client, in_h: int) -> OrderId:
        order_id = await self._service_order(client)
        starts_at = self._now.replace(microsecond=0) + timedelta(hours=in_h)
        async with self._database.store.transaction() as tx:
            await set_appointment(tx, manage.id, order_id, starts_at, starts_at + timedelta(hours=4), self._now)
        return order_id

    async def _ticket_order(self, client: Client) -> OrderId:
        day, locker = (product["uid"] for product in _PRODUCTS)
        payment, shipping = (method["uid"] for method in _METHODS)
        wanted = TicketOrder(
            lines=[Line(product_uid=day, quantity=2), Line(product_uid=locker, quantity=1)],
            payment_method_uid=payment,
            shipping_method_uid=shipping,
            details={
                "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
                "external_purchases": [],
                "external_reference": f"demo-{secrets.token_hex(3)}",
            },
        )
        async with self._database.store.transaction() as tx:
            return (await place_ticket_order(tx, client.id, wanted, self._now)).order.id

    async def _paid(self, client: Client, manage: Client) -> None:
        order_id = await self._ticket_order(client)
        async with self._database.store.transaction() as tx:
            details = (await tx.views([order_id]))[order_id].details
            total = Money(minor=details["grand_total_minor"], currency=details["currency"])
            await record_payment(tx, manage.id, order_id, f"demo-{secrets.token_hex(6)}", total, self._now)

    async def _activated(self, client: Client, manage: Client) -> None:
        order_id = await self._service_order(client)
        for move in (Move.ACCEPT, Move.START, Move.ACTIVATE):
            async with self._database.store.transaction() as tx:
                await advance_order(tx, manage.id, order_id, move, self._now)

    async def _cancelled(self, client: Client) -> None:
        database = self._database
        cancel = CancelOrders(
            store=database.cancellations,
            policies=database.policies,
            archive=PolicyArchive(store=database.store),
            clock=utc_now,
        )
        command = CancelOrder(
            command_id=new_command_id(),
            order_id=await self._ticket_order(client),
            client_id=client.id,
            door=Door.SHOPPING,
            reason="A sample of an order that is cancelled already",
        )
        await cancel([command])

    async def _ids(self, client: Client, state: ColumnElement[bool]) -> list[int]:
        query = select(orders.c.id).where(orders.c.client_id == client.id, state).order_by(orders.c.created_at)
        async with self._database.store.snapshot() as reading:
            return [row["id"] for row in await reading.rows(query.order_by(orders.c.id).limit(_LISTED))]

    async def _uris(self, client: Client, state: ColumnElement[bool]) -> list[str]:
        ids = await self._ids(client, state)
        query = select(order_details.c.uid).where(order_details.c.order_id.in_(ids))
        async with self._database.store.snapshot() as reading:
            return sorted(self._addresses.order(row["uid"]) for row in await reading.rows(query))

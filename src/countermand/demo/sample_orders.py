"""The demo's orders: topped up at every start, so that there are always enough in each state worth trying."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Final

from sqlalchemy import and_, select
from sqlalchemy.sql.elements import ColumnElement

from countermand.actions.appointments.load_calendar import load_slots, slot_at
from countermand.actions.appointments.set import set_appointment
from countermand.actions.cancelling.cancel_orders import CancelOrders
from countermand.actions.cancelling.command_ids import new_command_id
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.identity.secrets import hash_of
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.actions.ports import CancelOrder, Line
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database
from countermand.bootstrap.service import addresses_of, token_issuer_of
from countermand.demo.credentials import OTHER_PARTNER, PARTNER, Credentials, private_key_file
from countermand.demo.sample_catalogue import DAY_TICKET, ETICKET, EVENT, IDEAL, LOCKER, PRODUCTS, prepare_catalogue
from countermand.domain.client import OWN_ISSUER, Client, Permission
from countermand.domain.contract import Door
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState, Transition
from countermand.identity.browser_tokens import browser_token
from countermand.settings import Settings
from countermand.storage.tables.orders import order_details, orders

_PLENTY: Final = 40
_FEW: Final = 3
_LISTED: Final = 100
_BROWSER_TOKEN_LIFE: Final = timedelta(days=365)
_TOKEN_LIFE: Final = timedelta(hours=24)
_ALL: Final = frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL})


_EASTERN: Final = timezone(timedelta(hours=10))  # Brisbane's, all year
_DAYS: Final = 28
_VISITS: Final = 4  # in each slot
_USUAL: Final = (Line(product_uid=DAY_TICKET, quantity=2), Line(product_uid=LOCKER, quantity=1))


class SampleOrders:
    """Makes what is missing, through the same actions as every request, and lists what there is."""

    def __init__(
        self, settings: Settings, database: Database, credentials: Credentials, url: str, folder: Path
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._database = database
        self._credentials = credentials
        self._addresses = addresses_of(settings, url)
        self._url = url
        self._now = utc_now()

    async def prepare(self) -> dict[str, Any]:
        """What `demo.json` says; names with an underscore are for the welcome alone."""
        await self._database.store.keep_policies(list(self._database.policies.by_contract.values()), self._now)
        await self._catalogue()
        await self._calendar()
        manage = await self._client(Door.MANAGE, "manage", frozenset(Permission) - {Permission.CREATE})
        key, secret = self._credentials.keys["manage"]
        connect = await self._connect(manage)
        shopping = await self._shopping(manage)
        return {"base_url": self._url, **connect, **shopping, "manage": {"token": f"{key}.{secret}"}}

    async def _calendar(self) -> None:
        """Visits are possible on every day of the next weeks, in the morning and in the afternoon."""
        midnight = self._now.astimezone(_EASTERN).replace(hour=0, minute=0, second=0, microsecond=0)
        slots = []
        for day in range(_DAYS):
            for name, starts_h, ends_h in (("am", 8, 12), ("pm", 13, 17)):
                there = midnight + timedelta(days=day)
                starts_at, ends_at = there + timedelta(hours=starts_h), there + timedelta(hours=ends_h)
                slots.append(slot_at(f"{there:%Y-%m-%d}-{name}", "", starts_at, ends_at, None, _VISITS))
        async with self._database.store.transaction() as tx:
            await load_slots(tx, slots)

    async def _connect(self, manage: Client) -> dict[str, Any]:
        mine = await self._partner(PARTNER)
        other = await self._partner(OTHER_PARTNER)
        free = and_(orders.c.state.in_(CANCELLABLE_STATES), orders.c.appointment_starts_at.is_(None))
        active = orders.c.state == OrderState.ACTIVATED
        await self._top_up(mine, free, _PLENTY, self._service_order)
        await self._top_up(other, free, _FEW * 2, self._service_order)

        await self._top_up(mine, active, _FEW, lambda client: self._activated(client, manage))
        in_25h = [await self._with_appointment(mine, manage, 25) for _ in range(_FEW)]
        in_30h = [await self._with_appointment(mine, manage, 30) for _ in range(_FEW)]
        own = token_issuer_of(self._settings, self._database, self._url)
        assert own is not None
        await own.open()
        return {
            "connect": {
                "token_url": own.token_url,
                "client_id": PARTNER,
                "key_id": self._credentials.client_keys[PARTNER].kid,
                "private_key_file": str(private_key_file(self._folder, PARTNER)),
                # Longer than those that the endpoint gives out: for whoever has just come to look.
                "access_token": own.access_token(mine, self._now, life=_TOKEN_LIFE),
                "other_access_token": own.access_token(other, self._now, life=_TOKEN_LIFE),
                "expired_access_token": own.access_token(mine, self._now - 2 * _TOKEN_LIFE, life=_TOKEN_LIFE),
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

        await self._sell_out(other, manage, PRODUCTS["sold_out"])
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
                "bearer_token": browser_token(
                    mine, hash_of(secret), event_uid=EVENT, now=self._now, life=_BROWSER_TOKEN_LIFE
                ),
                "event": self._addresses.event(EVENT),
                "products": {name: self._addresses.product(uid) for name, uid in PRODUCTS.items()},
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
        key, secret = self._credentials.keys[name]
        found = await self._database.clients.by_key(key)
        if found is not None:
            return found[0]
        return await self._database.clients.add(
            door=door,
            name=name,
            permissions=permissions,
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=self._now,
        )

    async def _partner(self, name: str) -> Client:
        """The client of our own token endpoint of this name; its key is the one in the folder."""
        clients, client_key = self._database.clients, self._credentials.client_keys[name]
        known = await clients.by_identity(OWN_ISSUER, name)
        if known is None:
            return await clients.add(
                door=Door.CONNECT,
                name=name,
                permissions=_ALL,
                key=None,
                secret_sha256=None,
                identity=(OWN_ISSUER, name),
                now=self._now,
                client_key=client_key,
            )
        if await self._database.client_keys.live(name, client_key.kid) is None:  # its file was taken away
            await clients.rotate_key(known.id, client_key, self._now, keep_old=False)
        return known

    async def _catalogue(self) -> None:
        async with self._database.store.transaction() as tx:
            await prepare_catalogue(tx, self._now)

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
            "term": 1,
            "qualificationSearchId": "1",
            "remoteQualificationSearchId": "QS000000000001",
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

    async def _ticket_order(self, client: Client, lines: Sequence[Line] = _USUAL) -> OrderId:
        wanted = TicketOrder(
            lines=lines,
            payment_method_uid=IDEAL,
            shipping_method_uid=ETICKET,
            details={
                "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
                "external_purchases": [],
                "external_reference": f"demo-{secrets.token_hex(3)}",
            },
        )
        async with self._database.store.transaction() as tx:
            return (await place_ticket_order(tx, client.id, wanted, self._now)).order.id

    async def _paid(self, client: Client, manage: Client, lines: Sequence[Line] = _USUAL) -> None:
        order_id = await self._ticket_order(client, lines)
        async with self._database.store.transaction() as tx:
            details = (await tx.views([order_id]))[order_id].details
            total = Money(minor=details["grand_total_minor"], currency=details["currency"])
            await record_payment(tx, manage.id, order_id, f"demo-{secrets.token_hex(6)}", total, self._now)

    async def _sell_out(self, client: Client, manage: Client, product_uid: str) -> None:
        """Somebody has bought all there was."""
        async with self._database.store.snapshot() as reading:
            left = (await reading.products([product_uid]))[product_uid].availability
        if left:
            await self._paid(client, manage, [Line(product_uid=product_uid, quantity=left)])

    async def _activated(self, client: Client, manage: Client) -> None:
        order_id = await self._service_order(client)
        for move in (Transition.ACCEPT, Transition.START, Transition.ACTIVATE):
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

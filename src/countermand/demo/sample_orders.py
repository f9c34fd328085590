"""Makes the demo's orders. Every start adds orders, so that there are always enough in each state worth trying."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import Final

from countermand.actions.appointments.load_calendar import load_slots, slot_at
from countermand.actions.appointments.set import set_appointment
from countermand.actions.cancelling.cancel_orders import CancelOrders
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.identity.secrets import hash_of
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.ports import OrdersWanted
from countermand.actions.ordering.read_orders import list_orders_without_details
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.actions.ordering.views import Line
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.bootstrap.api_modules import addresses_of
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database
from countermand.bootstrap.service import token_issuer_of
from countermand.contracts.connect.contract import CONTRACT as CONNECT
from countermand.contracts.shopping.contract import CONTRACT as SHOPPING
from countermand.demo.credentials import OTHER_PARTNER, PARTNER, Credentials, private_key_file
from countermand.demo.sample_catalogue import DAY_TICKET, ETICKET, EVENT, IDEAL, LOCKER, PRODUCTS, prepare_catalogue
from countermand.demo.sample_staff import OPERATOR, desk_tokens
from countermand.domain.actor import Actor
from countermand.domain.client import OWN_ISSUER, Client, Permission
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails, TicketOrderGiven
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState, Transition
from countermand.domain.ticketing.consumer import Consumer
from countermand.identity.browser_tokens import browser_token
from countermand.settings import Settings

_PLENTY: Final = 40
_FEW: Final = 3
_LISTED: Final = 100
_BROWSER_TOKEN_LIFE: Final = timedelta(days=365)
_TOKEN_LIFE: Final = timedelta(hours=24)
_ALL: Final = frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL, Permission.SUBSCRIBE})


_EASTERN: Final = timezone(timedelta(hours=10))  # Brisbane's, all year
_DAYS: Final = 28
_VISITS: Final = 4  # in each slot
_USUAL: Final = (Line(product_uid=DAY_TICKET, quantity=2), Line(product_uid=LOCKER, quantity=1))


class SampleOrders:
    """Makes the clients and orders that are missing, with the same actions as requests, and lists all of them."""

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

    async def prepare(self) -> dict[str, object]:
        """What `demo.json` says; names with an underscore are for the welcome alone."""
        await self._database.store.keep_policies(list(self._database.policies.by_contract.values()), self._now)
        await self._catalogue()
        await self._calendar()
        manage = await self._client(MANAGE, "manage", OPERATOR)
        desk = await desk_tokens(self._database, self._credentials, manage, self._now)
        connect = await self._connect(manage)
        shopping = await self._shopping(manage)
        return {"base_url": self._url, **connect, **shopping, "manage": desk}

    async def _calendar(self) -> None:
        """Make slots for visits in the morning and in the afternoon of every day of the next weeks."""
        midnight = self._now.astimezone(_EASTERN).replace(hour=0, minute=0, second=0, microsecond=0)
        slots = []
        for day in range(_DAYS):
            for name, starts_h, ends_h in (("am", 8, 12), ("pm", 13, 17)):
                there = midnight + timedelta(days=day)
                starts_at, ends_at = there + timedelta(hours=starts_h), there + timedelta(hours=ends_h)
                slots.append(slot_at(f"{there:%Y-%m-%d}-{name}", "", starts_at, ends_at, None, _VISITS))
        async with self._database.store.transaction() as tx:
            await load_slots(tx, slots)

    async def _connect(self, manage: Client) -> dict[str, object]:
        mine = await self._partner(PARTNER)
        other = await self._partner(OTHER_PARTNER)
        free = OrdersWanted(states=frozenset(CANCELLABLE_STATES), has_visit=False)
        active = OrdersWanted(states=frozenset({OrderState.ACTIVATED}))
        cancellable = await self._topped_up(mine, free, _PLENTY, self._service_order)
        others = await self._topped_up(other, free, _FEW * 2, self._service_order)

        activated = await self._topped_up(mine, active, _FEW, lambda client: self._activated(client, manage))
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
                # This token lives longer than those of the token endpoint, so that a visitor can try it for a while.
                "access_token": own.access_token(mine, self._now, life=_TOKEN_LIFE),
                "other_access_token": own.access_token(other, self._now, life=_TOKEN_LIFE),
                "expired_access_token": own.access_token(mine, self._now - 2 * _TOKEN_LIFE, life=_TOKEN_LIFE),
                "orders": {
                    "cancellable": [order.id for order in cancellable],
                    "appointment_in_25h": in_25h,
                    "appointment_in_30h": in_30h,
                    "activated": [order.id for order in activated],
                    "others": [order.id for order in others],
                },
            }
        }

    async def _shopping(self, manage: Client) -> dict[str, object]:
        mine = await self._client(SHOPPING.channel, "shopping", _ALL)
        other = await self._client(SHOPPING.channel, "shopping_other", _ALL)
        without = await self._client(SHOPPING.channel, "shopping_no_permission", _ALL - {Permission.CANCEL})
        unpaid = OrdersWanted(states=frozenset({OrderState.PENDING}), has_payment=False)
        completed = OrdersWanted(states=frozenset({OrderState.COMPLETED}), has_payment=True)
        ended = OrdersWanted(states=frozenset({OrderState.CANCELLED}))
        cancellable = await self._topped_up(mine, unpaid, _PLENTY, self._ticket_order)
        others = await self._topped_up(other, unpaid, _FEW, self._ticket_order)
        no_permission = await self._topped_up(without, unpaid, _FEW, self._ticket_order)

        await self._sell_out(other, manage, PRODUCTS["sold_out"])
        paid = await self._topped_up(mine, completed, _FEW, lambda client: self._paid(client, manage))
        cancelled = await self._topped_up(mine, ended, 1, self._cancelled)
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
                    "cancellable": self._uris(cancellable),
                    "paid": self._uris(paid),
                    "others": self._uris(others),
                    "no_permission": self._uris(no_permission),
                },
            },
            "_cancelled_ticket_order": self._uris(cancelled)[0],
        }

    async def _client(self, channel: Channel, name: str, permissions: frozenset[Permission]) -> Client:
        """Return the client of this name; make it if it is missing."""
        key, secret = self._credentials.keys[name]
        found = await self._database.clients.by_key(key)
        if found is not None:
            return await self._permitted(found[0], permissions)
        return await self._database.clients.add(
            channel=channel,
            name=name,
            permissions=permissions,
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=self._now,
        )

    async def _partner(self, name: str) -> Client:
        """Return the client of this name at the service's own token endpoint. Its key is the key in the folder."""
        clients, client_key = self._database.clients, self._credentials.client_keys[name]
        known = await clients.by_identity(OWN_ISSUER, name)
        if known is None:
            return await clients.add(
                channel=CONNECT.channel,
                name=name,
                permissions=_ALL,
                key=None,
                secret_sha256=None,
                identity=(OWN_ISSUER, name),
                now=self._now,
                client_key=client_key,
            )
        if await self._database.client_keys.live(name, client_key.kid) is None:  # the key's file was removed
            await clients.rotate_key(known.id, client_key, self._now, keep_old=False)
        return await self._permitted(known, _ALL)

    async def _permitted(self, client: Client, permissions: frozenset[Permission]) -> Client:
        """Return the client with the permissions, which one of an older version's demo may lack."""
        if client.permissions >= permissions:
            return client
        return await self._database.clients.change(client.id, name=None, permissions=permissions)

    async def _catalogue(self) -> None:
        async with self._database.store.transaction() as tx:
            await prepare_catalogue(tx, self._now)

    async def _topped_up(
        self, client: Client, wanted: OrdersWanted, at_least: int, make: Callable[[Client], Awaitable[Order]]
    ) -> Sequence[Order]:
        """Make the client's missing orders of this kind, and return all of them, oldest first."""
        found = await list_orders_without_details(self._database.store, client.id, wanted, _LISTED)
        made = [await make(client) for _ in range(at_least - len(found))]
        return [*reversed(found), *made]

    async def _service_order(self, client: Client) -> Order:
        details = ServiceOrderDetails(
            source_type="nbn",
            contact_name="Jo Citizen",
            contact_phone="0412 345 678",
            contact_email="jo@example.com",
            location_id="LOC380100009114",
            plan_name="Home Fast 100/20",
            term=1,
            qualification_search_id="1",
            remote_qualification_search_id="QS000000000001",
            aggregation_method="L2TP",
            customer_reference=f"demo-{secrets.token_hex(3)}",
        )
        async with self._database.store.transaction() as tx:
            return (await place_service_order(tx, client.id, details, self._now, contract=CONNECT.name)).order

    async def _with_appointment(self, client: Client, manage: Client, in_h: int) -> OrderId:
        order_id = (await self._service_order(client)).id
        starts_at = self._now.replace(microsecond=0) + timedelta(hours=in_h)
        async with self._database.store.transaction() as tx:
            await set_appointment(
                tx, Actor(manage.id, MANAGE), order_id, starts_at, starts_at + timedelta(hours=4), self._now
            )
        return order_id

    async def _ticket_order(self, client: Client, lines: Sequence[Line] = _USUAL) -> Order:
        wanted = TicketOrder(
            lines=lines,
            payment_method_uid=IDEAL,
            shipping_method_uid=ETICKET,
            given=TicketOrderGiven(
                consumer=Consumer(first_name="Jo", last_name="Visitor", email="jo@example.com", country="NL"),
                external_reference=f"demo-{secrets.token_hex(3)}",
            ),
        )
        async with self._database.store.transaction() as tx:
            return (await place_ticket_order(tx, client.id, wanted, self._now, contract=SHOPPING.name)).order

    async def _paid(self, client: Client, manage: Client, lines: Sequence[Line] = _USUAL) -> Order:
        order = await self._ticket_order(client, lines)
        async with self._database.store.transaction() as tx:
            total = (await tx.views([order.id]))[order.id].ticket_details.total
            await record_payment(
                tx, Actor(manage.id, MANAGE), order.id, f"demo-{secrets.token_hex(6)}", total, self._now
            )
        return order

    async def _sell_out(self, client: Client, manage: Client, product_uid: str) -> None:
        """Buy everything that is left of a product."""
        async with self._database.store.snapshot() as reading:
            left = (await reading.products([product_uid]))[product_uid].availability
        if left:
            await self._paid(client, manage, [Line(product_uid=product_uid, quantity=left)])

    async def _activated(self, client: Client, manage: Client) -> Order:
        order = await self._service_order(client)
        for move in (Transition.ACCEPT, Transition.START, Transition.ACTIVATE):
            async with self._database.store.transaction() as tx:
                await advance_order(tx, Actor(manage.id, MANAGE), order.id, move, self._now)
        return order

    async def _cancelled(self, client: Client) -> Order:
        database, order = self._database, await self._ticket_order(client)
        cancel = CancelOrders(
            store=database.cancellations,
            policies=database.policies,
            archive=PolicyArchive(store=database.store),
            clock=utc_now,
        )
        command = CancelOrder(
            command_id=CommandIds().next(),
            order_id=order.id,
            actor=Actor(client.id, SHOPPING.channel),
            reason="A sample of an order that is cancelled already",
        )
        await cancel([command])
        return order

    def _uris(self, orders: Sequence[Order]) -> list[str]:
        return sorted(self._addresses.order(order.uid) for order in orders if order.uid is not None)

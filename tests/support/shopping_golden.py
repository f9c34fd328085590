"""Makes the world of the published example: the page's host as public address, and the printed order."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import insert

from countermand.actions.ordering.new_order import NewOrder
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.bootstrap.service import build
from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderFacts, OrderUid, order_id_of
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.orders.order_state import OrderState
from countermand.storage.tables.catalogue import products
from support.contracts import SHOPPING
from support.world import World, a_world

API = "https://shopping-api.paylogic.com"
DOCUMENTATION = "https://shopping-api-docs.paylogic.com/documentation"
UID = OrderUid("87a2195h3gd162fb35c5a3dbd7bapo1l")
STOCK = 10
SOLD = {  # of each product printed: tickets of the order
    "12365478654238976585643567854323": 3,
    "456ghtr45tg678fe5rf456yhgbvsw3lh": 1,
    "267arnr45tg984rd5rf456opshwks0ol": 1,
}
_LANGUAGES = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")


@asynccontextmanager
async def a_published_world(folder: Path, *, with_front: bool = True) -> AsyncIterator[World]:
    """As `a_world`, but spoken to at the page's host."""
    async with a_world(folder, shopping_documentation_url=DOCUMENTATION) as world:
        service = build(world.settings, world.database, API, clock=world.clock, with_front=with_front)
        transport = httpx.ASGITransport(service.application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=API) as http:
            world.service, world.http = service, http
            yield world


async def seed_printed_order(world: World, owner: ClientId) -> None:
    """Put the printed order into the database, as it stood before it was cancelled."""
    (combo, part) = ("456ghtr45tg678fe5rf456yhgbvsw3lh", "267arnr45tg984rd5rf456opshwks0ol")
    order = Order(
        id=order_id_of(UID),
        contract=SHOPPING.name,
        kind=SHOPPING.kind,
        uid=UID,
        reference="525743",
        client_id=owner,
        version=1,
        created_at=datetime(2014, 5, 1, 12, 15, tzinfo=UTC),
        facts=OrderFacts(state=OrderState.PENDING),
    )
    lines = tuple(
        Line(product_uid=uid, quantity=quantity, parent_uid=combo if uid == part else None)
        for uid, quantity in SOLD.items()
    )
    tickets = tuple(
        Ticket(uid=f"{number:032x}", product_uid=uid, code=f"code {number}", valid=True)
        for number, uid in enumerate(uid for uid, quantity in SOLD.items() for _ in range(quantity))
    )
    async with world.database.store.transaction() as tx:
        for uid, quantity in SOLD.items():
            await tx.run(
                insert(products).values(
                    uid=uid,
                    name=json.dumps(_said("Ticket")),
                    price_minor=270,
                    service_costs_minor=30,
                    currency="EUR",
                    availability=STOCK - quantity,
                    total_availability=STOCK,
                )
            )
        details = msgspec.convert(_DETAILS, TicketOrderDetails)
        view = OrderView(order=order, details=details, lines=lines, tickets=tickets)
        await tx.insert_order(NewOrder(view=view, actor=Actor(owner), events=[], now=order.created_at))


def _said(english: str) -> dict[str, str]:
    return {language: english if language == "en" else "" for language in _LANGUAGES}


_DETAILS = {
    "consumer": {
        "first_name": "John",
        "last_name": "Doe",
        "date_of_birth": "1986-12-30",
        "email": "john.doe@paylogic.eu",
        "gender": 1,
        "address": "Nieuwe Boteringestraat 28",
        "postal_code": "9716 JJ",
        "city": "Groningen",
        "country": "NL",
        "ip": "192.168.1.1",
    },
    "external_purchases": [
        {
            "title": _said("External purchase"),
            "product_reference": "External purchase product A",
            "unit_price_minor": 5000,
            "currency": "EUR",
            "quantity": 3,
        }
    ],
    "external_reference": "CO-115",
    "redirect_url": None,
    "currency": "EUR",
    "product_total_minor": 1350,
    "service_costs_minor": 150,
    "grand_total_minor": 1650,
    "payment_method": {
        "uid": "ghr57d5h3gd162fb35c5a3db57ghrydg",
        "name": _said("iDeal"),
        "image": "https://static.paylogic.com/ideal.jpg",
        "costs_minor": 100,
        "currency": "EUR",
    },
    "shipping_method": {
        "uid": "87a5quvndhe162fb357alt872705zr2j",
        "name": _said("Eticket"),
        "image": None,
        "costs_minor": 50,
        "currency": "EUR",
    },
    "payment_url": "https://payments.paylogic.com?redirect=https://psp.paylogic.com/consumer/123",
    "etickets_url": "https://download.paylogic.com/eticket/sdfsdf235r245wsdgfw5235",
}

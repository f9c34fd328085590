"""Places orders that people look for: telecom orders and ticket orders with names, numbers and codes."""

from typing import Any

import httpx
from msgspec import structs

from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.domain.orders.order_details import ServiceOrderDetails
from support.contracts import CONNECT
from support.ticket_shop import Shop
from support.world import Caller, World

FIND = "/manage/v1/orders"
_USUAL = ServiceOrderDetails(source_type="nbn", location_id="LOC380100009114", plan_name="Home Fast 100/20")


async def telecom_of(world: World, partner: Caller, **details: Any) -> OrderId:
    """Place a telecom order with more details than usual."""
    given = structs.replace(_USUAL, **details)
    async with world.database.store.transaction() as tx:
        view = await place_service_order(tx, partner.client.id, given, world.clock(), contract=CONNECT.name)
    return view.order.id


async def bought(shop: Shop, quantity: int = 1, *, paid: bool = False, **more: Any) -> dict[str, Any]:
    """Place an order for tickets over HTTP, and return it as the shop sees it."""
    placed = await shop.order({await shop.product(): quantity}, **more)
    assert placed.status_code == 201, placed.text
    made: dict[str, Any] = placed.json()
    if paid:
        await shop.world.pay(order_id_of(made["uid"]))
    return made


async def asked(world: World, operator: Caller, q: str | None = None, **filters: Any) -> httpx.Response:
    """Ask for orders."""
    query = filters if q is None else {"q": q, **filters}
    return await world.http.get(FIND, params=query, headers=world.manage_headers(operator))


async def found(world: World, operator: Caller, q: str | None = None, **filters: Any) -> list[str]:
    """The ids of the orders that a question finds on its first page."""
    answer = await asked(world, operator, q, **filters)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["orders"]]


async def all_pages(world: World, operator: Caller, q: str | None = None, **filters: Any) -> list[list[str]]:
    """The ids of the orders of each page."""
    pages, after = [], {}
    while True:
        page = (await asked(world, operator, q, **filters, **after)).json()
        pages.append([one["id"] for one in page["orders"]])
        if page["next"] is None:
            return pages
        after = {"after": page["next"]}

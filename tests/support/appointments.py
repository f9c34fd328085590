"""Makes a wholesale customer's calls about appointments, and loads the operator's calendar."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from countermand.actions.appointments.load_calendar import load_slots, slot_at
from countermand.domain.orders.order import OrderId
from support.connect_calls import Reply, send
from support.world import PUBLIC_URL, Caller, World

ORDERS = "/api/connect/orders"
ASK = ORDERS + "/appointment-requests/request"
WITHDRAW = ORDERS + "/appointment-requests/cancel"
BOOK = ORDERS + "/appointments/request"
CALL_OFF = ORDERS + "/appointment-cancellations/request"


async def slot(
    world: World, slot_id: str, starts_at: datetime, *, capacity: int = 1, area: str = "", hours: float = 4
) -> None:
    """Put a slot into the calendar; the offset of `starts_at` is the customer's."""
    async with world.database.store.transaction() as tx:
        await load_slots(tx, [slot_at(slot_id, area, starts_at, starts_at + timedelta(hours=hours), None, capacity)])


async def post(world: World, caller: Caller, path: str, body: Mapping[str, Any], **headers: str) -> Reply:
    lines = world.connect_headers(caller, **headers).items()
    return await send(world, "POST", path, lines, json.dumps(body).encode())


async def get(world: World, caller: Caller, path: str) -> Reply:
    return await send(world, "GET", path.removeprefix(PUBLIC_URL), world.connect_headers(caller).items())


async def asked(world: World, caller: Caller, path: str, body: Mapping[str, Any], **headers: str) -> str:
    """Ask for something that takes its time; gives the address where the result is found."""
    reply = await post(world, caller, path, body, **headers)
    assert (reply.status, reply.body) == (201, b""), reply
    return reply.headers["location"]


async def offer(world: World, caller: Caller, order_id: OrderId, date_from: str = "2026-11-21") -> dict[str, Any]:
    """The slots offered for an order."""
    found = await get(world, caller, await asked(world, caller, ASK, {"orderId": order_id, "dateFrom": date_from}))
    assert found.status == 200, found
    return dict(found.json)


async def booking(
    world: World, caller: Caller, order_id: OrderId, slot_id: str, date_from: str = "2026-11-21"
) -> Reply:
    """What comes of booking a slot."""
    offered = await offer(world, caller, order_id, date_from)
    wanted = {"appointmentRequestId": offered["id"], "slotId": slot_id}
    return await get(world, caller, await asked(world, caller, BOOK, wanted))


async def booked(
    world: World, caller: Caller, order_id: OrderId, slot_id: str, date_from: str = "2026-11-21"
) -> dict[str, Any]:
    """The appointment booked in a slot."""
    reply = await booking(world, caller, order_id, slot_id, date_from)
    assert reply.status == 200, reply
    return dict(reply.json)

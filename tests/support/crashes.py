"""Prepares crashes: makes many orders at once, and keeps many cancels running while the server is disturbed."""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from countermand.actions.appointments.set import set_appointment
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import open_database
from countermand.demo.credentials import PARTNER
from countermand.domain.actor import Actor
from countermand.domain.client import OWN_ISSUER
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.settings import read_settings
from support.contracts import CONNECT
from support.processes import Demo

CALLERS = 48
HANG_S = 200  # no request may wait for ever
# What a request under a key was answered: status and body. None: the connection ended without an answer.
Answer = tuple[int, bytes] | None


async def place_orders(demo: Demo, number: int, *, appointment_in_h: int | None = None) -> list[OrderId]:
    """Orders of the demo's own partner, all in one transaction."""
    database = await open_database(read_settings(database_path=demo.database))
    partner = await database.clients.by_identity(OWN_ISSUER, PARTNER)
    assert partner is not None
    now = utc_now()
    made = []
    async with database.store.transaction() as tx:
        for _ in range(number):
            details = ServiceOrderDetails(location_id="LOC380100009114", plan_name="Home Fast 100/20")
            order_id = (await place_service_order(tx, partner.id, details, now, contract=CONNECT.name)).order.id
            made.append(order_id)
            if appointment_in_h is not None:
                starts_at = now + timedelta(hours=appointment_in_h)
                await set_appointment(tx, Actor(partner.id), order_id, starts_at, starts_at + timedelta(hours=4), now)
    await database.close()
    return made


async def cancel_all(
    demo: Demo, order_ids: Iterable[OrderId], *, after: int = -1, happens: Callable[[], None] = lambda: None
) -> dict[OrderId, Answer]:
    """Cancel them in no order, each under a key of its own, many at a time; after so many answers, it happens."""
    shuffled = list(order_ids)
    random.Random(4711).shuffle(shuffled)
    waiting = iter(shuffled)
    headers = demo.connect_headers()
    answers: dict[OrderId, Answer] = {}
    answered = 0

    async def caller() -> None:
        nonlocal answered
        connection = None
        for order_id in waiting:
            try:
                connection = connection or await _connected(demo)
                answers[order_id], stays_open = await _cancelled(*connection, headers, order_id)
            except (OSError, asyncio.IncompleteReadError):
                answers[order_id], stays_open = None, False
            if connection is not None and not stays_open:
                connection[1].close()
                connection = None
            if answers[order_id] is not None:
                answered += 1
                if answered == after:
                    happens()
        if connection is not None:
            connection[1].close()

    async with asyncio.timeout(HANG_S):
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return answers


def answered_with(answers: dict[OrderId, Answer], status: int) -> Sequence[OrderId]:
    """The orders whose cancel got this status."""
    return sorted(order_id for order_id, answer in answers.items() if answer is not None and answer[0] == status)


async def _connected(demo: Demo) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(demo.base_url)
    return await asyncio.open_connection(address.hostname, address.port)


async def _cancelled(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str], order_id: OrderId
) -> tuple[Answer, bool]:
    """One request and its answer, and whether the connection is good for another. HTTP by hand: a client library would
    take longer over two thousand requests than the server does, and there would be no middle to crash in.
    """
    body = json.dumps({"orderId": order_id})
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Idempotency-Key: cancel-{order_id}", "Host: localhost", f"Content-Length: {len(body)}"]
    writer.write("\r\n".join(["POST /api/connect/orders/cancel HTTP/1.1", *lines, "", body]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
    content = await reader.readexactly(size)
    return (int(head.split()[1]), content), "connection: close" not in head

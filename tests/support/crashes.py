"""What crashes need: many orders at once, and many cancels under way while something happens to the server."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import httpx

from countermand.actions.place_orders import place_service_order
from countermand.actions.record_progress import set_appointment
from countermand.bootstrap import open_database, utc_now
from countermand.demo.credentials import ISSUER
from countermand.domain.order import OrderId
from countermand.settings import read_settings
from support.processes import Demo

CALLERS = 48
# What a request under a key was answered: status and body. None: the connection ended without an answer.
Answer = tuple[int, bytes] | None


async def place_orders(demo: Demo, number: int, *, appointment_in_h: int | None = None) -> list[OrderId]:
    """Orders of the demo's own partner, all in one transaction."""
    database = open_database(read_settings(database_path=demo.database))
    partner = await database.clients.by_identity(ISSUER, "demo-partner")
    assert partner is not None
    now = utc_now()
    made = []
    async with database.store.transaction() as tx:
        for _ in range(number):
            details = {"sourceType": "nbn", "locationId": "LOC380100009114", "planName": "Home Fast 100/20"}
            order_id = (await place_service_order(tx, partner.id, details, now)).order.id
            made.append(order_id)
            if appointment_in_h is not None:
                starts_at = now + timedelta(hours=appointment_in_h)
                await set_appointment(tx, partner.id, order_id, starts_at, starts_at + timedelta(hours=4), now)
    await database.close()
    return made


async def cancel_all(
    demo: Demo, order_ids: Iterable[OrderId], *, after: int = -1, happens: Callable[[], None] = lambda: None
) -> dict[OrderId, Answer]:
    """Cancel them in no order, each under a key of its own, many at a time; with the answer number `after`, it happens."""
    shuffled = list(order_ids)
    random.Random(4711).shuffle(shuffled)
    waiting = iter(shuffled)
    answers: dict[OrderId, Answer] = {}
    answered = 0

    async def caller(http: httpx.AsyncClient) -> None:
        nonlocal answered
        for order_id in waiting:
            try:
                reply = await http.post(
                    "/api/connect/orders/cancel",
                    json={"orderId": order_id},
                    headers={"Idempotency-Key": f"cancel-{order_id}"},
                )
            except httpx.TransportError as e:
                print(repr(e)) if "hang" in __import__("sys").argv[0] else None
                answers[order_id] = None
                continue
            answers[order_id] = reply.status_code, reply.content
            answered += 1
            if answered == after:
                happens()

    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx.AsyncClient(
        base_url=demo.base_url, headers=demo.connect_headers(), limits=limits, timeout=8, trust_env=False
    ) as http:
        await asyncio.gather(*(caller(http) for _ in range(CALLERS)))
    return answers


def answered_with(answers: dict[OrderId, Answer], status: int) -> Sequence[OrderId]:
    """The orders whose cancel got this status."""
    return sorted(order_id for order_id, answer in answers.items() if answer is not None and answer[0] == status)

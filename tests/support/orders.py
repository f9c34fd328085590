"""Makes requests about a shop's orders, as its partner, its own page and its operator send them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from countermand.bootstrap.clock import utc_now
from countermand.domain.orders.order import OrderUid, order_id_of
from support.load import CONNECT, SHOPPING, Ask, one
from support.nodes import Shop

REASON = "The buyer asked"


def cancel(shop: Shop, order: int | str, node: int = 0) -> Ask:
    """Cancel a telecom order (a number), or a ticket order (a uid)."""
    if isinstance(order, int):
        return Ask(node=node, about=("cancel", order), path=CONNECT, headers=shop.partner, body={"orderId": order})
    body = {"order": shop.uri(order), "reason": REASON}
    return Ask(node=node, about=("cancel", number(order)), path=SHOPPING, headers=shop.shop, body=body)


def under_key(ask: Ask, key: str) -> Ask:
    return replace(ask, headers={**ask.headers, "Idempotency-Key": key})


def visit(shop: Shop, order: int, method: str, in_h: int, node: int = 0) -> Ask:
    """Agree a visit (POST), move it (PUT) or call it off (DELETE)."""
    starts_at = utc_now() + timedelta(hours=in_h)
    times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}
    name = {"POST": "set", "PUT": "move", "DELETE": "call off"}[method]
    path = f"/manage/v1/orders/connect-{order}/appointments" + ("" if method == "POST" else f"/{order}")
    body = None if method == "DELETE" else times
    return Ask(node=node, about=(name, order), path=path, headers=shop.operator, body=body, method=method)


def pay(shop: Shop, uid: str, node: int = 0) -> Ask:
    """The money for a ticket order has come in."""
    body = {"reference": f"money for {uid}", "amount": 25.0, "currency": "EUR"}
    path = f"/manage/v1/orders/{uid}/payments"
    return Ask(node=node, about=("pay", number(uid)), path=path, headers=shop.operator, body=body)


def number(uid: str) -> int:
    return order_id_of(OrderUid(uid))


def page(path: str) -> Ask:
    return Ask(node=0, about=path, path=path, headers={}, body=None, method="GET")


async def until(port: int, ask: Ask, *wanted: int) -> int:
    """Ask until the answer has a status that is wanted; gives the last one."""
    for _ in range(200):
        if (status := (await one(port, ask)).status) in wanted:
            break
        await asyncio.sleep(0.1)
    return status

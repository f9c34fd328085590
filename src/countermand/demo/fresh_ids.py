"""Makes orders and products on a running demo, over its API, for callers that want ids which nobody has used."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from countermand.demo.running_demo import DemoError, RunningDemo
from countermand.demo.sample_catalogue import DAY_TICKET, ETICKET, IDEAL, LOCKER

_Id = int | str
_USUAL: Final = ((DAY_TICKET, 2), (LOCKER, 1))


class _ServiceOrder(Struct):
    id: int


class _Amount(Struct):
    amount: float
    currency: str


class _TicketOrder(Struct):
    uid: str
    grand_total: _Amount


class _CataloguePage(Struct):
    products: list[dict[str, object]] = []
    next: str | None = None


def fresh_id(demo: RunningDemo, kind: str) -> _Id:
    """Make an order or a product of this kind (`KINDS`), and return its id. Raises `DemoError`."""
    return _MAKERS[kind](demo)


def _service_order(demo: RunningDemo, *, other: bool = False) -> int:
    order = {
        "sourceType": "nbn",
        "contactName": "Jo Citizen",
        "contactPhone": "0412 345 678",
        "contactEmail": "jo@example.com",
        "remoteQualificationSearchId": "QS000000000001",
        "qualificationSearchId": "1",
        "locationId": "LOC380100009114",
        "planName": "Home Fast 100/20",
        "term": 1,
        "aggregationMethod": "L2TP",
        "customerReference": f"demo-{secrets.token_hex(3)}",
    }
    return demo.connect("/api/connect/orders/create", order, _ServiceOrder, other=other).id


def _with_appointment(demo: RunningDemo, in_h: int) -> int:
    order_id = _service_order(demo)
    starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=in_h)
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=4)}
    demo.manage("POST", f"/orders/connect-{order_id}/appointments", times, object)
    return order_id


def _activated(demo: RunningDemo) -> int:
    order_id = _service_order(demo)
    for move in ("accept", "start", "activate"):
        demo.manage("POST", f"/orders/connect-{order_id}/moves", {"move": move}, object)
    return order_id


def _placed(demo: RunningDemo, caller: str, lines: tuple[tuple[str, int], ...] = _USUAL) -> _TicketOrder:
    order = {
        "products": [
            {"product": f"{demo.made.base_url}/products/{uid}", "quantity": quantity} for uid, quantity in lines
        ],
        "payment_method": IDEAL,
        "shipping_method": ETICKET,
        "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
        "external_reference": f"demo-{secrets.token_hex(3)}",
    }
    return demo.shopping("/orders", order, _TicketOrder, caller=caller)


def _ticket_order(demo: RunningDemo, caller: str = "") -> str:
    return f"{demo.made.base_url}/orders/{_placed(demo, caller).uid}"


def _paid(demo: RunningDemo, lines: tuple[tuple[str, int], ...] = _USUAL) -> str:
    order = _placed(demo, "", lines)
    payment = {
        "reference": f"demo-{secrets.token_hex(6)}",
        "amount": order.grand_total.amount,
        "currency": order.grand_total.currency,
    }
    demo.manage("POST", f"/orders/{order.uid}/payments", payment, object)
    return f"{demo.made.base_url}/orders/{order.uid}"


def _product(demo: RunningDemo, name: str) -> str:
    """Add a product that is like the demo's own of this name, with a stock of its own."""
    like = _in_the_catalogue(demo, demo.made.shopping.products[name].rpartition("/")[2])
    uid = secrets.token_hex(16)
    product = {field: value for field, value in like.items() if field != "availability"} | {"uid": uid}
    if name == "sold_out":
        product["total_availability"] = 1
    demo.manage("PUT", "/catalogue", {"products": [product]}, object)
    if name == "sold_out":
        _paid(demo, ((uid, 1),))
    return f"{demo.made.base_url}/products/{uid}"


def _in_the_catalogue(demo: RunningDemo, uid: str) -> dict[str, object]:
    query = ""
    while True:
        page = demo.manage("GET", f"/catalogue{query}", None, _CataloguePage)
        for product in page.products:
            if product["uid"] == uid:
                return product
        if page.next is None:
            raise DemoError(f"the demo's catalogue has no product {uid} any more; start the demo again")
        query = f"?after={page.next}"


_MAKERS: Final[Mapping[str, Callable[[RunningDemo], _Id]]] = {
    "connect.cancellable": _service_order,
    "connect.appointment_in_25h": lambda demo: _with_appointment(demo, 25),
    "connect.appointment_in_30h": lambda demo: _with_appointment(demo, 30),
    "connect.activated": _activated,
    "connect.others": lambda demo: _service_order(demo, other=True),
    "shopping.cancellable": _ticket_order,
    "shopping.paid": _paid,
    "shopping.others": lambda demo: _ticket_order(demo, "other_"),
    "shopping.no_permission": lambda demo: _ticket_order(demo, "no_permission_"),
    "product.paid": lambda demo: _product(demo, "paid"),
    "product.free": lambda demo: _product(demo, "free"),
    "product.sold_out": lambda demo: _product(demo, "sold_out"),
    "product.combo": lambda demo: _product(demo, "combo"),
}
KINDS: Final = tuple(_MAKERS)

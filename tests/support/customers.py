"""Simulates customers who move between nodes: they read what others placed, and repeat each request under its key."""

import asyncio
import base64
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from countermand.bootstrap.clock import utc_now
from countermand.domain.orders.order import OrderUid, order_id_of
from support.connect_calls import SERVICE_ORDER
from support.load import CONNECT, SHOPPING, Ask, Reply, one
from support.nodes import Shop
from support.orders import until

PRODUCT, METHOD = f"{0:032x}", "a" * 32
_ORDERS = "/api/connect/orders"
_CUSTOMERS = 8
_LIMIT_S = 200
_keys = itertools.count(1)


class WrongError(Exception):
    """An answer that a customer must not hear."""


@dataclass
class Customers:
    """Their stories, on the nodes at `ports`; `nodes` says which of these are asked, and may change meanwhile.

    `states` is where each order must stand in the end, by its number, `refusals` how often a cancellation was refused
    and must be recorded, `added` how many clients came and went. If one node is of an older version, `newer` is the
    other one, whose answers may have more links.
    """

    shop: Shop
    ports: list[int]
    nodes: tuple[int, int] = (0, 1)
    newer: int | None = None
    states: dict[int, str] = field(default_factory=dict)
    refusals: int = 0
    added: int = 0
    told: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _stopping: bool = False
    _one_more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the block runs."""
        going = [asyncio.create_task(self._go_on()) for _ in range(_CUSTOMERS)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*going)

    async def stories(self, how_many: int) -> None:
        """Return when each kind of story was told so often more, or when something went wrong."""
        before = self.told.copy()
        async with asyncio.timeout(_LIMIT_S), self._one_more:
            await self._one_more.wait_for(
                lambda: self.wrong or all(self.told[name] >= before[name] + how_many for name in STORIES)
            )

    async def _go_on(self) -> None:
        while not self._stopping:
            name = random.choice(list(STORIES))
            try:
                await STORIES[name](self)
            except Exception as error:  # noqa: BLE001 - told at the end
                self.wrong.append(f"{name}: {error!r}")
            async with self._one_more:
                self.told[name] += 1
                self._one_more.notify_all()

    # what they do

    async def ask(
        self, node: int, method: str, path: str, headers: Mapping[str, str], body: Any = None, *, status: int
    ) -> Reply:
        """One request, whose answer must have this status."""
        reply = await one(
            self.ports[node], Ask(node=0, about=path, path=path, headers=headers, body=body, method=method)
        )
        self.statuses[reply.status] += 1
        if reply.status != status:
            raise WrongError(f"{method} {path} at node {node}: {reply.status} {reply.body[:500]!r}, not {status}")
        return reply

    async def again(self, path: str, headers: Mapping[str, str], body: Any, *, status: int) -> Reply:
        """At one node, and under the same key again at the other, which must answer the same."""
        here, there = self._nodes()
        keyed = _keyed(headers)
        first = await self.ask(here, "POST", path, keyed, body, status=status)
        return self._same(here, first, there, await self.ask(there, "POST", path, keyed, body, status=status))

    async def at_once(self, path: str, headers: Mapping[str, str], body: Any, *, status: int) -> Reply:
        """The same at the same time."""
        keyed = _keyed(headers)
        here, there = self._nodes()
        first, second = await asyncio.gather(
            *(self.ask(node, "POST", path, keyed, body, status=status) for node in (here, there))
        )
        return self._same(here, first, there, second)

    def _same(self, here: int, first: Reply, there: int, second: Reply) -> Reply:
        """The first of two answers that say the same, but for links of the newer node that the older one lacks."""
        one, other = _shown(first), _shown(second)
        if here != there and self.newer in (here, there):
            newer, older = (one, other) if here == self.newer else (other, one)
            _leave_out_links_beyond(older, newer)
        _check(second, one == other)
        return first

    def _nodes(self) -> tuple[int, int]:
        here, there = self.nodes
        return (here, there) if random.random() < 0.5 else (there, here)

    # of telecom orders

    async def service_order(self) -> int:
        created = await self.again(f"{_ORDERS}/create", self.shop.partner, SERVICE_ORDER, status=201)
        order = int(created.json["id"])
        for node in self._nodes():
            read = await self.ask(node, "GET", f"{_ORDERS}/{order}", self.shop.partner, status=200)
            _check(read, read.json["status"] == "submitted")
        self.states[order] = "submitted"
        return order

    async def visit(self, order: int, in_h: int) -> None:
        starts_at = utc_now() + timedelta(hours=in_h)
        times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}
        node, _ = self._nodes()
        path, keyed = f"/manage/v1/orders/{await self._name(node, order)}/appointments", _keyed(self.shop.operator)
        first = await self.ask(node, "POST", path, keyed, times, status=201)
        self._same(node, first, node, await self.ask(node, "POST", path, keyed, times, status=201))

    async def _name(self, node: int, order: int) -> str:
        """What the node calls a telecom order: nodes of before ids named the contract know its number alone."""
        path, headers = f"/manage/v1/orders/connect-{order}", self.shop.operator
        ask = Ask(node=0, about=path, path=path, headers=headers, body=None, method="GET")
        return f"connect-{order}" if (await one(self.ports[node], ask)).status == 200 else str(order)

    async def a_service_that_is_cancelled(self) -> None:
        order = await self.service_order()
        await self.at_once(CONNECT, self.shop.partner, {"orderId": order}, status=200)
        self.states[order] = "cancelled"
        self.refusals += 1
        await self.ask(self._nodes()[0], "POST", CONNECT, self.shop.partner, {"orderId": order}, status=422)

    async def a_service_that_is_cancelled_with_its_visit(self) -> None:
        order = await self.service_order()
        await self.visit(order, in_h=40)
        await self.at_once(CONNECT, self.shop.partner, {"orderId": order}, status=200)
        self.states[order] = "cancelled"

    async def a_service_that_is_visited_too_soon_to_be_cancelled(self) -> None:
        order = await self.service_order()
        await self.visit(order, in_h=5)
        self.refusals += 1
        await self.at_once(CONNECT, self.shop.partner, {"orderId": order}, status=422)

    # of ticket orders

    async def ticket_order(self) -> str:
        body = {
            "products": [{"product": f"{self.shop.uri('')[: -len('orders/')]}products/{PRODUCT}", "quantity": 2}],
            "consumer": {"first_name": "Jo", "country": "NL"},
            "payment_method": METHOD,
        }
        placed = await self.again("/orders", self.shop.shop, body, status=201)
        uid = str(placed.json["uid"])
        for node in self._nodes():
            read = await self.ask(node, "GET", f"/orders/{uid}", self.shop.shop, status=200)
            _check(read, read.json["status"] == "pending")
        self.states[order_id_of(OrderUid(uid))] = "pending"
        return uid

    async def tickets_that_are_cancelled_and_then_paid(self) -> None:
        uid = await self.ticket_order()
        await self.at_once(SHOPPING, self.shop.shop, self._cancel(uid), status=200)
        self.states[order_id_of(OrderUid(uid))] = "cancelled"
        await self.again(f"/manage/v1/orders/{uid}/payments", self.shop.operator, _money(uid), status=409)

    async def tickets_that_are_paid_and_then_not_cancelled(self) -> None:
        uid = await self.ticket_order()
        await self.again(f"/manage/v1/orders/{uid}/payments", self.shop.operator, _money(uid), status=201)
        self.states[order_id_of(OrderUid(uid))] = "completed"
        self.refusals += 1
        await self.at_once(SHOPPING, self.shop.shop, self._cancel(uid), status=403)
        for node in self._nodes():
            read = await self.ask(node, "GET", f"/orders/{uid}", self.shop.shop, status=200)
            _check(read, read.json["status"] == "completed")

    def _cancel(self, uid: str) -> dict[str, str]:
        return {"order": self.shop.uri(uid), "reason": "The buyer asked"}

    # of clients

    async def a_client_that_comes_and_goes(self) -> None:
        here, there = self._nodes()
        given = {"contract": "shopping", "name": "Another shop"}
        added = (await self.ask(here, "POST", "/manage/v1/clients", self.shop.operator, given, status=201)).json
        self.added += 1
        basic = base64.b64encode(f"{added['key']}:{added['secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        for node in (here, there):
            read = await self.ask(node, "GET", "/orders", headers, status=200)
            _check(read, read.json["item_count"] == 0)
        path = f"/manage/v1/clients/{added['client']['id']}/revoke"
        await self.ask(there, "POST", path, self.shop.operator, status=200)
        for node in (here, there):  # within the time after which nodes read clients again
            if (status := await until(self.ports[node], _list(headers), 401)) != 401:
                raise WrongError(f"a revoked client hears {status} at node {node}")


STORIES: Mapping[str, Callable[[Customers], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        Customers.a_service_that_is_cancelled,
        Customers.a_service_that_is_cancelled_with_its_visit,
        Customers.a_service_that_is_visited_too_soon_to_be_cancelled,
        Customers.tickets_that_are_cancelled_and_then_paid,
        Customers.tickets_that_are_paid_and_then_not_cancelled,
        Customers.a_client_that_comes_and_goes,
    )
}


def _keyed(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "Idempotency-Key": f"key-{next(_keys)}"}


def _leave_out_links_beyond(older: Any, newer: Any) -> None:
    """Take out of the newer version's answer the links of the whole that the older version's does not have."""
    if isinstance(older, dict) and isinstance(newer, dict) and "_links" in older and "_links" in newer:
        newer["_links"] = {rel: link for rel, link in newer["_links"].items() if rel in older["_links"]}


def _shown(reply: Reply) -> Any:
    """What an answer says, but for the stock of what was ordered, which others buy from meanwhile."""
    shown = reply.json if reply.body else None
    if isinstance(shown, dict):
        for product in shown.get("_embedded", {}).get("shop:product", ()):
            del product["availability"]
    return shown


def _check(reply: Reply, holds: bool) -> None:  # noqa: FBT001
    if not holds:
        raise WrongError(f"{reply.status} {reply.body[:500]!r}")


def _money(uid: str) -> dict[str, Any]:
    return {"reference": f"money for {uid}", "amount": 25.0, "currency": "EUR"}


def _list(headers: Mapping[str, str]) -> Ask:
    return Ask(node=0, about="orders", path="/orders", headers=headers, body=None, method="GET")

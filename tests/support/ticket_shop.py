"""Writes a catalogue through the storage port, and makes the calls of a shop that sells it."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx

from countermand.actions.catalogue.load import Catalogue, CatalogueTransaction, load_catalogue
from countermand.domain.money import Money
from countermand.domain.ticketing.catalogue import Event, EventUid, Method, Part, Product, ProductUid, Voucher
from countermand.domain.ticketing.seating import SeatBlock
from support.database_contents import Contents, contents
from support.world import NOON, PUBLIC_URL, Caller, World

_EVENT = Event(
    uid=EventUid("e" * 32),
    reference="1",
    title={"en": "Festival"},
    merchant_name="Merchant",
    sale_starts_at=NOON - timedelta(days=1),
    sale_ends_at=NOON + timedelta(days=30),
)


_CORRECTIONS = ("void", "refund", "chargeback")


def euros(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


@dataclass
class Shop:
    """An event on sale, a way to pay it, and whoever sells."""

    world: World
    caller: Caller
    event: Event
    method: str
    given_on: set[str] = field(default_factory=set)  # the uids of tickets, by tests that give some on

    async def put(self, *things: Event | Product | Method | Voucher) -> None:
        async with self.world.database.store.transaction() as tx:
            for thing in things:
                match thing:
                    case Event():
                        await tx.put_event(thing)
                    case Product():
                        assert await tx.put_product(thing)
                    case Method():
                        await tx.put_method(thing)
                    case Voucher():
                        await tx.put_voucher(thing)

    async def product(self, *, stock: int = 100, price_minor: int = 1000, **more: Any) -> str:
        """Another product of the event; gives its uid."""
        made = Product(
            uid=secrets.token_hex(16),
            name=more.pop("name", {"en": "Ticket"}),
            price=more.pop("price", euros(price_minor)),
            service_costs=euros(more.pop("service_costs_minor", 0)),
            availability=stock,
            total_availability=stock,
            event_uid=more.pop("event_uid", self.event.uid),
            **more,
        )
        await self.put(made)
        return made.uid

    async def seated(self, *rows: int, **more: Any) -> str:
        """A product with numbered seats: so many in row A, B, …; gives its uid."""
        uid = await self.product(stock=sum(rows), **more)
        await self.seat(uid, *rows)
        return uid

    async def seat(self, uid: str, *rows: int) -> None:
        """Give a product another plan. Raises what the loading raises."""
        async with self.world.database.store.transaction() as tx:
            await self.seat_within(tx, uid, *rows)

    async def seat_within(self, tx: CatalogueTransaction, uid: str, *rows: int) -> None:
        """The same in a transaction of the test's."""
        plan = [
            SeatBlock(section="Stalls", row=row, first=1, last=last)
            for row, last in zip("ABCDEFGH", rows, strict=False)
        ]
        product = replace((await tx.products([uid]))[uid], total_availability=sum(rows))
        await load_catalogue(tx, Catalogue(products=[product], seats={uid: plan} if plan else {}))

    async def combo(self, parts: dict[str, int], **more: Any) -> str:
        made = tuple(Part(product_uid=ProductUid(uid), quantity=quantity) for uid, quantity in parts.items())
        return await self.product(parts=made, **more)

    async def change_event(self, **changed: Any) -> None:
        self.event = replace(self.event, **changed)
        await self.put(self.event)

    async def pay_by(self, kind: str = "payment", *, costs_minor: int = 0, **more: Any) -> str:
        """Another method; gives its uid."""
        uid = secrets.token_hex(16)
        costs = more.pop("costs", euros(costs_minor))
        await self.put(Method(uid=uid, kind=kind, name={"en": kind}, image=None, costs=costs, **more))
        return uid

    async def voucher(self, code: str = "CODE", **more: Any) -> str:
        await self.put(Voucher(code=code, event_uid=more.pop("event_uid", self.event.uid), **more))
        return code

    def body(self, wanted: dict[str, int], **more: Any) -> dict[str, Any]:
        """An order's body; a field of `more` that is None is left out."""
        body = {
            "products": [{"product": f"{PUBLIC_URL}/products/{uid}", "quantity": n} for uid, n in wanted.items()],
            "consumer": {"first_name": "John", "country": "NL"},
            "payment_method": self.method,
        } | more
        return {name: value for name, value in body.items() if value is not None}

    async def order(self, wanted: dict[str, int], **more: Any) -> httpx.Response:
        return await self.post("/orders", self.body(wanted, **more))

    async def bill(self, wanted: dict[str, int], **more: Any) -> httpx.Response:
        return await self.post("/bill", self.body(wanted, **more))

    async def post(self, path: str, body: Any, caller: Caller | None = None, **headers: str) -> httpx.Response:
        given = self.world.shopping_headers(caller or self.caller, **headers)
        return await self.world.http.post(path, json=body, headers=given)

    async def get(self, path: str, caller: Caller | None = None, **query: Any) -> httpx.Response:
        headers = {"Authorization": (caller or self.caller).basic}
        return await self.world.http.get(path.removeprefix(PUBLIC_URL), params=query or None, headers=headers)

    async def left(self) -> dict[str, int]:
        """What is left of each product."""
        return {row["uid"]: row["availability"] for row in await self.world.rows("products")}


async def a_shop(world: World) -> Shop:
    shop = Shop(world, await world.shopping_client(), _EVENT, "")
    await shop.put(_EVENT)
    shop.method = await shop.pay_by()
    return shop


async def check_conservation(world: World, *, given_on: Collection[str] = ()) -> None:
    """What must hold whatever happened: places, tickets and money are all on exactly one side.

    `given_on` has the uids of the tickets that were given on. All is seen as of one instant, as orders expire unasked.
    """
    kept = await contents(world)
    orders = {row["id"]: row for row in kept["orders"]}
    tickets = kept["tickets"]
    held: dict[str, int] = {}
    for ticket in tickets:
        state = orders[ticket["order_id"]]["state"]
        counts = state in {"pending", "completed"} and ticket["uid"] not in given_on
        assert bool(ticket["valid"]) == counts, state
        held[ticket["product_uid"]] = held.get(ticket["product_uid"], 0) + bool(ticket["valid"])
    for product in kept["products"]:
        assert product["availability"] >= 0
        assert product["availability"] + held.get(product["uid"], 0) == product["total_availability"]
    _check_seats(kept)
    standing = [row for row in kept["payments"] if row["voided_at"] is None]
    in_time = {row["order_id"] for row in standing if not row["is_late"]}
    overridden = {row["order_id"] for row in kept["cancellations"] if row["overridden"] is not None}
    for payment in standing:
        ended = orders[payment["order_id"]]["state"] in {"cancelled", "expired", "failed"}
        assert ended or not payment["is_late"]
        assert payment["is_late"] or not ended or payment["order_id"] in overridden
    assert in_time == {order_id for order_id, row in orders.items() if row["first_payment_at"] is not None}
    _check_money(kept)
    cancelled = {order_id for order_id, row in orders.items() if row["state"] == "cancelled"}
    assert {row["order_id"] for row in kept["cancellations"]} == cancelled
    uses: dict[str, int] = {}
    for use in kept["voucher_uses"]:
        uses[use["code"]] = uses.get(use["code"], 0) + (orders[use["order_id"]]["state"] in {"pending", "completed"})
    for voucher in kept["vouchers"]:
        assert voucher["uses_cap"] is None or uses.get(voucher["code"], 0) <= voucher["uses_cap"]


def _check_money(kept: Contents) -> None:
    """What holds of each order's money, summed here by other means than the service's."""
    for order in kept["orders"]:
        paid = [row for row in kept["payments"] if row["order_id"] == order["id"]]
        its = [row for row in kept["payment_corrections"] if row["order_id"] == order["id"]]
        gone = [row for row in its if row["state"] not in {"withdrawn", "paid_off", "returned"}]
        recorded = sum(row["recorded_minor"] if row["voided_at"] else row["amount_minor"] for row in paid)
        stands = sum(row["amount_minor"] for row in paid)
        sums = {kind: sum(row["amount_minor"] for row in gone if row["kind"] == kind) for kind in _CORRECTIONS}
        assert recorded == stands + sums["void"]
        late = sum(row["amount_minor"] for row in paid if row["is_late"])
        if order["state"] == "cancelled":  # nothing is kept: what was neither refunded nor charged back is due
            assert stands - late <= sums["refund"] + sums["chargeback"]
        assert sums["refund"] <= stands
        assert sums["chargeback"] <= stands
        assert sums["chargeback"] or stands - sums["refund"] >= 0
        is_due = any(row["state"] in {"due", "failed"} for row in gone)
        assert not is_due or stands - sums["refund"] - sums["chargeback"] >= 0
        assert len({row["number"] for row in its}) == len(its)
        _check_refunded(order, paid, gone)


def _check_refunded(order: dict[str, Any], paid: list[dict[str, Any]], gone: list[dict[str, Any]]) -> None:
    """The order's row says whether nothing is left of the payments in time. All of them are in one currency."""
    stand = [row["amount_minor"] for row in paid if not row["is_late"] and row["voided_at"] is None]
    back = sum(row["amount_minor"] for row in gone if row["kind"] == "chargeback" or row["state"] == "done")
    assert (order["refunded_version"] == order["version"]) == (bool(stand) and sum(stand) <= back)


async def check_seats(world: World) -> None:
    """What holds of seats, and of places though tickets were given on."""
    _check_seats(await contents(world))


def _check_seats(kept: Contents) -> None:
    """What holds though tickets were given on: no seat has two valid tickets, and each of a seated product has one.

    It is the one that its order shows.
    """
    valid = [one for one in kept["tickets"] if one["valid"]]
    for product in kept["products"]:
        held = sum(one["product_uid"] == product["uid"] for one in valid)
        assert product["availability"] + held == product["total_availability"]
    said: dict[str, dict[str, Any]] = {}
    for row in kept["order_details"]:
        said |= json.loads(row["details"]).get("seats", {})
    there = {
        (row["product_uid"], row["section"], row["row"], row["number"]): (row["order_id"], row["ticket_number"])
        for row in kept["seats"]
    }
    seated = {uid for uid, *_ in there}
    seats = [one for one in valid if one["product_uid"] in seated]
    sits = {(one["product_uid"], *said[one["uid"]].values()): (one["order_id"], one["number"]) for one in seats}
    assert len(sits) == len(seats)
    assert sits == {seat: there[seat] for seat in sits}

"""An operator puts money right at a running server: mistakes are voided, paid orders end, and what is owed adds up."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.domain.orders.order import order_id_of
from countermand.domain.staff import Role
from support.database_contents import changed, contents
from support.serving import Served, a_server
from support.ticket_shop import a_shop, check_conservation
from support.world import PUBLIC_URL, Caller, World

PAID = "payment_recorded"
CALLED_OFF = {"reason": "The concert is called off", "override": [PAID]}
ORDERS = 120  # more than one page of a list


@dataclass(frozen=True)
class Desk:
    """A person at the desk, and the shop whose orders the person looks after."""

    world: World
    http: httpx.AsyncClient
    person: Caller
    shop: Caller
    product: str

    async def ordered(self) -> str:
        """A new order of one ticket; gives its uid."""
        chosen = {"product": f"{PUBLIC_URL}/products/{self.product}", "quantity": 1}
        body = {"products": [chosen], "consumer": {"first_name": "Jo"}, "payment_method": self.method}
        answer = await self.http.post("/orders", json=body, headers=self.world.shopping_headers(self.shop))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["uid"])

    @property
    def method(self) -> str:
        return self.person.subject

    async def of(self, uid: str, change: str, body: dict[str, Any], by: Caller | None = None) -> httpx.Response:
        """Send a change of an order to `/manage/v1`."""
        headers = self.world.manage_headers(by or self.person)
        return await self.http.post(f"/manage/v1/orders/shopping-{uid}/{change}", json=body, headers=headers)

    async def paid(self, uid: str, reference: str, amount: float) -> httpx.Response:
        return await self.of(uid, "payments", {"reference": reference, "amount": amount, "currency": "EUR"})

    async def shown(self, uid: str) -> dict[str, Any]:
        answer = await self.http.get(
            f"/manage/v1/orders/shopping-{uid}", headers=self.world.manage_headers(self.person)
        )
        return dict(answer.json())

    async def cancelled_by_shop(self, uid: str) -> httpx.Response:
        body = {"order": f"{PUBLIC_URL}/orders/{uid}", "reason": "The buyer cannot come"}
        headers = self.world.shopping_headers(self.shop)
        return await self.http.post("/ordercancellation/", json=body, headers=headers)

    async def refunds(self, **query: str) -> AsyncIterator[dict[str, Any]]:
        """The whole list of refunds, page by page."""
        headers, after = self.world.manage_headers(self.person), ""
        while True:
            more = {"after": after} if after else {}
            page = (await self.http.get("/manage/v1/refunds", params=query | more, headers=headers)).json()
            for one in page["refunds"]:
                yield one
            if not (after := page["next"]):
                return


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    with a_server(world) as server:
        yield server


@pytest_asyncio.fixture
async def desk(world: World, served: Served) -> AsyncIterator[Desk]:
    async with served.client() as http:
        yield await a_desk(world, http)


async def a_desk(world: World, http: httpx.AsyncClient) -> Desk:
    shop = await a_shop(world)
    person = await world.person("kim", Role.AUTHOR)
    person.subject = shop.method
    await shop.change_event(sale_ends_at=shop.event.sale_ends_at.replace(year=2100))
    return Desk(world, http, person, shop.caller, await shop.product(stock=ORDERS, price_minor=1250))


async def test_a_mistyped_cent_no_longer_keeps_an_order_from_being_cancelled(desk: Desk):
    uid = await desk.ordered()
    assert (await desk.paid(uid, "typed/1", 0.01)).status_code == 201
    assert (await desk.cancelled_by_shop(uid)).status_code == 403
    assert (await desk.of(uid, "cancel", {"reason": "r"})).status_code == 409
    voided = await desk.of(uid, "payments/typed%2F1/void", {"reason": "Typed for the wrong order"})
    assert (voided.status_code, voided.json()["money"][0]["voided_minor"]) == (200, 1)
    assert (await desk.cancelled_by_shop(uid)).status_code == 200
    assert [one async for one in desk.refunds()] == []
    await check_conservation(desk.world)


async def test_the_payment_of_the_wrong_order_is_moved_to_the_right_one(desk: Desk):
    wrong, right = await desk.ordered(), await desk.ordered()
    assert (await desk.paid(wrong, "psp-1", 12.5)).status_code == 201
    assert (await desk.shown(wrong))["state"] == "completed"
    assert (await desk.paid(right, "psp-1", 12.5)).json()["code"] == "payment_reference_used"
    assert (await desk.of(wrong, "payments/psp-1/void", {"reason": "It was for another order"})).status_code == 200
    assert (await desk.paid(right, "psp-1", 12.5)).status_code == 201
    assert [(await desk.shown(one))["state"] for one in (wrong, right)] == ["pending", "completed"]
    assert (await desk.paid(wrong, "psp-1", 12.5)).json()["code"] in {"payment_voided", "payment_reference_used"}
    await check_conservation(desk.world)


async def test_one_person_ends_a_paid_order_and_its_money_is_due_until_it_is_sent(desk: Desk):
    uid = await desk.ordered()
    await desk.paid(uid, "psp-1", 12.5)
    assert (await desk.of(uid, "cancel", CALLED_OFF)).json()["state"] == "cancelled"
    (due,) = [one async for one in desk.refunds(state="due")]
    assert (due["order"], due["amount"], due["currency"]) == (f"shopping-{uid}", 12.5, "EUR")
    sent = {"reference": "re-1", "amount": 12.5, "currency": "EUR", "reason": "called off"}
    assert (await desk.of(uid, "refunds", sent)).status_code == 200
    assert [one async for one in desk.refunds(state="due")] == []
    done = [one async for one in desk.refunds(state="done")]
    assert sum(one["amount"] for one in done if one["reference"] == "re-1") == 12.5
    await check_conservation(desk.world)


async def test_what_is_owed_for_all_orders_of_an_event_that_is_called_off_adds_up(desk: Desk):
    uids = [await desk.ordered() for _ in range(ORDERS)]
    free = asyncio.Semaphore(8)

    async def pay(number: int, uid: str) -> None:
        async with free:
            assert (await desk.paid(uid, f"psp-{number}", 12.5)).status_code == 201

    async def end(uid: str) -> None:
        async with free:
            assert (await desk.of(uid, "cancel", CALLED_OFF)).status_code == 200

    await asyncio.gather(*(pay(number, uid) for number, uid in enumerate(uids)))
    back = {"reference": "re-0", "amount": 2.5, "currency": "EUR", "reason": "One locker less"}
    assert (await desk.of(uids[0], "refunds", back)).status_code == 200
    await asyncio.gather(*map(end, uids))

    due = [one async for one in desk.refunds(state="due")]
    assert {one["order"] for one in due} == {f"shopping-{uid}" for uid in uids}
    assert len(due) == ORDERS
    assert sum(Decimal(str(one["amount"])) for one in due) == ORDERS * Decimal("12.50") - Decimal("2.50")
    headers = desk.world.manage_headers(desk.person) | {"Accept": "text/csv"}
    listed = await desk.http.get("/manage/v1/refunds?state=due", headers=headers)
    rows = list(csv.DictReader(StringIO(listed.text)))
    assert {(one["order"], Decimal(one["amount"])) for one in rows} == {
        (one["order"], Decimal(str(one["amount"]))) for one in due
    }
    assert sum(Decimal(one["amount"]) for one in rows) == ORDERS * Decimal("12.50") - Decimal("2.50")
    await check_conservation(desk.world)


async def test_a_cancellation_is_undone_in_time_and_the_order_is_cancelled_again(desk: Desk):
    uid = await desk.ordered()
    await desk.paid(uid, "psp-1", 12.5)
    assert (await desk.of(uid, "cancel", CALLED_OFF)).status_code == 200
    restored = await desk.of(uid, "restore", {"reason": "It was the other concert"})
    assert (restored.status_code, restored.json()["state"]) == (200, "completed")
    assert [one async for one in desk.refunds(state="due")] == []
    await check_conservation(desk.world)
    assert (await desk.of(uid, "cancel", CALLED_OFF)).json()["state"] == "cancelled"
    (due,) = [one async for one in desk.refunds(state="due")]
    assert due["amount"] == 12.5
    events = [row["kind"] for row in await desk.world.rows("outbox", order_id_of(uid))]
    assert (events.count("order.cancelled"), events.count("order.restored")) == (2, 1)
    await check_conservation(desk.world)


async def test_a_cancellation_is_not_undone_too_late(world: World):
    with a_server(world, undo_window_s=0.5) as served:
        async with served.client() as http:
            desk = await a_desk(world, http)
            uid = await desk.ordered()
            assert (await desk.of(uid, "cancel", {"reason": "r"})).status_code == 200
            await asyncio.sleep(0.6)
            before = await contents(world)
            late = await desk.of(uid, "restore", {"reason": "Too late"})
            assert (late.status_code, late.json()["code"]) == (409, "undo_window_over")
            assert not changed(before, await contents(world))
            assert json.loads(late.text)["detail"].endswith("place a new order")


async def test_two_persons_end_a_paid_order(world: World):
    with a_server(world, override_needs_two="true") as served:
        async with served.client() as http:
            desk = await a_desk(world, http)
            sam, uid = await world.person("sam", Role.AUTHOR), await desk.ordered()
            await desk.paid(uid, "psp-1", 12.5)
            asked = await desk.of(uid, "cancel", CALLED_OFF)
            assert (asked.status_code, (await desk.shown(uid))["state"]) == (202, "completed")
            path = f"/manage/v1/approvals/{asked.json()['approval']}/confirm"
            own = await http.post(path, headers=world.manage_headers(desk.person))
            assert own.status_code in {403, 409}
            assert (await desk.shown(uid))["state"] == "completed"
            confirmed = await http.post(path, headers=world.manage_headers(sam))
            assert (confirmed.status_code, confirmed.json()["state"]) == (200, "cancelled")
            (due,) = [one async for one in desk.refunds(state="due")]
            assert due["amount"] == 12.5
            restored = await desk.of(uid, "restore", {"reason": "Both were wrong"}, by=sam)
            assert (restored.status_code, restored.json()["state"]) == (200, "completed")
            again = await http.post(path, headers=world.manage_headers(sam))
            assert (again.status_code, again.json()["code"]) == (409, "cancellation_undone")
            assert (await desk.shown(uid))["state"] == "completed"
            await check_conservation(world)

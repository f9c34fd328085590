"""A shop cancels an order that was refunded in full, if the operator's policy ignores such payments, and else not."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.bootstrap import background_tasks
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.orders import orders
from support.contracts import SHOPPING
from support.manage_calls import manage, problem
from support.overrides import override
from support.shopping_calls import availability, cancel, kind
from support.world import Caller, World, a_world

RULES: Final = [{"name": "not_already_cancelled"}, {"name": "state_allows"}]
PAID: Final = "a payment was recorded on 2026-11-21T12:01:00Z and was not refunded in full; once it is, the order can be cancelled"  # noqa: E501
FREE: Final = "no payment is recorded that was not refunded in full"


def policies(refunded: str) -> dict[str, Any]:
    return {SHOPPING.name: [*RULES, {"name": "nothing_paid", "refunded": refunded}]}


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def ignoring(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async def mark_none(*_: object) -> None:
        """The first round of a node would mark what a test changed as an older node does, sooner or later."""

    monkeypatch.setattr(background_tasks, "mark_refunded", mark_none)
    async with a_world(tmp_path, request.param, policies=policies("ignored")) as world:
        yield world


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def blocking(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param, policies=policies("blocks")) as world:
        yield world


class Order:
    """A ticket order, and the calls about it."""

    def __init__(self, world: World, shop: Caller, operator: Caller, order: Any) -> None:
        self.world, self.shop, self.operator, self.order = world, shop, operator, order
        self.path, self.id = str(order.order.uid), OrderId(order.order.id)

    async def post(self, path: str, reference: str, euros: float) -> None:
        body = {"reference": reference, "amount": euros, "currency": "EUR"}
        if path != "payments":
            body["reason"] = "called off"
        answer = await manage(self.world, self.operator, "POST", f"{self.path}/{path}", body)
        assert answer.status_code in {200, 201}, answer.text

    async def shown(self) -> dict[str, Any]:
        return (await manage(self.world, self.operator, "GET", self.path)).json()

    async def explained(self, at: datetime | None = None) -> list[tuple[str, bool, str | None, str]]:
        """The operator's findings, now or at an instant; the shop has the same rules and results."""
        query = "" if at is None else f"?at={quote(at.isoformat())}"
        answer = await manage(self.world, self.operator, "GET", f"{self.path}/cancellability{query}")
        assert answer.status_code == 200, answer.text
        if at is None:
            headers = {"Authorization": self.shop.basic}
            mine = (await self.world.http.get(f"/orders/{self.path}/cancellability", headers=headers)).json()
            found = [[(one["code"].lower(), one["passed"]) for one in its["findings"]] for its in (mine, answer.json())]
            assert found[0] == found[1]
            assert mine["cancellable"] == answer.json()["cancellable"]
        return [(one["fact"], one["passed"], one["value"], one["message"]) for one in answer.json()["findings"]]

    async def cancelled(self) -> tuple[int, str]:
        answer = await cancel(self.world, self.shop, self.world.uri(self.order))
        return (200, "") if answer.status_code == 200 else kind(answer)


async def placed(world: World, product: str | None = None) -> Order:
    shop, operator = await world.shopping_client(), await world.manage_client()
    return Order(world, shop, operator, await world.ticket_order(shop, product=product))


# What happens, a minute apart, and whether the order can then be cancelled.
STORY: Final[list[tuple[str, str, float, bool]]] = [
    ("payments", "tx 1", 25.00, False),
    ("refunds", "re 1", 10.00, False),
    ("chargebacks", "cb 1", 14.99, False),
    ("refunds", "re 2", 0.01, True),
    ("payments", "tx 2", 1.00, False),
    ("refunds", "re 3", 1.00, True),
]


async def test_an_order_is_cancellable_from_its_last_refund_to_its_next_payment(ignoring: World):
    world, product = ignoring, await ignoring.product(stock=5)
    order = await placed(world, product)
    found: dict[datetime, list[tuple[str, bool, str | None, str]]] = {world.clock.now: await order.explained()}
    for path, reference, euros, is_free in STORY:
        world.clock.forward(minutes=1)
        await order.post(path, reference, euros)
        now = found[world.clock.now] = await order.explained()
        assert now[-1] == (
            *("unrefunded_payment_at", is_free),
            *((None, FREE) if is_free else ("2026-11-21T12:01:00Z", PAID)),
        )
        shown = await order.shown()
        assert shown["first_payment_at"] == "2026-11-21T12:01:00Z"
        assert shown["unrefunded_payment_at"] == (None if is_free else "2026-11-21T12:01:00Z")
        if not is_free:
            assert await order.cancelled() == (403, "FORBIDDEN")
    assert await availability(world, product) == 3
    world.clock.forward(minutes=1)

    assert await order.cancelled() == (200, "")

    assert await availability(world, product) == 5
    assert {row["kind"] for row in await world.rows("payment_corrections", order.id)} == {"refund", "chargeback"}
    assert [row for row in await world.rows("payment_corrections", order.id) if row["state"] == "due"] == []
    shown = await order.shown()
    assert (shown["state"], shown["unrefunded_payment_at"]) == ("cancelled", None)
    record = shown["cancellation"]
    assert (record["first_payment_at"], record["unrefunded_payment_at"]) == ("2026-11-21T12:01:00Z", None)
    assert [one["unrefunded_payment_at"] for one in shown["refusals"]] == ["2026-11-21T12:01:00Z"] * 4
    # Each finding is the same later: by the facts of then, and beside each decision of the timeline.
    world.clock.forward(days=1)
    assert {at: await order.explained(at) for at in found} == found
    for entry in (await order.shown())["timeline"]:
        if entry.get("findings") is not None:
            at = datetime.fromisoformat(entry["at"])
            said = (FREE, True) if entry["decision"] == "cancelled" else (PAID, False)
            assert (entry["findings"][-1]["message"], entry["findings"][-1]["passed"]) == said, at


async def test_by_default_an_order_that_was_ever_paid_is_refused_whatever_became_of_the_money(blocking: World):
    order = await placed(blocking)
    for path, reference, euros, _ in STORY:
        blocking.clock.forward(minutes=1)
        await order.post(path, reference, euros)
        assert await order.cancelled() == (403, "FORBIDDEN")
        fact, passed, value, message = (await order.explained())[-1]
        assert (fact, passed, value) == ("first_payment_at", False, "2026-11-21T12:01:00Z")
        assert message.startswith("a payment was recorded on 2026-11-21T12:01:00Z; ")
    assert [row["state"] for row in await blocking.rows("orders", order.id)] == ["completed"]
    assert (await order.shown())["unrefunded_payment_at"] is None, "the fact is there, and the policy does not ask"


async def test_the_operator_is_told_the_way_out_and_needs_no_override_after_it(ignoring: World):
    order = await placed(ignoring)
    ignoring.clock.forward(minutes=1)
    await order.post("payments", "tx 1", 25.00)
    asked = {"reason": "called off"}

    refused = await manage(ignoring, order.operator, "POST", f"{order.path}/cancel", asked)

    assert problem(refused) == (409, "payment_recorded")
    assert refused.json()["detail"] == PAID
    await order.post("refunds", "re 1", 25.00)
    needless = asked | {"override": ["payment_recorded"]}
    answer = await manage(ignoring, order.operator, "POST", f"{order.path}/cancel", needless)
    assert problem(answer) == (409, "override_differs")
    assert (await manage(ignoring, order.operator, "POST", f"{order.path}/cancel", asked)).status_code == 200


async def test_an_override_of_a_paid_order_records_that_it_was_not_refunded(ignoring: World):
    order = await placed(ignoring)
    await order.post("payments", "tx 1", 25.00)
    await order.post("refunds", "re 1", 24.99)
    await override(ignoring, order.id, "payment_recorded")
    (record,) = await ignoring.rows("cancellations", order.id)
    assert (record["overridden"], record["refunded_in_full"]) == ("payment_recorded", None)
    due = [row["amount_minor"] for row in await ignoring.rows("payment_corrections", order.id) if row["state"] == "due"]
    assert due == [1]


async def test_a_change_by_an_older_node_makes_a_refunded_order_count_as_paid(ignoring: World):
    order = await placed(ignoring)
    ignoring.clock.forward(minutes=1)
    await order.post("payments", "tx 1", 25.00)
    await order.post("refunds", "re 1", 25.00)
    async with ignoring.database.store.transaction() as tx:
        await tx.run(update(orders).where(orders.c.id == order.id).values(version=orders.c.version + 1))

    assert (await order.explained())[-1][1:] == (False, "2026-11-21T12:01:00Z", PAID)
    assert await order.cancelled() == (403, "FORBIDDEN")
    (refusal,) = await ignoring.rows("refusals", order.id)
    assert (refusal["codes"], refusal["refunded_in_full"]) == ("payment_recorded", None)

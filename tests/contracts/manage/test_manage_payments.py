"""Recording money: once by its reference, and kept as late money when it comes too late."""

import asyncio
from datetime import timedelta

import pytest

from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.ordering.expire import expire_order
from countermand.domain.orders.order_state import Transition
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, fields, manage, problem
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world


async def test_a_payment_is_recorded_and_completes_an_order_for_tickets(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    answer = await manage(world, operator, "POST", f"{order.order.uid}/payments", PAYMENT)
    assert answer.status_code == 201
    assert answer.json() == {
        "reference": "tx 1",
        "amount_minor": 2500,
        "currency": "EUR",
        "recorded_at": "2026-11-21T12:00:00Z",
        "late": False,
        "voided_at": None,
    }
    (row,) = await world.rows("orders", order.order.id)
    assert (row["state"], row["version"]) == ("completed", 2)
    assert row["first_payment_at"] == int(world.clock().timestamp() * 1_000_000)
    kinds = [(fact["kind"], fact["order_version"]) for fact in await world.rows("outbox", order.order.id)]
    assert sorted(kinds) == [("order.advanced", 2), ("order.placed", 1), ("payment.recorded", 2)]


async def test_a_telecom_order_is_paid_without_a_change_of_state(world: World):
    operator, order_id = await world.manage_client(), await world.service_order(await world.connect_client())
    assert (await manage(world, operator, "POST", f"{order_id}/payments", PAYMENT)).status_code == 201
    (row,) = await world.rows("orders", order_id)
    assert (row["state"], row["version"]) == ("submitted", 2)


async def test_a_second_payment_leaves_the_instant_of_the_first(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    for reference in ["tx 1", "tx 2"]:
        body = PAYMENT | {"reference": reference}
        assert (await manage(world, operator, "POST", f"{order.order.uid}/payments", body)).status_code == 201
        world.clock.forward(hours=1)
    payments = sorted(row["recorded_at"] for row in await world.rows("payments", order.order.id))
    (row,) = await world.rows("orders", order.order.id)
    assert (row["first_payment_at"], row["version"], len(payments)) == (payments[0], 3, 2)


@pytest.mark.parametrize("first", [{"amount": 24.99}, {"currency": "USD"}])
async def test_an_order_is_completed_once_all_of_it_is_paid_in_its_currency(world: World, first: dict[str, object]):
    operator, shop = await world.manage_client(), await world.shopping_client()
    order = await world.ticket_order(shop)
    path = f"{order.order.uid}/payments"
    assert (await manage(world, operator, "POST", path, PAYMENT | first)).status_code == 201
    (row,) = await world.rows("orders", order.order.id)
    assert (row["state"], row["version"]) == ("pending", 2)
    assert "order.advanced" not in [fact["kind"] for fact in await world.rows("outbox", order.order.id)]
    # What was recorded is recorded: the order can neither be cancelled nor end otherwise.
    assert isinstance(await world.cancel(shop, order.order.id), NotCancelled)
    for move in ("expire", "fail"):
        refused = await manage(world, operator, "POST", f"{order.order.uid}/moves", {"move": move})
        assert problem(refused) == (409, "order_paid")
    async with world.database.store.transaction() as tx:
        assert not await expire_order(tx, order.order.id, world.clock())
    rest = 0.01 if first == {"amount": 24.99} else 25
    body = {"reference": "tx 2", "amount": rest, "currency": "EUR"}
    assert (await manage(world, operator, "POST", path, body)).status_code == 201
    (row,) = await world.rows("orders", order.order.id)
    assert (row["state"], row["version"]) == ("completed", 3)
    assert [bool(payment["is_late"]) for payment in await world.rows("payments")] == [False, False]


async def test_of_two_halves_that_come_in_at_once_the_second_completes_the_order(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    halves = [{"reference": name, "amount": 12.5, "currency": "EUR"} for name in ("tx 1", "tx 2")]
    path = f"{order.order.uid}/payments"
    answers = await asyncio.gather(*(manage(world, operator, "POST", path, half) for half in halves))
    assert [answer.status_code for answer in answers] == [201, 201]
    (row,) = await world.rows("orders", order.order.id)
    assert (row["state"], row["version"]) == ("completed", 3)


async def test_what_was_paid_too_much_is_kept_and_completes_the_order(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    body = PAYMENT | {"amount": 99.99}
    assert (await manage(world, operator, "POST", f"{order.order.uid}/payments", body)).json()["amount_minor"] == 9999
    assert [row["state"] for row in await world.rows("orders")] == ["completed"]


async def test_a_repeated_reference_gives_the_first_payment_and_changes_nothing(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    path = f"{order.order.uid}/payments"
    first = await manage(world, operator, "POST", path, PAYMENT)
    before = await contents(world)
    world.clock.forward(days=1)
    again = await manage(world, operator, "POST", path, PAYMENT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("other", [{"amount": 25.01}, {"currency": "USD"}, "another order"])
async def test_a_reference_stands_for_one_payment_alone(world: World, other):
    operator, shop = await world.manage_client(), await world.shopping_client()
    order, second = await world.ticket_order(shop), await world.ticket_order(shop)
    await manage(world, operator, "POST", f"{order.order.uid}/payments", PAYMENT)
    before = await contents(world)
    to, body = (second, PAYMENT) if other == "another order" else (order, PAYMENT | other)
    answer = await manage(world, operator, "POST", f"{to.order.uid}/payments", body)
    assert problem(answer) == (409, "payment_reference_used")
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("end", ["cancel", Transition.EXPIRE, Transition.FAIL])
async def test_money_for_an_order_that_has_ended_is_refused_and_kept_once(world: World, end):
    operator, shop = await world.manage_client(), await world.shopping_client()
    order = await world.ticket_order(shop)
    if end == "cancel":
        await world.cancel(shop, order.order.id)
    else:
        await world.advance(order.order.id, end)
    path = f"{order.order.uid}/payments"
    before = (await world.rows("orders", order.order.id))[0]
    first = await manage(world, operator, "POST", path, PAYMENT)
    after_first = await contents(world)
    again = await manage(world, operator, "POST", path, PAYMENT)
    assert problem(first) == problem(again) == (409, "late_money")
    assert first.content == again.content
    assert not changed(after_first, await contents(world))
    (payment,) = await world.rows("payments", order.order.id)
    assert (payment["reference"], payment["amount_minor"], bool(payment["is_late"])) == ("tx 1", 2500, True)
    late = [fact for fact in await world.rows("outbox", order.order.id) if fact["kind"] == "payment.late"]
    assert len(late) == 1
    (row,) = await world.rows("orders", order.order.id)
    assert (row["state"], row["first_payment_at"]) == (before["state"], None)
    assert row["version"] == late[0]["order_version"] == before["version"] + 1


async def test_the_same_payment_reported_ten_times_at_once_is_one(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    path = f"{order.order.uid}/payments"
    answers = await asyncio.gather(*(manage(world, operator, "POST", path, PAYMENT) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.content for answer in answers}) == 1
    assert len(await world.rows("payments")) == 1
    assert (await world.rows("orders", order.order.id))[0]["version"] == 2


@pytest.mark.parametrize(("amount", "minor"), [("0.01", 1), ("1e2", 10_000), ("10000000000000", 10**15)])
async def test_an_amount_is_kept_to_the_cent_from_a_cent_to_the_largest(world: World, amount: str, minor: int):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    body = f'{{"reference": "tx", "amount": {amount}, "currency": "EUR"}}'
    path, headers = f"/manage/v1/orders/{order.order.uid}/payments", world.manage_headers(operator)
    assert (await world.http.post(path, content=body, headers=headers)).status_code == 201
    assert [row["amount_minor"] for row in await world.rows("payments")] == [minor]


async def test_of_payments_that_nodes_with_different_clocks_record_the_earliest_is_the_first(world: World):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    path = f"{order.order.uid}/payments"
    instants = []
    for number, clock_off_s in enumerate((0, -90, 90)):
        world.clock.now = NOON + timedelta(seconds=clock_off_s)
        paid = {"reference": f"tx {number}", "amount": 1, "currency": "EUR"}
        assert (await manage(world, operator, "POST", path, paid)).status_code == 201
        instants.append((await manage(world, operator, "GET", str(order.order.uid))).json()["first_payment_at"])
    assert instants == ["2026-11-21T12:00:00Z", "2026-11-21T11:58:30Z", "2026-11-21T11:58:30Z"]


@pytest.mark.parametrize("amount", [0, -0.0, 0.00])
async def test_a_payment_of_nothing_is_refused(world: World, amount: float):
    operator, order = await world.manage_client(), await world.ticket_order(await world.shopping_client())
    before = await contents(world)
    answer = await manage(world, operator, "POST", f"{order.order.uid}/payments", PAYMENT | {"amount": amount})
    assert fields(answer) == ["amount"]
    assert "0.00" in answer.json()["detail"]
    assert not changed(before, await contents(world))

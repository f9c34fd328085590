"""Refunds and chargebacks: every cent is in one place, and no reference counts twice."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError, UnavailableError
from countermand.actions.ordering.record_progress import left_to_pay
from countermand.domain.money import Money
from countermand.domain.orders.balance import Balance
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.domain.orders.payment_correction import RefundState
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import payment_corrections
from support.database_contents import changed, contents
from support.money import assign, balance, bounce, euros, owe, pay, pay_back, row_of, take_back, void
from support.overrides import override
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

TOTAL = euros(2500)


async def a_paid_order(world: World) -> OrderId:
    order_id = (await world.ticket_order(await world.shopping_client())).order.id
    await pay(world, order_id, f"tx {order_id}", TOTAL)
    return order_id


async def refused(world: World, code: str, doing: object) -> str:
    """It is refused with this code, and nothing is changed."""
    before = await contents(world)
    with pytest.raises(ConflictError) as raised:
        await doing  # type: ignore[misc]
    assert raised.value.code == code
    assert not changed(before, await contents(world))
    return str(raised.value)


async def test_a_refund_lowers_what_is_kept_and_the_payment_stays_recorded(world: World):
    shop = await world.shopping_client()
    order_id = (await world.ticket_order(shop)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    await pay_back(world, order_id, "re 1", euros(1000))
    await pay_back(world, order_id, "re 2", euros(1500))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, refunded=2500)
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"], row["version"]) == ("completed", micros(NOON), 4)
    assert [one["kind"] for one in await world.rows("outbox", order_id)][-2:] == ["payment.refunded"] * 2
    assert isinstance(await world.cancel(shop, order_id), NotCancelled), "a payment is recorded"


async def test_a_reason_that_was_forgotten_meanwhile_is_not_written_again(world: World):
    order_id = await a_paid_order(world)
    await owe(world, order_id, euros(100), reason="ann@example.com is ill")
    async with world.database.store.snapshot() as reading:
        (due,) = await reading.corrections_of(order_id)
    async with world.database.store.transaction() as tx:
        await tx.run(update(payment_corrections).values(reason="forgotten"))
    async with world.database.store.transaction() as tx:
        await tx.change_refund(order_id, replace(due, state=RefundState.DONE, reference="re 1", settled_at=NOON))
    (row,) = await world.rows("payment_corrections", order_id)
    assert (row["reason"], row["state"], row["reference"]) == ("forgotten", "done", "re 1")


async def test_more_than_is_there_is_not_refunded_and_the_sentence_names_the_amounts(world: World):
    order_id = await a_paid_order(world)
    said = await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 1", euros(2501)))
    assert all(amount in said for amount in ("25.01 EUR", "kept 25.00", "due 0.00", "late 0.00"))
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 1", Money(minor=1, currency="USD")))
    await pay_back(world, order_id, "re 1", TOTAL)
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 2", euros(1)))


async def test_a_reference_of_a_refund_or_a_chargeback_stands_for_one_alone(world: World):
    order_id, other = await a_paid_order(world), await a_paid_order(world)
    for act, code in ((pay_back, "refund_reference_used"), (take_back, "chargeback_reference_used")):
        first = await act(world, order_id, "same", euros(100))
        before = await contents(world)
        world.clock.forward(minutes=1)
        assert await act(world, order_id, "same", euros(100), "said otherwise") == first
        assert not changed(before, await contents(world))
        for wrong in ((order_id, euros(101)), (order_id, Money(minor=100, currency="USD")), (other, euros(100))):
            await refused(world, code, act(world, wrong[0], "same", wrong[1]))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=2300, refunded=100, charged_back=100)


@pytest.mark.parametrize("act", [pay_back, take_back])
async def test_nothing_is_neither_refunded_nor_charged_back(world: World, act):
    order_id = await a_paid_order(world)
    before = await contents(world)
    with pytest.raises(FieldsError, match=r"0\.00"):
        await act(world, order_id, "re 1", euros(0))
    with pytest.raises(NotFoundError):
        await act(world, OrderId(999), "re 1", euros(1))
    assert not changed(before, await contents(world))


async def test_a_refund_pays_off_what_is_due_the_oldest_first_and_leaves_the_rest_of_the_last_due(world: World):
    order_id = await a_paid_order(world)
    for minor, state in ((600, RefundState.DUE), (400, RefundState.FAILED), (700, RefundState.WITHDRAWN)):
        await owe(world, order_id, euros(minor), state)
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, due=1000)
    await pay_back(world, order_id, "re 1", euros(850))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, due=150, refunded=850)
    await pay_back(world, order_id, "re 1", euros(850))
    await pay_back(world, order_id, "re 2", euros(1650))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, refunded=2500)
    rows = [
        (row["amount_minor"], row["state"], row["reference"], row["settled_at"])
        for row in await world.rows("payment_corrections", order_id)
    ]
    now = micros(NOON)
    assert sorted(rows, key=str) == sorted(
        [
            (600, "paid_off", None, now),
            (150, "paid_off", None, now),
            (850, "done", "re 1", now),
            (1650, "done", "re 2", now),
            (700, "withdrawn", None, None),
        ],
        key=str,
    )


async def test_a_refund_has_the_name_and_the_reason_of_who_made_it_and_the_due_those_of_who_owed_it(world: World):
    order_id = await a_paid_order(world)
    await override(world, order_id, "payment_recorded", reason="called off")
    world.clock.forward(minutes=5)
    await pay_back(world, order_id, "re 1", TOTAL, "sent by hand")
    due, made = sorted(await world.rows("payment_corrections", order_id), key=lambda row: row["number"])
    later = micros(NOON + timedelta(minutes=5))
    assert (due["state"], due["amount_minor"], due["reason"], due["staff_id"]) == (
        *("paid_off", 2500, "called off", "author"),
    )
    assert (due["reference"], due["recorded_at"], due["settled_at"]) == (None, micros(NOON), later)
    assert (made["state"], made["amount_minor"], made["reason"], made["staff_id"]) == (
        *("done", 2500, "sent by hand", None),
    )
    assert (made["reference"], made["recorded_at"], made["settled_at"]) == ("re 1", later, later)
    assert await balance(world, order_id) == Balance(recorded=2500, refunded=2500)


async def test_a_refund_that_an_older_version_wrote_into_the_row_of_the_due_is_repeated_and_fails_as_a_whole(
    world: World,
):
    order_id = await a_paid_order(world)
    await owe(world, order_id, euros(600))
    await pay_back(world, order_id, "re 1", euros(850))
    async with world.database.store.transaction() as tx:
        due, made = await tx.corrections_of(order_id)
        await tx.change_refund(order_id, replace(due, state=RefundState.DONE, reference="re 1"))
        await tx.change_refund(order_id, replace(made, money=euros(250)))
    before = await contents(world)
    await pay_back(world, order_id, "re 1", euros(850))
    assert not changed(before, await contents(world))
    await bounce(world, order_id, "re 1")
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1650, due=850)
    await bounce(world, order_id, "re 1")
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1650, due=850)


async def test_a_refund_that_failed_is_owed_again_and_the_next_one_pays_it_off(world: World):
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1000))
    world.clock.forward(minutes=5)
    order = await bounce(world, order_id, "re 1")
    assert (order.state, order.version) == ("completed", 4)
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, due=1000)
    made, failed = sorted(await world.rows("payment_corrections", order_id), key=lambda row: row["number"])
    assert (made["state"], made["reason"], made["settled_at"]) == ("returned", "sold out", micros(NOON))
    assert (failed["state"], failed["reason"], failed["settled_at"]) == ("failed", "account closed", None)
    assert made["reference"] == failed["reference"] == "re 1"
    (told,) = [one for one in await world.rows("outbox", order_id) if one["kind"] == "refund.failed"]
    assert json.loads(told["details"]) == {
        "reference": "re 1",
        "amount_minor": 1000,
        "currency": "EUR",
        "reason": "account closed",
    }

    before = await contents(world)
    await bounce(world, order_id, "re 1", "again")
    for minor in (1000, 999):
        await refused(world, "refund_came_back", pay_back(world, order_id, "re 1", euros(minor)))
    assert not changed(before, await contents(world))

    await pay_back(world, order_id, "re 2", euros(400))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, due=600, refunded=400)
    await pay_back(world, order_id, "re 3", euros(600))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, refunded=1000)
    before = await contents(world)
    await bounce(world, order_id, "re 1")
    await refused(world, "refund_came_back", pay_back(world, order_id, "re 1", euros(1000)))
    assert not changed(before, await contents(world)), "a late repeat of what failed neither counts nor fails again"
    await bounce(world, order_id, "re 2")
    assert await balance(world, order_id) == Balance(recorded=2500, kept=1500, due=400, refunded=600)


async def test_what_was_not_refunded_cannot_fail(world: World):
    order_id, other = await a_paid_order(world), await a_paid_order(world)
    await owe(world, order_id, euros(100))
    await take_back(world, order_id, "cb 1", euros(1))
    await pay_back(world, other, "re 1", euros(1))
    before = await contents(world)
    for reference in ("re 1", "cb 1", f"tx {order_id}", "1", ""):
        with pytest.raises(NotFoundError, match="no refund"):
            await bounce(world, order_id, reference)
    with pytest.raises(NotFoundError):
        await bounce(world, OrderId(999), "re 1")
    assert not changed(before, await contents(world))


@pytest.mark.parametrize(("taken", "due"), [(1500, 1000), (1501, 999), (2499, 1), (2500, 0)])
async def test_a_refund_that_failed_after_a_chargeback_is_owed_only_as_far_as_the_bank_left_it(
    world: World, taken: int, due: int
):
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1000))
    await take_back(world, order_id, "cb 1", euros(taken))
    await bounce(world, order_id, "re 1")
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, due=due, charged_back=taken)
    failed = max(await world.rows("payment_corrections", order_id), key=lambda row: row["number"])
    assert failed["state"] == ("failed" if due else "withdrawn")


async def test_late_money_is_refunded_and_no_more_than_came(world: World):
    order_id = (await world.ticket_order(await world.shopping_client())).order.id
    await world.advance(order_id, Transition.EXPIRE)
    await pay(world, order_id, "late", TOTAL)
    assert await balance(world, order_id) == Balance(recorded=2500, late=2500)
    await pay_back(world, order_id, "re 1", euros(2400))
    assert await balance(world, order_id) == Balance(recorded=2500, refunded=2400, late=100)
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 2", euros(101)))
    await refused(world, "payment_paid_back", void(world, order_id, "late"))
    assert (await row_of(world, order_id))["state"] == "expired"


async def test_a_chargeback_is_recorded_though_the_money_was_refunded_and_no_more_than_came_in(world: World):
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", euros(2000))
    await take_back(world, order_id, "cb 1", TOTAL)
    assert await balance(world, order_id) == Balance(recorded=2500, kept=-2000, refunded=2000, charged_back=2500)
    said = await refused(world, "chargeback_exceeds_paid", take_back(world, order_id, "cb 2", euros(1)))
    assert "0.01 EUR" in said
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 2", euros(1)))


@pytest.mark.parametrize("taken", [1, 2499, 2500])
async def test_a_chargeback_withdraws_what_is_due_so_that_the_same_money_is_not_paid_out_twice(world: World, taken):
    order_id = await a_paid_order(world)
    for minor in (1000, 1500):
        await owe(world, order_id, euros(minor))
    await take_back(world, order_id, "cb 1", euros(taken))
    left = 2500 - taken
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, due=left, charged_back=taken)
    rows = sorted(await world.rows("payment_corrections", order_id), key=lambda row: row["number"])
    first, second, _ = rows
    now = micros(NOON)
    shrunk = (first["state"], first["amount_minor"], first["settled_at"]) == ("due", 999, None)
    withdrawn = (first["state"], first["amount_minor"], first["settled_at"]) == ("withdrawn", 1000, now)
    assert shrunk if taken == 1 else withdrawn, "the oldest first"
    assert second["state"] == ("withdrawn" if taken == 2500 else "due")
    assert all(row["reference"] is None for row in (first, second))
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 1", euros(left + 1)))
    if left:
        await pay_back(world, order_id, "re 1", euros(left))
    before = await contents(world)
    await take_back(world, order_id, "cb 1", euros(taken))
    assert not changed(before, await contents(world)), "a repeat withdraws nothing more"


async def test_a_chargeback_of_what_is_kept_leaves_the_due_and_a_cent_more_does_not(world: World):
    order_id = await a_paid_order(world)
    await owe(world, order_id, euros(1000))
    await owe(world, order_id, Money(minor=5, currency="USD"))
    await take_back(world, order_id, "cb 1", euros(1500))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, due=1000, charged_back=1500)
    await take_back(world, order_id, "cb 2", euros(1))
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, due=999, charged_back=1501)
    assert (await balance(world, order_id, "USD")).due == 5


async def test_late_money_that_is_charged_back_leaves_what_is_due_for_the_money_in_time(world: World):
    order_id = await a_paid_order(world)
    await override(world, order_id, "payment_recorded")
    await pay(world, order_id, "late", euros(700))
    await take_back(world, order_id, "cb 1", euros(700))
    assert await balance(world, order_id) == Balance(recorded=3200, due=2500, charged_back=700)
    await take_back(world, order_id, "cb 2", euros(1))
    assert await balance(world, order_id) == Balance(recorded=3200, due=2499, charged_back=701)


async def test_a_due_that_a_chargeback_of_an_older_version_left_is_not_paid_out(world: World):
    order_id = await a_paid_order(world)
    await take_back(world, order_id, "cb 1", euros(2000))
    await owe(world, order_id, TOTAL)
    said = await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 1", euros(501)))
    assert "only 5.00" in said
    await pay_back(world, order_id, "re 1", euros(500))
    await refused(world, "refund_exceeds_paid", pay_back(world, order_id, "re 2", euros(1)))


async def test_a_void_that_would_leave_something_due_beside_a_chargeback_is_refused(world: World):
    order_id = await a_paid_order(world)
    await pay(world, order_id, "tx 2", TOTAL)
    await owe(world, order_id, TOTAL)
    await take_back(world, order_id, "cb 1", euros(1))
    await refused(world, "payment_paid_back", void(world, order_id, "tx 2"))
    other = await a_paid_order(world)
    await pay(world, other, "tx 3", TOTAL)
    await owe(world, other, euros(2499))
    await take_back(world, other, "cb 2", euros(1))
    await void(world, other, "tx 3")
    assert await balance(world, other) == Balance(recorded=5000, kept=0, due=2499, charged_back=1, voided=2500)


async def test_a_payment_that_never_happened_is_voided_though_refunds_and_chargebacks_exceed_the_others(world: World):
    """The order is as if the mistyped payment had never been there: what is kept may be negative after a chargeback."""
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", TOTAL)
    await pay(world, order_id, "mistyped", TOTAL)
    await take_back(world, order_id, "cb 1", TOTAL)
    await void(world, order_id, "mistyped")
    assert await balance(world, order_id) == Balance(
        recorded=5000, kept=-2500, refunded=2500, charged_back=2500, voided=2500
    )
    await refused(world, "payment_paid_back", void(world, order_id, f"tx {order_id}"))


async def test_a_payment_whose_money_went_back_is_not_voided_and_another_of_the_order_is(world: World):
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1))
    await refused(world, "payment_paid_back", void(world, order_id, f"tx {order_id}"))
    await pay(world, order_id, "tx 2", TOTAL)
    await void(world, order_id, "tx 2")
    assert await balance(world, order_id) == Balance(recorded=5000, kept=2499, refunded=1, voided=2500)
    other = await a_paid_order(world)
    await take_back(world, other, "cb 1", euros(1))
    await refused(world, "payment_paid_back", void(world, other, f"tx {other}"))


async def test_a_part_that_was_refunded_must_be_paid_again(world: World):
    order = await world.ticket_order(await world.shopping_client())
    order_id = order.order.id
    await pay(world, order_id, "part", euros(1000))
    await pay_back(world, order_id, "re 1", euros(1000))
    async with world.database.store.snapshot() as reading:
        assert await left_to_pay(reading, order) == TOTAL
    await pay(world, order_id, "most", euros(2499))
    assert (await row_of(world, order_id))["state"] == "pending"
    await pay(world, order_id, "rest", euros(1))
    assert (await row_of(world, order_id))["state"] == "completed"


async def test_an_order_asks_for_no_more_than_its_total_after_a_chargeback(world: World):
    order = await world.ticket_order(await world.shopping_client())
    await pay(world, order.order.id, "part", euros(1000))
    await pay_back(world, order.order.id, "re 1", euros(1000))
    await take_back(world, order.order.id, "cb 1", euros(1000))
    async with world.database.store.snapshot() as reading:
        assert await left_to_pay(reading, order) == TOTAL


async def test_an_order_with_a_correction_of_a_newer_version_is_corrected_by_no_node_of_this_one(world: World):
    order_id = await a_paid_order(world)
    await owe(world, order_id, euros(100))
    strange = update(payment_corrections).where(payment_corrections.c.order_id == order_id).values(state="parked")
    async with world.database.store.transaction() as tx:
        await tx.run(strange)
    before = await contents(world)
    for doing in (
        pay_back(world, order_id, "re 1", euros(1)),
        take_back(world, order_id, "cb 1", euros(1)),
        void(world, order_id, f"tx {order_id}"),
    ):
        with pytest.raises(UnavailableError):
            await doing
    assert not changed(before, await contents(world))


# late money of another order


async def test_late_money_is_assigned_to_the_order_that_it_was_meant_for(world: World):
    ended, right = [(await world.ticket_order(await world.shopping_client())).order.id for _ in range(2)]
    await world.advance(ended, Transition.EXPIRE)
    await pay(world, ended, "tx 1", TOTAL)
    source = await assign(world, ended, "tx 1", right)
    assert source.version == (await row_of(world, ended))["version"] == 4
    assert [(await row_of(world, one))["state"] for one in (ended, right)] == ["expired", "completed"]
    assert await balance(world, ended) == Balance(recorded=2500, voided=2500)
    assert await balance(world, right) == Balance(recorded=2500, kept=2500)
    before = await contents(world)
    await assign(world, ended, "tx 1", right)
    assert not changed(before, await contents(world))


async def test_what_is_no_late_money_or_has_nowhere_to_go_is_not_assigned(world: World):
    in_time, ended, also_ended = [(await world.ticket_order(await world.shopping_client())).order.id for _ in range(3)]
    await pay(world, in_time, "tx 1", TOTAL)
    for one in (ended, also_ended):
        await world.advance(one, Transition.FAIL)
    await pay(world, ended, "tx 2", TOTAL)
    await refused(world, "payment_not_late", assign(world, in_time, "tx 1", also_ended))
    await refused(world, "order_ended", assign(world, ended, "tx 2", also_ended))
    before = await contents(world)
    with pytest.raises(FieldsError):
        await assign(world, ended, "tx 2", ended)
    for orders in ((ended, OrderId(999)), (OrderId(999), in_time), (also_ended, in_time)):
        with pytest.raises(NotFoundError):
            await assign(world, orders[0], "tx 2", orders[1])
    assert not changed(before, await contents(world))
    await void(world, ended, "tx 2")
    await pay(world, in_time, "tx 2", TOTAL)
    third = (await world.ticket_order(await world.shopping_client())).order.id
    await refused(world, "payment_reference_used", assign(world, ended, "tx 2", third))


async def test_late_money_that_is_assigned_to_two_orders_at_once_goes_to_one(world: World):
    orders = [(await world.ticket_order(await world.shopping_client())).order.id for _ in range(4)]
    ended, *others = orders
    await world.advance(ended, Transition.EXPIRE)
    await pay(world, ended, "tx 1", TOTAL)
    results = await asyncio.gather(*(assign(world, ended, "tx 1", one) for one in others), return_exceptions=True)
    assert [isinstance(one, ConflictError) for one in results].count(False) == 1
    assert [(await row_of(world, one))["state"] for one in others].count("completed") == 1


# at once


async def test_of_refunds_and_chargebacks_at_once_none_takes_what_another_took(world: World):
    order_id = await a_paid_order(world)
    doing = [pay_back(world, order_id, f"re {number}", euros(700)) for number in range(5)]
    doing += [take_back(world, order_id, f"cb {number}", euros(700)) for number in range(5)]
    results = await asyncio.gather(*doing, return_exceptions=True)
    codes = [one.code if isinstance(one, ConflictError) else None for one in results]
    assert set(codes) <= {None, "refund_exceeds_paid", "chargeback_exceeds_paid"}
    found = await balance(world, order_id)
    assert found.charged_back == 2100
    assert found.refunded == 700 * codes[:5].count(None)
    assert found.recorded == found.kept + found.refunded + found.charged_back == 2500


async def test_the_same_refund_posted_ten_times_at_once_is_one(world: World):
    order_id, other = await a_paid_order(world), await a_paid_order(world)
    orders = [order_id, other] * 5
    results = await asyncio.gather(
        *(pay_back(world, one, "re 1", euros(100)) for one in orders), return_exceptions=True
    )
    assert len({isinstance(one, ConflictError) for one in results[::2]}) == 1
    (row,) = await world.rows("payment_corrections")
    assert row["amount_minor"] == 100
    assert {(await balance(world, one)).refunded for one in (order_id, other)} == {0, 100}


async def test_a_refund_that_fails_ten_times_at_once_is_owed_once(world: World):
    order_id = await a_paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1000))
    doing = [bounce(world, order_id, "re 1") for _ in range(10)] + [take_back(world, order_id, "cb 1", euros(2000))]
    await asyncio.gather(*doing)
    assert await balance(world, order_id) == Balance(recorded=2500, kept=0, due=500, charged_back=2000)
    assert [one["kind"] for one in await world.rows("outbox", order_id)].count("refund.failed") == 1

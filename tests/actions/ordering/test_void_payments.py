"""A payment that never happened is voided, and the order is as if it had not been reported."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError
from countermand.actions.ordering.expire import expire_order
from countermand.actions.ordering.record_progress import pay_in_sandbox
from countermand.actions.ordering.views import OrderView
from countermand.actions.ticketing.transfer import TransferOrder, transfer_tickets
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.orders.order_state import Transition
from countermand.domain.orders.payment_correction import CorrectionKind
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import payments
from support.database_contents import changed, contents
from support.money import WINDOW, euros, pay, row_of, void
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

TOTAL = euros(2500)


async def an_order(world: World, **more: object) -> OrderView:
    return await world.ticket_order(await world.shopping_client(), **more)  # type: ignore[arg-type]


async def kinds(world: World, order_id: OrderId) -> list[str]:
    return [row["kind"] for row in await world.rows("outbox", order_id)]


async def expires_at(world: World, order_id: OrderId) -> list[int]:
    return [row["expires_at"] for row in await world.rows("expiries", order_id)]


async def test_an_order_that_a_mistyped_payment_completed_is_pending_again_and_can_be_cancelled(world: World):
    shop, product = await world.shopping_client(), await world.product(stock=5)
    order_id = (await world.ticket_order(shop, product=product)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    assert isinstance(await world.cancel(shop, order_id), NotCancelled)
    world.clock.forward(minutes=10)

    voided = await void(world, order_id, "tx 1")

    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"], row["version"]) == ("pending", None, 3)
    assert voided.version == 3
    assert await expires_at(world, order_id) == [micros(world.clock() + WINDOW)]
    assert all(ticket["valid"] for ticket in await world.rows("tickets", order_id))
    assert (await kinds(world, order_id))[-2:] == ["order.advanced", "payment.voided"]
    (payment,) = await world.rows("payments", order_id)
    assert (payment["amount_minor"], payment["recorded_minor"]) == (0, 2500)
    assert payment["voided_at"] == micros(world.clock())
    (correction,) = await world.rows("payment_corrections", order_id)
    assert (correction["kind"], correction["payment_reference"], correction["reason"]) == ("void", "tx 1", "mistyped")
    assert (correction["amount_minor"], correction["reference"], correction["state"]) == (2500, None, None)
    assert isinstance(await world.cancel(shop, order_id), Cancelled)
    assert [one["availability"] for one in await world.rows("products") if one["uid"] == product] == [5]


async def test_a_reopened_order_is_paid_or_expires_as_a_new_one(world: World):
    paid, unpaid = (await an_order(world)).order.id, (await an_order(world)).order.id
    for order_id in (paid, unpaid):
        await pay(world, order_id, f"tx {order_id}", TOTAL)
        await void(world, order_id, f"tx {order_id}")
    await pay(world, paid, "the right one", TOTAL)
    world.clock.now += WINDOW
    for order_id in (paid, unpaid):
        async with world.database.store.transaction() as tx:
            assert await expire_order(tx, order_id, world.clock()) is (order_id == unpaid)
    assert [(await row_of(world, one))["state"] for one in (paid, unpaid)] == ["completed", "expired"]


async def test_an_order_that_other_payments_cover_stays_complete_and_knows_its_first_payment(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    world.clock.forward(hours=1)
    await pay(world, order_id, "tx 2", TOTAL)
    await void(world, order_id, "tx 1")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"]) == ("completed", micros(world.clock()))
    assert await expires_at(world, order_id) == []
    await void(world, order_id, "tx 2")
    assert (await row_of(world, order_id))["state"] == "pending"


async def test_of_two_halves_one_is_voided_and_the_other_still_counts(world: World):
    order_id = (await an_order(world)).order.id
    for name in ("half 1", "half 2"):
        await pay(world, order_id, name, euros(1250))
    await void(world, order_id, "half 2")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"]) == ("pending", micros(NOON))
    async with world.database.store.transaction() as tx:  # the half that was paid keeps the order
        assert not await expire_order(tx, order_id, world.clock() + 2 * WINDOW)
    await pay(world, order_id, "half 3", euros(1250))
    assert (await row_of(world, order_id))["state"] == "completed"


async def test_a_pending_order_whose_last_payment_is_voided_has_its_time_anew(world: World):
    order_id = (await an_order(world)).order.id
    async with world.database.store.transaction() as tx:
        await tx.expire_at(order_id, NOON + WINDOW)
    await pay(world, order_id, "part", euros(1))
    await pay(world, order_id, "foreign", Money(minor=1, currency="USD"))
    world.clock.now += WINDOW
    await void(world, order_id, "part")
    assert await expires_at(world, order_id) == [micros(NOON + WINDOW)], "another payment is there"
    await void(world, order_id, "foreign")
    assert await expires_at(world, order_id) == [micros(world.clock() + WINDOW)]
    async with world.database.store.transaction() as tx:  # a node had found it when it was due by the old limit
        assert not await expire_order(tx, order_id, world.clock())
    assert await expires_at(world, order_id) == [micros(world.clock() + WINDOW)]
    assert (await row_of(world, order_id))["state"] == "pending"


async def test_a_void_that_is_repeated_changes_nothing(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    first = await void(world, order_id, "tx 1")
    before = await contents(world)
    world.clock.forward(minutes=5)
    assert await void(world, order_id, "tx 1", "for another reason") == first
    assert not changed(before, await contents(world))


async def test_a_payment_that_the_order_does_not_have_is_not_found(world: World):
    order_id, other = (await an_order(world)).order.id, (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    before = await contents(world)
    for wrong in (other, OrderId(999)):
        with pytest.raises(NotFoundError):
            await void(world, wrong, "tx 1")
    assert not changed(before, await contents(world))


async def test_a_voided_reference_belongs_to_another_order_from_then_on(world: World):
    wrong, right, third = [(await an_order(world)).order.id for _ in range(3)]
    await pay(world, wrong, "tx 1", TOTAL)
    with pytest.raises(ConflictError) as refused:
        await pay(world, right, "tx 1", TOTAL)
    assert refused.value.code == "payment_reference_used"

    await void(world, wrong, "tx 1")
    await pay(world, right, "tx 1", TOTAL)

    assert [(await row_of(world, one))["state"] for one in (wrong, right)] == ["pending", "completed"]
    assert [row["order_id"] for row in await world.rows("payment_references")] == [right]
    before = await contents(world)
    for order_id, code in ((wrong, "payment_voided"), (third, "payment_reference_used")):
        with pytest.raises(ConflictError) as refused:
            await pay(world, order_id, "tx 1", TOTAL)
        assert refused.value.code == code
    assert (await pay(world, right, "tx 1", TOTAL)).repeated
    assert not changed(before, await contents(world))
    await void(world, right, "tx 1")
    await pay(world, third, "tx 1", TOTAL)
    assert (await row_of(world, third))["state"] == "completed"


async def test_a_voided_payment_is_not_recorded_again_for_the_same_order(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    await void(world, order_id, "tx 1")
    before = await contents(world)
    for money in (TOTAL, euros(1)):
        with pytest.raises(ConflictError) as refused:
            await pay(world, order_id, "tx 1", money)
        assert refused.value.code == "payment_voided"
    assert not changed(before, await contents(world))


async def test_an_order_that_a_move_completed_stays_complete_when_a_later_payment_is_voided(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "part", euros(1000))
    await world.advance(order_id, Transition.COMPLETE)
    await pay(world, order_id, "rest", euros(1500))
    await void(world, order_id, "rest")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"]) == ("completed", micros(NOON))
    await void(world, order_id, "part")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"], await expires_at(world, order_id)) == ("completed", None, [])
    advanced = [one for one in await world.rows("outbox", order_id) if one["kind"] == "order.advanced"]
    assert len(advanced) == 1, "nothing said that the order was pending again"


async def test_the_last_completion_counts_and_one_that_is_not_known_any_more_was_a_payments(world: World):
    moved, unknown = (await an_order(world)).order.id, (await an_order(world)).order.id
    await pay(world, moved, "tx 1", TOTAL)
    await void(world, moved, "tx 1")
    assert (await row_of(world, moved))["state"] == "pending"
    for order_id in (moved, unknown):
        await world.advance(order_id, Transition.COMPLETE)
        await pay(world, order_id, f"tx {order_id}", TOTAL)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == unknown))
    for order_id, state in ((moved, "completed"), (unknown, "pending")):
        await void(world, order_id, f"tx {order_id}")
        assert (await row_of(world, order_id))["state"] == state


async def test_an_order_whose_tickets_were_given_on_is_not_reopened(world: World):
    shop = await world.shopping_client()
    order = await world.ticket_order(shop)
    await pay(world, order.order.id, "tx 1", TOTAL)
    given = TransferOrder(
        ticket_uids=[order.tickets[0].uid], given=TicketOrderGiven(consumer=Consumer(first_name="Jo"))
    )
    async with world.database.store.transaction() as tx:
        await transfer_tickets(tx, shop.client.id, given, world.clock())
    before = await contents(world)
    with pytest.raises(ConflictError) as refused:
        await void(world, order.order.id, "tx 1")
    assert refused.value.code == "tickets_given_on"
    assert not changed(before, await contents(world))
    await pay(world, order.order.id, "the right one", TOTAL)
    await void(world, order.order.id, "tx 1")
    assert (await row_of(world, order.order.id))["state"] == "completed"


async def test_a_payment_of_nothing_is_refused_and_one_of_an_older_version_can_be_voided(world: World):
    order_id = (await an_order(world, product=await world.product(price_minor=0))).order.id
    assert (await row_of(world, order_id))["state"] == "completed"
    before = await contents(world)
    with pytest.raises(FieldsError, match=r"0\.00"):
        await pay(world, order_id, "tx 1", euros(0))
    assert not changed(before, await contents(world))
    await pay(world, order_id, "tx 1", euros(1))
    async with world.database.store.transaction() as tx:
        await tx.run(update(payments).where(payments.c.order_id == order_id).values(amount_minor=0))
    await void(world, order_id, "tx 1")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"]) == ("completed", None)


async def test_late_money_is_voided_and_the_order_stays_as_it_ended(world: World):
    order_id = (await an_order(world)).order.id
    await world.advance(order_id, Transition.EXPIRE)
    await pay(world, order_id, "tx 1", TOTAL)
    await void(world, order_id, "tx 1")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"], row["version"]) == ("expired", None, 4)
    assert await expires_at(world, order_id) == []


async def test_the_void_of_a_telecom_order_s_payment_leaves_its_state(world: World):
    order_id = await world.service_order(await world.connect_client())
    await pay(world, order_id, "tx 1", TOTAL)
    await void(world, order_id, "tx 1")
    row = await row_of(world, order_id)
    assert (row["state"], row["first_payment_at"], row["version"]) == ("submitted", None, 3)


async def test_no_move_reopens_an_order(world: World):
    order_id = (await an_order(world, paid=True)).order.id
    before = await contents(world)
    with pytest.raises(ConflictError, match="cannot reopen") as refused:
        await world.advance(order_id, Transition.REOPEN)
    assert refused.value.code == "move_not_allowed"
    assert not changed(before, await contents(world))


async def test_the_page_takes_the_rest_again_after_a_void(world: World):
    order_id = (await an_order(world)).order.id
    for amounts in ([2500], [0, 2500]):
        async with world.database.store.transaction() as tx:
            assert await pay_in_sandbox(tx, order_id, world.clock())
        rows = sorted(await world.rows("payments", order_id), key=lambda row: str(row["reference"]))
        assert [row["amount_minor"] for row in rows] == amounts
        assert (await row_of(world, order_id))["state"] == "completed"
        async with world.database.store.transaction() as tx:
            assert await pay_in_sandbox(tx, order_id, world.clock()), "a repeat is answered as paid"
        assert len(await world.rows("payments", order_id)) == len(amounts)
        await void(world, order_id, rows[-1]["reference"])
    await world.advance(order_id, Transition.FAIL)
    before = await contents(world)
    async with world.database.store.transaction() as tx:
        assert not await pay_in_sandbox(tx, order_id, world.clock()), "what was voided did not pay"
    assert not changed(before, await contents(world))


async def test_of_two_voids_at_once_one_is_recorded(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    await asyncio.gather(*(void(world, order_id, "tx 1") for _ in range(5)))
    assert len(await world.rows("payment_corrections", order_id)) == 1
    assert (await row_of(world, order_id))["version"] == 3


async def test_a_void_and_a_cancellation_at_once_leave_nothing_half_done(world: World):
    shop = await world.shopping_client()
    for number in range(6):
        order_id = (await world.ticket_order(shop)).order.id
        await pay(world, order_id, f"tx {number}", TOTAL)
        await asyncio.gather(void(world, order_id, f"tx {number}"), world.cancel(shop, order_id))
        row = await row_of(world, order_id)
        is_cancelled = bool(await world.rows("cancellations", order_id))
        assert (row["state"], row["first_payment_at"]) == ("cancelled" if is_cancelled else "pending", None)
        assert [bool(one["valid"]) for one in await world.rows("tickets", order_id)] == [not is_cancelled] * 2
        assert len(await world.rows("payment_corrections", order_id)) == 1


async def test_of_several_orders_that_record_a_voided_reference_at_once_one_gets_it(world: World):
    wrong, *others = [(await an_order(world)).order.id for _ in range(5)]
    await pay(world, wrong, "tx 1", TOTAL)
    results = await asyncio.gather(
        void(world, wrong, "tx 1"),
        *(pay(world, one, "tx 1", TOTAL) for one in others),
        return_exceptions=True,
    )
    for one in results[1:]:
        assert isinstance(one, ConflictError) is not hasattr(one, "payment"), one
    results = await asyncio.gather(*(pay(world, one, "tx 1", TOTAL) for one in others), return_exceptions=True)
    held = [row["order_id"] for row in await world.rows("payments") if row["voided_at"] is None]
    assert len(held) == 1
    assert [row["order_id"] for row in await world.rows("payment_references")] == held
    assert [one["id"] for one in await world.rows("orders") if one["state"] == "completed"] == held


async def test_what_was_voided_is_in_the_account(world: World):
    order_id = (await an_order(world)).order.id
    await pay(world, order_id, "tx 1", TOTAL)
    await void(world, order_id, "tx 1")
    async with world.database.store.snapshot() as reading:
        history = await reading.history(order_id)
    assert [(one.kind, one.payment_reference, one.money) for one in history.corrections] == [
        (CorrectionKind.VOID, "tx 1", TOTAL)
    ]
    assert [(one.money, one.voided_at) for one in history.payments] == [(TOTAL, NOON + timedelta(0))]

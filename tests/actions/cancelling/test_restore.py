"""An operator undoes a cancellation: the order has everything again that the cancellation took, or nothing changes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from countermand.actions.appointments.booking_backends import OperatorsSystem
from countermand.actions.appointments.set import advance_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.restore import restore_order
from countermand.actions.errors import ConflictError, CountermandError, NotFoundError
from countermand.actions.ordering.expire import expire_order
from countermand.actions.ticketing.transfer import TransferOrder, transfer_tickets
from countermand.domain.appointments.appointment import AppointmentState
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId, order_id_of
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.orders.order_state import Transition
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.tables.appointments import appointments
from countermand.storage.tables.cancelling import cancellations
from countermand.storage.tables.columns import micros
from countermand.storage.tables.tickets import tickets
from support.appointments import booked, slot
from support.database_contents import Contents, changed, contents
from support.money import WINDOW, assign, balance, bounce, euros, pay, pay_back, row_of, take_back, void
from support.overrides import AUTHOR, override
from support.restores import TERMS, UNDO_WINDOW, restore
from support.shared_world import shared_world
from support.statements import before_each_statement
from support.ticket_shop import a_shop, check_conservation, check_seats
from support.world import NOON, Caller, World

world = shared_world

TOTAL = euros(2500)
PAID, SOON = "payment_recorded", "appointment_within_notice"
# What a cancellation and its undoing leave behind: the order's version, the events, and the record that was moved.
TRACES = {"orders", "outbox", "undone_cancellations"}


async def paid_order(world: World, **more: Any) -> OrderId:
    order_id = (await world.ticket_order(await world.shopping_client(), **more)).order.id
    await pay(world, order_id, f"tx {order_id}", TOTAL)
    return order_id


async def by_operator(world: World, order_id: OrderId) -> None:
    assert isinstance(await world.cancel(await world.manage_client(), order_id, on_behalf=True), Cancelled)


async def refused(world: World, order_id: OrderId, code: str, **terms: Any) -> str:
    """What the refusal says, which changes nothing."""
    keeps = await contents(world)
    with pytest.raises(ConflictError) as raised:
        await restore(world, order_id, **terms)
    assert raised.value.code == code
    assert changed(keeps, await contents(world)) == set()
    return str(raised.value)


def but_for_version(kept: Contents) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "version"} for row in kept["orders"]]


async def told(world: World, order_id: OrderId) -> list[str]:
    return [row["kind"] for row in await world.rows("outbox", order_id)]


async def give_on(world: World, owner: Caller, *uids: str) -> OrderId:
    given = TransferOrder(ticket_uids=uids, given=TicketOrderGiven(consumer=Consumer(first_name="Ada")))
    async with world.database.store.transaction() as tx:
        return (await transfer_tickets(tx, owner.client.id, given, world.clock())).order.id


async def test_a_paid_order_that_was_cancelled_by_an_override_is_as_it_was(world: World):
    order_id = await paid_order(world, product=await world.product(stock=5))
    before = await contents(world)
    await override(world, order_id, PAID)
    world.clock.forward(minutes=3)

    restored = await restore(world, order_id, "the wrong order")

    after = await contents(world)
    assert changed(before, after) == {*TRACES, "payment_corrections"}
    assert but_for_version(before) == but_for_version(after)
    assert (restored.state, restored.version) == ("completed", 4)
    assert await told(world, order_id) == [
        *("order.placed", "order.advanced", "payment.recorded", "order.cancelled", "refund.due", "order.restored"),
    ]
    details = json.loads((await world.rows("outbox", order_id))[-1]["details"])
    assert details == {"from": "cancelled", "to": "completed", "reason": "the wrong order"}
    (due,) = await world.rows("payment_corrections", order_id)
    assert (due["state"], due["settled_at"]) == ("withdrawn", micros(world.clock()))
    found = await balance(world, order_id)
    assert (found.kept, found.due, found.refunded) == (2500, 0, 0)
    (undone,) = await world.rows("undone_cancellations", order_id)
    assert (undone["order_version"], undone["undone_at"], undone["undone_reason"]) == (
        4,
        micros(world.clock()),
        "the wrong order",
    )
    assert (undone["undone_staff_id"], undone["staff_id"], undone["overridden"]) == ("author", "author", PAID)
    await check_conservation(world)


async def test_a_pending_order_that_was_cancelled_by_the_policy_can_be_paid_for_as_long_as_a_new_order(world: World):
    order_id = (await world.ticket_order(await world.shopping_client())).order.id
    before = await contents(world)
    world.clock.forward(minutes=1)
    await by_operator(world, order_id)
    world.clock.forward(minutes=1)

    await restore(world, order_id)

    after = await contents(world)
    assert changed(before, after) == {*TRACES, "expiries", "clients"}
    assert but_for_version(before) == but_for_version(after)
    (expiry,) = await world.rows("expiries", order_id)
    assert expiry["expires_at"] == micros(world.clock() + WINDOW)
    async with world.database.store.transaction() as tx:
        assert not await expire_order(tx, order_id, world.clock() + WINDOW - timedelta(microseconds=1))
        assert await expire_order(tx, order_id, world.clock() + WINDOW)
    await check_conservation(world)


async def test_a_service_order_has_its_visit_again(world: World):
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=30))
    before = await contents(world)
    await by_operator(world, order_id)

    await restore(world, order_id)

    after = await contents(world)
    assert changed(before, after) == {*TRACES, "clients"}
    assert but_for_version(before) == but_for_version(after)
    assert (await told(world, order_id))[-4:] == [
        *("appointment.cancelled", "order.cancelled", "appointment.set", "order.restored")
    ]


async def test_a_visit_in_progress_is_in_progress_again(world: World):
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=1))
    (visit,) = await world.rows("appointments", order_id)
    async with world.database.store.transaction() as tx:
        await advance_appointment(tx, AUTHOR, order_id, visit["id"], AppointmentState.IN_PROGRESS, world.clock())
    before = await world.rows("appointments", order_id)
    await override(world, order_id, SOON)
    await restore(world, order_id)
    assert await world.rows("appointments", order_id) == before


async def test_a_visit_in_a_slot_takes_its_place_again_or_the_answer_says_that_it_is_gone(world: World):
    me = await world.connect_client()
    at = NOON + timedelta(hours=40)
    await slot(world, "S1", at)
    order_id, other = await world.service_order(me), await world.service_order(me)
    await booked(world, me, order_id, "S1")
    await by_operator(world, order_id)
    await restore(world, order_id)
    with pytest.raises(AssertionError, match="slot"):
        await booked(world, me, other, "S1")

    await by_operator(world, order_id)
    await booked(world, me, other, "S1")
    assert "the slot S1 has been taken" in await refused(world, order_id, "slot_taken")
    await by_operator(world, other)
    await slot(world, "S1", at + timedelta(hours=1))
    assert "the slot S1 is no longer there" in await refused(world, order_id, "slot_gone")


async def test_a_slot_that_has_begun_is_over(world: World):
    me = await world.connect_client()
    await slot(world, "S1", NOON + timedelta(minutes=5))
    order_id = await world.service_order(me)
    await booked(world, me, order_id, "S1")
    await override(world, order_id, SOON)
    world.clock.forward(minutes=5)
    await refused(world, order_id, "slot_over")
    world.clock.forward(seconds=-1)
    await restore(world, order_id)


async def test_a_visit_that_the_operators_system_books_is_not_agreed_again_here(world: World):
    me = await world.connect_client()
    await slot(world, "S1", NOON + timedelta(hours=40))
    in_slot, remote = await world.service_order(me), await world.service_order(me, appointment_in=timedelta(hours=40))
    await booked(world, me, in_slot, "S1")
    async with world.database.store.transaction() as tx:
        await tx.run(update(appointments).where(appointments.c.order_id == remote).values(remote_id="R1"))
    for order_id in (in_slot, remote):
        await by_operator(world, order_id)
    await refused(world, in_slot, "visit_elsewhere", bookings=OperatorsSystem())
    await refused(world, remote, "visit_elsewhere")
    await restore(world, in_slot)


async def test_tickets_that_were_given_on_stay_invalid(world: World):
    shop = await a_shop(world)
    product = await shop.product(stock=3, price_minor=0)
    order_id = order_id_of((await shop.order({product: 2})).json()["uid"])
    first, second = (row["uid"] for row in await world.rows("tickets", order_id))
    await give_on(world, shop.caller, first)
    await by_operator(world, order_id)

    await restore(world, order_id)

    assert {row["uid"]: bool(row["valid"]) for row in await world.rows("tickets", order_id)} == {
        first: False,
        second: True,
    }
    await check_conservation(world, given_on={first})

    await give_on(world, shop.caller, second)
    await by_operator(world, order_id)
    assert "all were given on" in await refused(world, order_id, "not_restorable")
    assert await shop.left() == {product: 1}


async def test_seats_are_taken_again_even_if_others_had_them_meanwhile(world: World):
    shop = await a_shop(world)
    product = await shop.seated(2, price_minor=0)
    order_id = order_id_of((await shop.order({product: 2})).json()["uid"])
    before = await contents(world)
    await by_operator(world, order_id)
    other = order_id_of((await shop.order({product: 1})).json()["uid"])
    assert product in await refused(world, order_id, "insufficient_products")
    await by_operator(world, other)

    await restore(world, order_id)

    after = await contents(world)
    assert before["seats"] == after["seats"]
    assert [one for one in after["tickets"] if one["order_id"] == order_id] == before["tickets"]
    await check_seats(world)


async def test_a_seat_that_others_have_or_that_the_plan_lacks_is_named(world: World):
    shop = await a_shop(world)
    product = await shop.seated(3, price_minor=0)
    order_id = order_id_of((await shop.order({product: 2})).json()["uid"])
    await by_operator(world, order_id)
    other = order_id_of((await shop.order({product: 1})).json()["uid"])
    assert "Stalls A 1" in await refused(world, order_id, "seat_gone")
    await by_operator(world, other)
    await shop.seat(product, 1, 2)
    said = await refused(world, order_id, "seat_gone")
    assert "Stalls A 2" in said
    assert "Stalls A 1" not in said


async def test_a_product_that_has_seats_by_now_gives_none_to_a_ticket_without(world: World):
    shop = await a_shop(world)
    product = await shop.product(stock=2, price_minor=0)
    order_id = order_id_of((await shop.order({product: 1})).json()["uid"])
    await by_operator(world, order_id)
    await shop.seat(product, 2)
    await refused(world, order_id, "seat_gone")


async def test_the_last_place_and_the_last_use_of_a_voucher_are_taken_again_or_named(world: World):
    shop = await a_shop(world)
    product, code = await shop.product(stock=1, price_minor=0), await shop.voucher("ONCE", uses_cap=1)
    plenty = await shop.product(price_minor=0)
    order_id = order_id_of((await shop.order({product: 1}, vouchers=[code])).json()["uid"])
    await by_operator(world, order_id)
    await restore(world, order_id)
    assert await shop.left() == {product: 0, plenty: 100}
    assert (await shop.order({plenty: 1}, vouchers=[code])).status_code == 409

    await by_operator(world, order_id)
    other = order_id_of((await shop.order({plenty: 1}, vouchers=[code])).json()["uid"])
    assert "the voucher ONCE" in await refused(world, order_id, "voucher_used_up")
    await by_operator(world, other)
    assert (await shop.order({product: 1})).status_code == 201
    assert product in await refused(world, order_id, "insufficient_products")
    await check_conservation(world)


async def test_a_cancellation_can_be_undone_until_the_window_is_over(world: World):
    order_id = await world.service_order(await world.connect_client())
    await by_operator(world, order_id)
    world.clock.forward(seconds=UNDO_WINDOW.total_seconds())
    said = await refused(world, order_id, "undo_window_over")
    assert "cancelled at 2026-11-21T12:00:00Z, and that could be undone until 2026-11-21T12:10:00Z" in said
    await refused(world, order_id, "undo_window_over", window=timedelta())
    world.clock.now -= timedelta(microseconds=1)
    await restore(world, order_id)


async def test_what_a_client_cancelled_itself_is_undone_only_where_the_settings_say_so(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    assert "over connect" in await refused(world, order_id, "clients_cancellation")
    await restore(world, order_id, clients_own=True)
    assert (await row_of(world, order_id))["state"] == "submitted"


@pytest.mark.parametrize("state", ["submitted", "expired"])
async def test_an_order_that_is_not_cancelled_is_not_restored(world: World, state: str):
    if state == "submitted":
        order_id = await world.service_order(await world.connect_client())
    else:
        order_id = (await world.ticket_order(await world.shopping_client())).order.id
        await world.advance(order_id, Transition.EXPIRE)
    assert state in await refused(world, order_id, "order_not_cancelled")
    with pytest.raises(NotFoundError):
        await restore(world, OrderId(999))


@pytest.mark.parametrize("what", ["void", "refund", "part of the refund", "chargeback", "late money"])
async def test_money_that_moved_since_the_cancellation_keeps_the_order_cancelled(world: World, what: str):
    order_id = await paid_order(world)
    await pay(world, order_id, "dollars", Money(minor=100, currency="USD"))
    await override(world, order_id, PAID)
    match what:
        case "void":
            await pay(world, order_id, "late", TOTAL)
            await void(world, order_id, "late")
        case "refund":
            await pay_back(world, order_id, "re 1", TOTAL)
        case "part of the refund":
            await pay_back(world, order_id, "re 1", euros(1))
        case "chargeback":
            await take_back(world, order_id, "cb 1", euros(1))
        case "late money":
            await pay(world, order_id, "late", euros(1))
    said = await refused(world, order_id, "money_moved")
    assert {"void": "late", "late money": "late", "chargeback": "cb 1"}.get(what, "re 1") in said


async def test_what_was_paid_back_before_the_cancellation_does_not_hinder_its_undoing(world: World):
    order_id = await paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1000))
    world.clock.forward(seconds=1)
    await override(world, order_id, PAID)
    await restore(world, order_id)
    found = await balance(world, order_id)
    assert (found.kept, found.due, found.refunded) == (1500, 0, 1000)


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_a_refund_of_before_the_cancellation_that_failed_is_still_owed_after_the_undoing(
    world: World, fails: str
):
    order_id = await paid_order(world)
    await pay_back(world, order_id, "re 1", euros(1000))
    world.clock.forward(seconds=1)
    if fails == "before":
        await bounce(world, order_id, "re 1")
    await override(world, order_id, PAID)
    world.clock.forward(seconds=1)
    if fails == "after":
        await bounce(world, order_id, "re 1")
    assert (await balance(world, order_id)).due == 2500
    await restore(world, order_id)
    found = await balance(world, order_id)
    assert (found.kept, found.due, found.refunded) == (1500, 1000, 0)
    await pay_back(world, order_id, "re 2", euros(1000))
    assert (await balance(world, order_id)).kept == 1500
    await check_conservation(world)


async def test_a_refund_by_a_node_whose_clock_is_behind_counts_as_sent_since_the_cancellation(world: World):
    order_id = await paid_order(world)
    await override(world, order_id, PAID)
    world.clock.forward(seconds=-1)
    await pay_back(world, order_id, "re 1", euros(1))
    world.clock.forward(seconds=2)
    assert "re 1" in await refused(world, order_id, "money_moved")


async def test_late_money_that_was_moved_to_another_order_hinders_as_any_void_does(world: World):
    order_id, other = await paid_order(world), await paid_order(world)
    await override(world, order_id, PAID)
    await pay(world, order_id, "late", euros(100))
    await assign(world, order_id, "late", other)
    await refused(world, order_id, "money_moved")


async def test_a_restored_order_is_cancelled_again_and_restored_again(world: World):
    order_id = await paid_order(world, product=await world.product(stock=2))
    for _ in range(3):
        await override(world, order_id, PAID)
        await check_conservation(world)
        world.clock.forward(seconds=1)
        await restore(world, order_id)
        await check_conservation(world)
    await override(world, order_id, PAID)
    assert len(await world.rows("undone_cancellations", order_id)) == 3
    assert len(await world.rows("cancellations", order_id)) == 1
    states = [row["state"] for row in await world.rows("payment_corrections", order_id)]
    assert states == ["withdrawn", "withdrawn", "withdrawn", "due"]
    assert (await balance(world, order_id)).due == 2500


async def test_a_repeat_under_the_old_key_neither_cancels_again_nor_says_cancelled(world: World):
    me = await world.connect_client()
    order_id, other = await world.service_order(me), await world.service_order(me)
    assert isinstance(await world.cancel(me, order_id, key="k"), Cancelled)
    assert isinstance(await world.cancel(me, other, key="other"), Cancelled)
    await restore(world, order_id, clients_own=True)
    keeps = await contents(world)
    for _ in range(2):
        with pytest.raises(ConflictError) as raised:
            await world.cancel(me, order_id, key="k")
        assert raised.value.code == "cancellation_undone"
    assert changed(keeps, await contents(world)) == set()
    assert isinstance(await world.cancel(me, other, key="other"), Cancelled)
    assert isinstance(await world.cancel(me, order_id, key="k 2"), Cancelled)
    assert isinstance(await world.cancel(me, order_id, key="k 2"), Cancelled)
    with pytest.raises(ConflictError):
        await world.cancel(me, order_id, key="k")


async def test_a_refusal_under_a_key_stays_the_answer_after_the_order_is_restored(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await by_operator(world, order_id)
    first = await world.cancel(me, order_id, key="k")
    assert isinstance(first, NotCancelled)
    await restore(world, order_id)
    assert await world.cancel(me, order_id, key="k") == first


async def test_a_commit_that_was_cut_off_is_found_though_its_cancellation_was_undone(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    command = world.command(me, order_id)
    assert isinstance(await world.service.commit.submit(command), Cancelled)
    await restore(world, order_id, clients_own=True)
    assert await world.service.commit.run.store.committed([command]) == {command.command_id}  # type: ignore[attr-defined]
    again = world.command(me, order_id)
    assert await world.service.commit.run.store.committed([again]) == frozenset()  # type: ignore[attr-defined]


async def test_what_an_older_version_cancelled_is_not_restored(world: World):
    shop = await world.shopping_client()
    by_older = (await world.ticket_order(shop)).order.id
    visited = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=30))
    deleted = await world.service_order(await world.connect_client("other"))
    for order_id in (by_older, visited, deleted):
        await by_operator(world, order_id)
    async with world.database.store.transaction() as tx:
        await tx.run(update(tickets).where(tickets.c.order_id == by_older).values(released=None))
        await tx.run(update(appointments).where(appointments.c.order_id == visited).values(cancelled_from=None))
        await tx.run(cancellations.delete().where(cancellations.c.order_id == deleted))
    for order_id, why in ((by_older, "older version"), (visited, "older version"), (deleted, "was deleted")):
        assert why in await refused(world, order_id, "not_restorable")


async def test_a_failure_between_any_two_statements_changes_nothing(world: World):
    shop = await a_shop(world)
    product, code = await shop.seated(2, price_minor=0), await shop.voucher("ONCE", uses_cap=1)
    order_id = order_id_of((await shop.order({product: 2}, vouchers=[code])).json()["uid"])
    await pay(world, order_id, "tx", euros(100))
    await override(world, order_id, PAID)
    keeps = await contents(world)
    statements, fails_at = 0, 0

    async def restore_until_it_fails() -> None:
        with before_each_statement(count):
            async with world.database.store.transaction() as tx:
                await restore_order(tx, AUTHOR, order_id, "oops", world.clock(), terms=TERMS)

    def count() -> None:
        nonlocal statements
        statements += 1
        if statements == fails_at:
            raise RuntimeError

    while True:
        statements, fails_at = 0, fails_at + 1
        try:
            await restore_until_it_fails()
        except RuntimeError:
            assert changed(keeps, await contents(world)) == set(), f"after {fails_at - 1} statements"
            continue
        break
    assert fails_at > 15
    assert (await row_of(world, order_id))["state"] == "completed"


async def test_of_several_restores_at_once_one_restores(world: World):
    for _ in range(4):
        order_id = await paid_order(world)
        await override(world, order_id, PAID)
        found = await asyncio.gather(*(restore(world, order_id) for _ in range(4)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == [*["ConflictError"] * 3, "Order"]
        assert len(await world.rows("undone_cancellations", order_id)) == 1
        assert (await balance(world, order_id)).kept == 2500
    await check_conservation(world)


async def test_a_restore_and_a_new_order_for_the_last_seat_have_one_winner(world: World):
    shop = await a_shop(world)
    for _ in range(4):
        product = await shop.seated(1, price_minor=0)
        order_id = order_id_of((await shop.order({product: 1})).json()["uid"])
        await by_operator(world, order_id)
        ordered, restored = await asyncio.gather(
            shop.order({product: 1}), restore(world, order_id), return_exceptions=True
        )
        assert not isinstance(ordered, BaseException)
        assert (ordered.status_code == 201) is isinstance(restored, ConflictError)
        assert (await shop.left())[product] == 0
        await check_seats(world)
    await check_conservation(world)


async def test_a_restore_and_other_changes_at_once_keep_the_order_whole(world: World):
    for number in range(8):
        order_id = await paid_order(world)
        await override(world, order_id, PAID)
        others: list[Callable[..., Awaitable[object]]] = [pay, pay_back, take_back]
        other = (
            override(world, order_id, PAID)
            if number % 4 == 3
            else others[number % 4](world, order_id, f"{number}", TOTAL)
        )
        found, restored = await asyncio.gather(other, restore(world, order_id), return_exceptions=True)
        assert not isinstance(found, BaseException) or isinstance(found, CountermandError)
        assert not isinstance(restored, BaseException) or isinstance(restored, ConflictError)
        await check_conservation(world)


async def test_a_restore_and_a_cancellation_at_once_leave_one_record_of_each_cancellation(world: World):
    me = await world.connect_client()
    for number in range(8):
        order_id = await world.service_order(me)
        await by_operator(world, order_id)
        cancelled, restored = await asyncio.gather(
            world.cancel(me, order_id, key=f"k {number}"), restore(world, order_id), return_exceptions=True
        )
        assert not isinstance(restored, BaseException)
        state = (await row_of(world, order_id))["state"]
        assert (state == "cancelled") is isinstance(cancelled, Cancelled)
        assert len(await world.rows("cancellations", order_id)) == (state == "cancelled")
        assert len(await world.rows("undone_cancellations", order_id)) == 1


def test_the_terms_of_the_tests_are_those_of_the_settings_defaults(world: World):
    assert world.settings.undo_window_s == TERMS.window.total_seconds()
    assert world.settings.undo_own_cancellations is TERMS.clients_own
    assert replace(TERMS, window=timedelta()) != TERMS

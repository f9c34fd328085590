"""An operator cancels what the policy refuses, by naming exactly the rules that refuse; all or nothing."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from countermand.actions.appointments.set import cancel_appointment, move_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.decide_again import decided_again, policies_of
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.override import OverrideDiffers, override_refusal
from countermand.actions.cancelling.ports import OVERRIDE_DIFFERS, CancellationRecord
from countermand.actions.errors import ConflictError, CountermandError, FieldsError, NotFoundError
from countermand.actions.ordering.expire import expire_order
from countermand.domain.cancelling.decision import Granted, Refused
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.columns import micros
from support.database_contents import changed, contents
from support.money import balance, euros, pay, pay_back, row_of, take_back, void
from support.overrides import AUTHOR, override
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

TOTAL = euros(2500)
PAID, SOON = "payment_recorded", "appointment_within_notice"


async def told(world: World, order_id: OrderId) -> dict[str, Any]:
    return {row["kind"]: json.loads(row["details"]) for row in await world.rows("outbox", order_id)}


async def paid_order(world: World, **more: Any) -> OrderId:
    order_id = (await world.ticket_order(await world.shopping_client(), **more)).order.id
    await pay(world, order_id, f"tx {order_id}", TOTAL)
    return order_id


async def test_a_paid_order_is_cancelled_its_places_are_free_and_its_money_is_due(world: World):
    product = await world.product(stock=5)
    order_id = await paid_order(world, product=product)
    world.clock.forward(minutes=1)
    keeps = await contents(world)

    assert await override(world, order_id, PAID) == Cancelled(order_id=order_id)

    tables = {"orders", "cancellations", "outbox", "tickets", "products", "payment_corrections"}
    assert changed(keeps, await contents(world)) == tables
    row = await row_of(world, order_id)
    assert (row["state"], row["version"], row["first_payment_at"]) == ("cancelled", 3, micros(NOON))
    assert [one["availability"] for one in await world.rows("products")] == [5]
    assert not any(ticket["valid"] for ticket in await world.rows("tickets", order_id))
    (record,) = await world.rows("cancellations", order_id)
    assert (record["overridden"], record["state"], record["first_payment_at"]) == (PAID, "completed", micros(NOON))
    assert (record["staff_id"], record["door"], record["reason"]) == ("author", "manage", "called off")
    assert (await balance(world, order_id)).due == 2500
    (due,) = await world.rows("payment_corrections", order_id)
    assert (due["number"], due["kind"], due["state"], due["amount_minor"]) == (1, "refund", "due", 2500)
    assert (due["reason"], due["staff_id"], due["reference"], due["settled_at"]) == ("called off", "author", None, None)
    kinds = await told(world, order_id)
    assert kinds["order.cancelled"] == {"from": "completed", "reason": "called off"}
    amounts = [{"amount_minor": 2500, "currency": "EUR"}]
    assert kinds["refund.due"] == {"amounts": amounts, "reason": "called off"}
    assert await world.rows("refusals") == []


async def test_an_appointment_within_the_notice_is_cancelled_with_its_order(world: World):
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=20))
    assert await override(world, order_id, SOON) == Cancelled(order_id=order_id)
    assert [one["state"] for one in await world.rows("appointments", order_id)] == ["cancelled"]
    row = await row_of(world, order_id)
    assert (row["state"], row["appointment_starts_at"], row["version"]) == ("cancelled", None, 3)
    (record,) = await world.rows("cancellations", order_id)
    assert (record["overridden"], record["appointment_starts_at"]) == (SOON, micros(NOON + timedelta(hours=20)))
    assert {"order.cancelled", "appointment.cancelled"} < (await told(world, order_id)).keys()
    assert await world.rows("payment_corrections") == []


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ([SOON], f"the rules that refuse are {PAID}, but override names {SOON}"),
        ([PAID, SOON], f"the rules that refuse are {PAID}, but override names {SOON}, {PAID}"),
        (["nonsense"], f"the rules that refuse are {PAID}, but override names nonsense"),
    ],
)
async def test_codes_that_are_not_exactly_the_broken_ones_change_nothing_and_leave_a_refusal(world, named, sentence):
    order_id = await paid_order(world)
    keeps = await contents(world)

    outcome = await override(world, order_id, *named)

    assert isinstance(outcome, OverrideDiffers)
    assert (outcome.broken, outcome.named) == ((PAID,), tuple(sorted(named)))
    assert outcome.sentence.startswith(sentence)
    assert changed(keeps, await contents(world)) == {"refusals"}
    (refusal,) = await world.rows("refusals", order_id)
    assert (refusal["codes"], refusal["staff_id"], refusal["reason"]) == (PAID, "author", "called off")


async def test_an_order_that_no_rule_protects_is_not_overridden(world: World):
    shop = await world.shopping_client()
    order_id = (await world.ticket_order(shop)).order.id
    keeps = await contents(world)
    outcome = await override(world, order_id, PAID)
    assert isinstance(outcome, OverrideDiffers)
    assert (outcome.broken, outcome.named) == ((), (PAID,))
    assert changed(keeps, await contents(world)) == {"refusals"}
    (refusal,) = (await history(world, order_id)).refusals
    assert refusal.codes == (OVERRIDE_DIFFERS,)
    assert isinstance(decided_again(refusal, await known(world, [refusal])), Granted)
    assert isinstance(await world.cancel(shop, order_id), Cancelled)


@pytest.mark.parametrize("code", ["order_not_cancellable", "order_already_cancelled"])
async def test_a_state_that_allows_no_cancellation_is_never_overridden(world: World, code: str):
    order_id = await paid_order(world)
    await override(world, order_id, PAID)
    keeps = await contents(world)
    with pytest.raises(FieldsError, match=f"override must not name {code}: nobody can override it"):
        await override(world, order_id, PAID, code)
    assert changed(keeps, await contents(world)) == set()

    outcome = await override(world, order_id, PAID)

    assert isinstance(outcome, NotCancelled)
    assert outcome.refused.codes == ("order_already_cancelled", "order_not_cancellable", PAID)
    assert changed(keeps, await contents(world)) == {"refusals"}
    assert len(await world.rows("payment_corrections", order_id)) == 1


async def test_an_order_that_is_not_there_is_not_found(world: World):
    keeps = await contents(world)
    with pytest.raises(NotFoundError):
        await override(world, OrderId(999), PAID)
    assert changed(keeps, await contents(world)) == set()


async def test_what_was_refunded_and_charged_back_is_not_due_again_and_each_currency_is_due_by_itself(world: World):
    order_id = await paid_order(world)
    await pay(world, order_id, "dollars", Money(minor=700, currency="USD"))
    await pay(world, order_id, "francs", Money(minor=300, currency="CHF"))
    await pay_back(world, order_id, "re 1", euros(1000))
    await take_back(world, order_id, "cb 1", Money(minor=300, currency="CHF"))
    await override(world, order_id, PAID, reason=None)
    due = [row for row in await world.rows("payment_corrections", order_id) if row["state"] == "due"]
    assert [(row["number"], row["amount_minor"], row["currency"]) for row in due] == [(3, 1500, "EUR"), (4, 700, "USD")]
    assert {row["reason"] for row in due} == {"the order was cancelled"}
    assert [one["amount_minor"] for one in (await told(world, order_id))["refund.due"]["amounts"]] == [1500, 700]
    for currency, kept in (("EUR", 1500), ("USD", 700), ("CHF", 0)):
        found = await balance(world, order_id, currency)
        assert (found.due, found.kept) == (kept, 0)
    await pay_back(world, order_id, "re 2", euros(1500))
    assert (await balance(world, order_id)).refunded == 2500


async def test_money_that_was_refunded_in_full_makes_nothing_due(world: World):
    order_id = await paid_order(world)
    await pay_back(world, order_id, "re 1", TOTAL)
    await override(world, order_id, PAID)
    assert len(await world.rows("payment_corrections", order_id)) == 1
    assert "refund.due" not in await told(world, order_id)


async def test_the_record_is_explained_with_the_findings_that_were_overridden(world: World):
    order_id = await paid_order(world)
    await override(world, order_id, PAID)
    record = (await history(world, order_id)).cancellation
    assert isinstance(record, CancellationRecord)
    assert record.overridden == (PAID,)
    decision = decided_again(record, await known(world, [record]))
    assert isinstance(decision, Refused)
    assert [one.code for one in decision.broken] == [PAID]


async def test_a_failure_after_the_last_statement_undoes_everything(world: World):
    order_id = await paid_order(world)
    command = world.command(await world.manage_client(), order_id, on_behalf=True)
    keeps = await contents(world)

    async def override_and_fail() -> None:
        async with world.database.store.transaction() as tx:
            await override_refusal(tx, world.database.policies, command, [PAID], world.clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await override_and_fail()
    assert changed(keeps, await contents(world)) == set()


async def test_of_several_overrides_at_once_one_cancels_and_the_money_is_due_once(world: World):
    order_id = await paid_order(world)
    outcomes = await asyncio.gather(*(override(world, order_id, PAID) for _ in range(5)))
    assert sorted(type(one).__name__ for one in outcomes) == ["Cancelled", *["NotCancelled"] * 4]
    assert len(await world.rows("payment_corrections", order_id)) == 1
    assert len(await world.rows("cancellations", order_id)) == 1
    assert len(await world.rows("refusals", order_id)) == 4


async def test_an_override_and_a_payment_at_once_keep_every_cent(world: World):
    for number in range(6):
        order_id = await paid_order(world)
        paid, outcome = await asyncio.gather(
            pay(world, order_id, f"more {number}", euros(100)), override(world, order_id, PAID)
        )
        assert isinstance(outcome, Cancelled)
        found = await balance(world, order_id)
        late = 100 if paid.payment.is_late else 0
        assert (found.due, found.late, found.kept) == (2600 - late, late, 0)


async def test_an_override_and_the_void_of_the_payment_at_once_have_one_winner(world: World):
    for _ in range(6):
        order_id = await paid_order(world)
        voided, outcome = await asyncio.gather(
            void(world, order_id, f"tx {order_id}"), override(world, order_id, PAID), return_exceptions=True
        )
        row, found = await row_of(world, order_id), await balance(world, order_id)
        if isinstance(outcome, Cancelled):
            assert isinstance(voided, ConflictError)
            assert (row["state"], found.due, found.voided) == ("cancelled", 2500, 0)
        else:
            assert isinstance(outcome, OverrideDiffers)
            assert (row["state"], found.due, found.voided) == ("pending", 0, 2500)


async def test_an_override_and_a_cancellation_at_once_have_one_winner(world: World):
    me = await world.connect_client()
    for _ in range(6):
        order_id = await world.service_order(me, appointment_in=timedelta(hours=20))
        visit = (await world.rows("appointments", order_id))[0]["id"]

        async def call_off(of: OrderId = order_id, visit: Any = visit) -> object:
            async with world.database.store.transaction() as tx:
                return await cancel_appointment(tx, AUTHOR, of, visit, world.clock())

        _, overridden, cancelled = await asyncio.gather(
            call_off(), override(world, order_id, SOON), world.cancel(me, order_id), return_exceptions=True
        )
        won = [one for one in (overridden, cancelled) if isinstance(one, Cancelled)]
        assert len(await world.rows("cancellations", order_id)) == len(won) <= 1
        assert ((await row_of(world, order_id))["state"] == "cancelled") is bool(won)
        assert [one["state"] for one in await world.rows("appointments", order_id)] == ["cancelled"]


async def test_an_override_and_a_moved_appointment_at_once_leave_no_visit_of_a_cancelled_order(world: World):
    me = await world.connect_client()
    for hours in (22, 30) * 3:
        order_id = await world.service_order(me, appointment_in=timedelta(hours=20))
        visit = (await world.rows("appointments", order_id))[0]["id"]

        async def move(of: OrderId = order_id, visit: Any = visit, hours: int = hours) -> object:
            at = world.clock() + timedelta(hours=hours)
            async with world.database.store.transaction() as tx:
                return await move_appointment(tx, AUTHOR, of, visit, at, at + timedelta(hours=1), world.clock())

        moved, outcome = await asyncio.gather(move(), override(world, order_id, SOON), return_exceptions=True)
        row, (appointment,) = await row_of(world, order_id), await world.rows("appointments", order_id)
        if isinstance(outcome, Cancelled):
            assert (row["state"], row["appointment_starts_at"], appointment["state"]) == (
                "cancelled",
                None,
                "cancelled",
            )
        else:
            assert isinstance(outcome, OverrideDiffers)
            assert not isinstance(moved, CountermandError)
            assert row["appointment_starts_at"] == appointment["starts_at"]


async def test_an_override_and_an_expiry_at_once_have_one_winner(world: World):
    shop = await world.shopping_client()
    for _ in range(6):
        view = await world.ticket_order(shop)
        order_id = view.order.id
        async with world.database.store.transaction() as tx:
            await tx.expire_at(order_id, world.clock())

        async def expire(of: OrderId = order_id) -> bool:
            async with world.database.store.transaction() as tx:
                return await expire_order(tx, of, world.clock())

        paid, _, outcome = await asyncio.gather(
            pay(world, order_id, f"tx {order_id}", TOTAL), expire(), override(world, order_id, PAID)
        )
        row, found = await row_of(world, order_id), await balance(world, order_id)
        if isinstance(outcome, Cancelled):
            assert (row["state"], found.due, found.late) == ("cancelled", 2500, 0)
        elif paid.payment.is_late:
            assert (row["state"], found.due, found.late) == ("expired", 0, 2500)
        else:
            assert (row["state"], found.kept) == ("completed", 2500)


async def test_an_order_in_progress_past_return_is_refused_by_the_policy(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(
        me, appointment_in=timedelta(hours=1), moves=(Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN)
    )
    outcome = await override(world, order_id, SOON)
    assert isinstance(outcome, NotCancelled)
    assert (await row_of(world, order_id))["state"] == "past_no_return"


async def history(world: World, order_id: OrderId) -> Any:
    async with world.database.store.snapshot() as reading:
        return await reading.history(order_id)


async def known(world: World, records: list[Any]) -> Any:
    return await policies_of(PolicyArchive(store=world.database.store), records)

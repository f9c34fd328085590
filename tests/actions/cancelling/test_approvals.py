"""An override that two persons make: one asks, another confirms what was asked for and nothing else, exactly once."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from countermand.actions.appointments.set import cancel_appointment
from countermand.actions.cancelling.approvals import ApprovalDiffers, Confirmed
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.override import OverrideDiffers
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError, UnavailableError
from countermand.actions.ordering.expire import expire_order
from countermand.domain.cancelling.approval import Approval, ApprovalId, Difference
from countermand.domain.orders.order import OrderId
from countermand.domain.staff_id import StaffId
from countermand.storage.tables.cancelling import approvals
from countermand.storage.tables.columns import micros
from support.approvals import ASKER, CONFIRMER, added, as_person, ask, asked, changed_by, confirmed, withdrawn
from support.database_contents import changed, contents
from support.money import balance, euros, pay, row_of, void
from support.overrides import override
from support.shared_world import shared_world
from support.statements import before_each_statement
from support.world import NOON, World

world = shared_world

PAID, SOON = "payment_recorded", "appointment_within_notice"
TOTAL = euros(2500)
EVERYTHING = {"orders", "cancellations", "outbox", "tickets", "products", "payment_corrections", "approvals"}


async def paid_order(world: World, **more: Any) -> OrderId:
    order_id = (await world.ticket_order(await world.shopping_client(), **more)).order.id
    await pay(world, order_id, f"tx {order_id}", TOTAL)
    return order_id


async def refused(world: World, approval: Approval, person: str | None) -> str:
    """The code of a confirmation that is refused, and changes nothing."""
    before = await contents(world)
    with pytest.raises(ConflictError) as raised:
        await confirmed(world, approval, person)
    assert changed(before, await contents(world)) == set()
    assert "nothing was" in str(raised.value)
    return raised.value.code


async def test_what_was_asked_for_changes_nothing_until_another_person_confirms_it(world: World):
    product = await world.product(stock=5)
    order_id = await paid_order(world, product=product)
    before = await contents(world)

    approval = await asked(world, order_id, PAID)

    assert changed(before, await contents(world)) == {"approvals"}
    (row,) = await world.rows("approvals", order_id)
    assert (row["order_version"], row["codes"], row["state"], row["staff_id"]) == (2, PAID, "open", ASKER)
    assert json.loads(row["due"]) == {"amounts": [{"amount_minor": 2500, "currency": "EUR"}]}
    assert (row["reason"], row["asked_at"], row["ended_at"], row["ended_by"]) == (
        "called off",
        micros(NOON),
        None,
        None,
    )
    world.clock.forward(minutes=30)
    before = await contents(world)

    assert await confirmed(world, approval) == Confirmed(approval=(await stored(world, approval)), repeated=False)

    assert changed(before, await contents(world)) == EVERYTHING
    (record,) = await world.rows("cancellations", order_id)
    assert (record["staff_id"], record["approved_by"], record["overridden"]) == (ASKER, CONFIRMER, PAID)
    assert (record["reason"], record["door"], record["address"]) == ("called off", "manage", "192.0.2.1")
    assert record["decided_at"] == micros(NOON + timedelta(minutes=30))
    told = {one["kind"]: json.loads(one["details"]) for one in await world.rows("outbox", order_id)}
    assert told["order.cancelled"] == {"from": "completed", "reason": "called off", "approved_by": CONFIRMER}
    assert (await balance(world, order_id)).due == 2500
    assert [one["availability"] for one in await world.rows("products")] == [5]
    (row,) = await world.rows("approvals", order_id)
    assert (row["state"], row["ended_by"], row["ended_at"]) == ("confirmed", CONFIRMER, record["decided_at"])


async def test_a_cancellation_by_one_person_names_no_second_one(world: World):
    order_id = await paid_order(world)
    await override(world, order_id, PAID)
    (record,) = await world.rows("cancellations", order_id)
    assert record["approved_by"] is None
    told = {one["kind"]: json.loads(one["details"]) for one in await world.rows("outbox", order_id)}
    assert told["order.cancelled"] == {"from": "completed", "reason": "called off"}


@pytest.mark.parametrize("named", [[SOON], [PAID, SOON], ["nonsense"]])
async def test_codes_that_are_not_exactly_the_broken_ones_are_refused_at_asking(world: World, named: list[str]):
    order_id = await paid_order(world)
    before = await contents(world)
    assert isinstance(await ask(world, order_id, *named), OverrideDiffers)
    assert changed(before, await contents(world)) == {"refusals"}


async def test_what_nobody_can_override_is_refused_at_asking(world: World):
    order_id = await paid_order(world)
    before = await contents(world)
    with pytest.raises(FieldsError, match="nobody can override it"):
        await ask(world, order_id, PAID, "order_not_cancellable")
    assert changed(before, await contents(world)) == set()
    await override(world, order_id, PAID)
    before = await contents(world)
    assert isinstance(await ask(world, order_id, PAID), NotCancelled)
    assert changed(before, await contents(world)) == {"refusals"}


async def test_nobody_asks_confirms_or_withdraws_without_a_person(world: World):
    order_id = await paid_order(world)
    before = await contents(world)
    with pytest.raises(ConflictError) as raised:
        await ask(world, order_id, PAID, person=None)
    assert raised.value.code == "approval_needs_person"
    assert changed(before, await contents(world)) == set()
    approval = await asked(world, order_id, PAID)
    assert await refused(world, approval, None) == "approval_needs_person"
    with pytest.raises(ConflictError) as raised:
        await withdrawn(world, approval, None)
    assert raised.value.code == "approval_needs_person"


async def test_the_person_who_asked_does_not_confirm(world: World):
    approval = await asked(world, await paid_order(world), PAID)
    assert await refused(world, approval, ASKER) == "approval_same_person"
    assert isinstance(await confirmed(world, approval), Confirmed)


@pytest.mark.parametrize(("seconds", "is_open"), [(3599.999999, True), (3600, False)])
async def test_an_approval_can_be_confirmed_and_withdrawn_within_the_hour_and_not_at_its_end(world, seconds, is_open):
    order_id = await paid_order(world)
    approval, other = await asked(world, order_id, PAID), await asked(world, order_id, PAID)
    world.clock.forward(seconds=seconds)
    if is_open:
        assert (await withdrawn(world, other)).state == "withdrawn"
        assert isinstance(await confirmed(world, approval), Confirmed)
        return
    assert await refused(world, approval, CONFIRMER) == "approval_expired"
    with pytest.raises(ConflictError) as raised:
        await withdrawn(world, other)
    assert raised.value.code == "approval_expired"


@pytest.mark.parametrize("by", [ASKER, None])
async def test_a_person_whom_the_asker_or_nobody_known_has_added_since_does_not_confirm(world: World, by: str | None):
    approval = await asked(world, await paid_order(world), PAID)
    await added(world, "new", by=by)
    assert await refused(world, approval, "new") == "approval_not_independent"
    assert isinstance(await confirmed(world, approval), Confirmed)


async def test_a_person_who_was_added_before_the_asking_or_by_another_person_since_confirms(world: World):
    await added(world, "before", by=ASKER)
    first, second = [await asked(world, await paid_order(world), PAID) for _ in range(2)]
    await added(world, "since", by="ann")
    assert isinstance(await confirmed(world, first, "before"), Confirmed)
    assert isinstance(await confirmed(world, second, "since"), Confirmed)


@pytest.mark.parametrize("change", ["change", "disable", "enable", "add_token", "revoke_token"])
@pytest.mark.parametrize("by", [ASKER, None, "ann"])
async def test_each_change_of_a_person_by_the_asker_or_by_nobody_known_counts(
    world: World, change: str, by: str | None
):
    staff, person, now = world.database.staff, StaffId(CONFIRMER), world.clock()
    who = None if by is None else StaffId(by)
    client = (await world.manage_client()).client.id
    await added(world, CONFIRMER, by=ASKER)
    await staff.add_token(person, client, key="k", secret_sha256="0" * 64, now=now)
    if change == "enable":
        await staff.disable(person, now)
    approval = await asked(world, await paid_order(world), PAID)
    await {
        "change": lambda: staff.change(person, name="Another", roles=None, now=now, by=who),
        "disable": lambda: staff.disable(person, now, who),
        "enable": lambda: staff.enable(person, now, who),
        "add_token": lambda: staff.add_token(person, client, key="l", secret_sha256="0" * 64, now=now, by=who),
        "revoke_token": lambda: staff.revoke_token(person, "k", now, who),
    }[change]()
    changes = await world.rows("staff_changes")
    assert (changes[-1]["staff_id"], changes[-1]["changed_by"], changes[-1]["changed_at"]) == (
        CONFIRMER,
        by,
        micros(now),
    )
    if by == "ann":
        assert isinstance(await confirmed(world, approval), Confirmed)
        return
    assert await refused(world, approval, CONFIRMER) == "approval_not_independent"


async def test_a_later_change_by_another_person_and_a_chain_of_persons_hide_nothing(world: World):
    for person in (CONFIRMER, "second", "third"):
        await added(world, person)
    approval = await asked(world, await paid_order(world), PAID)
    await changed_by(world, CONFIRMER, ASKER)
    await changed_by(world, CONFIRMER, "ann")
    await changed_by(world, "third", "second")
    assert await refused(world, approval, CONFIRMER) == "approval_not_independent"
    await changed_by(world, "second", CONFIRMER)
    assert await refused(world, approval, "second") == "approval_not_independent"
    assert await refused(world, approval, "third") == "approval_not_independent"


async def test_a_change_that_changed_nobody_leaves_no_record(world: World):
    staff, nobody = world.database.staff, StaffId("nobody")
    await added(world, CONFIRMER, by=ASKER)
    before = await contents(world)
    await staff.change(StaffId(CONFIRMER), name=None, roles=None, now=NOON)
    await staff.enable(StaffId(CONFIRMER), NOON)  # the person is not disabled
    for refusal in (
        staff.change(nobody, name="x", roles=None, now=NOON),
        staff.disable(nobody, NOON),
        staff.enable(nobody, NOON),
        staff.revoke_token(StaffId(CONFIRMER), "no such key", NOON),
    ):
        with pytest.raises(NotFoundError):
            await refusal
    with pytest.raises(ConflictError):
        await added(world, CONFIRMER)
    assert changed(before, await contents(world)) == set()


async def stored(world: World, approval: Approval) -> Approval:
    async with world.database.store.snapshot() as reading:
        found = await reading.approval(approval.id)
    assert found is not None
    return found


async def test_a_payment_since_ends_the_approval_which_says_what_differs(world: World):
    order_id = await paid_order(world)
    approval = await asked(world, order_id, PAID)
    await pay(world, order_id, "more", euros(100))
    before = await contents(world)

    outcome = await confirmed(world, approval)

    assert isinstance(outcome, ApprovalDiffers)
    assert outcome.sentences == {
        Difference.VERSION: "the order has version 3, but the approval is for version 2",
        Difference.AMOUNT: "26.00 EUR would become due, but the approval is for 25.00 EUR",
    }
    assert changed(before, await contents(world)) == {"approvals"}
    (row,) = await world.rows("approvals", order_id)
    assert (row["state"], row["ended_by"], row["differed"]) == ("outdated", CONFIRMER, "version amount")
    assert await refused(world, approval, CONFIRMER) == "approval_used"
    assert isinstance(await confirmed(world, await asked(world, order_id, PAID)), Confirmed)


async def test_a_visit_that_was_cancelled_since_changes_the_codes_and_ends_the_approval(world: World):
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=20))
    approval = await asked(world, order_id, SOON)
    (visit,) = await world.rows("appointments", order_id)
    async with world.database.store.transaction() as tx:
        await cancel_appointment(tx, as_person(ASKER), order_id, visit["id"], world.clock())
    outcome = await confirmed(world, approval)
    assert isinstance(outcome, ApprovalDiffers)
    assert Difference.CODES in outcome.sentences
    assert "the rules that refuse are none" in outcome.sentence
    assert (await row_of(world, order_id))["state"] == "submitted"


async def test_an_order_that_was_cancelled_since_ends_the_approval(world: World):
    order_id = await paid_order(world)
    approval = await asked(world, order_id, PAID)
    await override(world, order_id, PAID)
    before = await contents(world)
    outcome = await confirmed(world, approval)
    assert isinstance(outcome, ApprovalDiffers)
    assert Difference.VERSION in outcome.sentences
    assert changed(before, await contents(world)) == {"approvals"}


async def test_a_repeat_by_the_same_person_changes_nothing_and_another_person_is_refused(world: World):
    approval = await asked(world, await paid_order(world), PAID)
    await confirmed(world, approval)
    before = await contents(world)
    again = await confirmed(world, approval)
    assert isinstance(again, Confirmed)
    assert again.repeated
    assert changed(before, await contents(world)) == set()
    for person in ("ann", ASKER):
        assert await refused(world, approval, person) == "approval_used"


async def test_only_the_person_who_asked_withdraws_and_a_withdrawn_approval_is_not_confirmed(world: World):
    approval = await asked(world, await paid_order(world), PAID)
    before = await contents(world)
    with pytest.raises(ConflictError) as raised:
        await withdrawn(world, approval, CONFIRMER)
    assert raised.value.code == "approval_of_another"
    assert changed(before, await contents(world)) == set()
    first = await withdrawn(world, approval)
    assert (first.state, first.ended_by) == ("withdrawn", ASKER)
    assert await withdrawn(world, approval) == first
    assert changed(before, await contents(world)) == {"approvals"}
    assert await refused(world, approval, CONFIRMER) == "approval_used"


async def test_a_confirmed_approval_is_not_withdrawn(world: World):
    approval = await asked(world, await paid_order(world), PAID)
    await confirmed(world, approval)
    with pytest.raises(ConflictError) as raised:
        await withdrawn(world, approval)
    assert raised.value.code == "approval_used"


async def test_an_approval_that_is_not_there_or_in_an_unknown_state_is_not_confirmed(world: World):
    order_id = await paid_order(world)
    approval = await asked(world, order_id, PAID)
    async with world.database.store.transaction() as tx:
        await tx.run(update(approvals).values(state="sealed"))
    before = await contents(world)
    with pytest.raises(UnavailableError):
        await confirmed(world, approval)
    for change in (confirmed, withdrawn):
        with pytest.raises(NotFoundError):
            await change(world, Approval(**{**fields_of(approval), "id": ApprovalId("f" * 32)}))
    assert changed(before, await contents(world)) == set()


def fields_of(approval: Approval) -> dict[str, Any]:
    return {name: getattr(approval, name) for name in Approval.__slots__}


async def test_of_several_persons_at_once_one_confirms_and_the_money_is_due_once(world: World):
    order_id = await paid_order(world)
    approval = await asked(world, order_id, PAID)
    persons = [f"person{number}" for number in range(5)]
    outcomes = await asyncio.gather(*(confirmed(world, approval, one) for one in persons), return_exceptions=True)
    won = [one for one in outcomes if isinstance(one, Confirmed)]
    assert len(won) == 1
    assert {one.code for one in outcomes if isinstance(one, ConflictError)} == {"approval_used"}
    assert len(await world.rows("payment_corrections", order_id)) == 1
    assert len(await world.rows("cancellations", order_id)) == 1


async def test_two_approvals_of_one_order_confirmed_at_once_have_one_winner(world: World):
    order_id = await paid_order(world)
    both = [await asked(world, order_id, PAID), await asked(world, order_id, PAID, person="ann")]
    outcomes = await asyncio.gather(*(confirmed(world, one) for one in both))
    assert sorted(type(one).__name__ for one in outcomes) == ["ApprovalDiffers", "Confirmed"]
    assert len(await world.rows("payment_corrections", order_id)) == 1


async def test_a_confirmation_beside_a_payment_a_void_an_override_or_an_expiry_has_one_winner(world: World):
    shop = await world.shopping_client()
    for number in range(3):
        for rival in ("pay", "void", "override", "expire", "cancel", "withdraw"):
            order_id = await paid_order(world)
            approval = await asked(world, order_id, PAID)

            async def expire(of: OrderId = order_id) -> object:
                async with world.database.store.transaction() as tx:
                    await tx.expire_at(of, world.clock())
                    return await expire_order(tx, of, world.clock())

            rivals: dict[str, Any] = {
                "pay": lambda of=order_id, number=number: pay(world, of, f"more {of} {number}", euros(100)),
                "void": lambda of=order_id: void(world, of, f"tx {of}"),
                "override": lambda of=order_id: override(world, of, PAID),
                "expire": expire,
                "cancel": lambda of=order_id: world.cancel(shop, of),
                "withdraw": lambda of=approval: withdrawn(world, of),
            }
            outcome, other = await asyncio.gather(confirmed(world, approval), rivals[rival](), return_exceptions=True)
            found = await balance(world, order_id)
            cancelled = await world.rows("cancellations", order_id)
            if isinstance(outcome, Confirmed):
                assert [one["approved_by"] for one in cancelled] == [CONFIRMER], rival
                assert (found.due, found.kept) == (2500, 0), rival
            else:
                assert isinstance(outcome, ApprovalDiffers) or rival == "withdraw", (rival, outcome)
                assert [one["approved_by"] for one in cancelled] == ([None] if isinstance(other, Cancelled) else [])
            assert len(cancelled) == ((await row_of(world, order_id))["state"] == "cancelled"), rival


async def test_a_confirmation_that_is_cut_off_after_any_statement_leaves_nothing(world: World):
    approval = await asked(world, await paid_order(world), PAID)
    before = await contents(world)
    left = [0]

    def cut_off() -> None:
        if left[0] == 0:
            raise RuntimeError("cut off")
        left[0] -= 1

    statements = 0
    while True:
        statements += 1
        left[0] = statements
        with before_each_statement(cut_off):
            try:
                outcome = await confirmed(world, approval)
            except RuntimeError:
                outcome = None
        if outcome is not None:
            break
        assert changed(before, await contents(world)) == set(), f"after {statements} statements"
    assert isinstance(outcome, Confirmed)
    assert statements > 10
    assert changed(before, await contents(world)) == EVERYTHING

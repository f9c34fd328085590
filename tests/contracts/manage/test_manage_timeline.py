"""What happened to an order, in one list, and why each ask to cancel it was granted or refused."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.expire import expire_due
from countermand.contracts.manage import orders
from countermand.domain.orders.order_state import Transition
from countermand.storage.repositories.rows import written
from countermand.storage.tables.cancelling import outbox, refusals
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, VISIT, manage, problem
from support.restores import restore
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world


async def timeline(world: World, operator: Caller, order: object) -> list[dict[str, Any]]:
    answer = await manage(world, operator, "GET", str(order))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["timeline"]
    return found


def said(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["kind"], one["event"] or one["decision"]) for one in entries]


def doer(caller: Caller, channel: str) -> dict[str, Any]:
    """A client without a person, whose address nobody told."""
    nobody = {"staff_id": None, "acting_as": None, "address": None}
    return {"client_id": caller.client.id, "client_name": caller.client.name, "channel": channel} | nobody


async def test_yesterdays_refusal_is_explained_as_it_was_after_the_appointment_moved(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=20))
    world.clock.forward(hours=1)
    await world.cancel(me, order_id)
    world.clock.forward(hours=1)
    (visit,) = [row["id"] for row in await world.rows("appointments", order_id)]
    moved = await manage(world, operator, "PUT", f"{order_id}/appointments/{visit}", VISIT)
    assert moved.status_code == 200
    world.clock.forward(hours=22)
    before = await contents(world)
    entries = await timeline(world, operator, order_id)
    assert said(entries) == [
        ("placed", "order.placed"),
        ("appointment", "appointment.set"),
        ("ask", "refused"),
        ("appointment", "appointment.moved"),
    ]
    ask = entries[2]
    assert (ask["at"], ask["codes"]) == ("2026-11-21T13:00:00Z", ["appointment_within_notice"])
    assert ask["who"] == doer(me, "connect")
    assert [(one["rule"], one["passed"], one["fact"], one["value"]) for one in ask["findings"]] == [
        ("state_allows", True, "state", "submitted"),
        ("no_appointment_within", False, "appointment_starts_at", "2026-11-22T08:00:00Z"),
    ]
    late = "the appointment on 2026-11-22T08:00:00Z starts within 26 hours; cancellable until 2026-11-21T06:00:00Z"
    assert ask["findings"][1]["message"] == late
    assert ask["policy_version"] == world.database.policies.by_contract["connect"].version
    assert not changed(before, await contents(world))


async def test_the_timeline_says_who_did_what_and_an_ask_stands_before_what_it_changed(world: World):
    shop, operator = await world.shopping_client(), await world.manage_client()
    view = await world.ticket_order(shop)
    world.clock.forward(minutes=1)
    answer = await manage(world, operator, "POST", f"{view.order.uid}/cancel", {"reason": "The customer rang"})
    assert answer.status_code == 200
    assert answer.json()["timeline"] == await timeline(world, operator, view.order.uid)
    world.clock.forward(minutes=1)
    paid = await manage(world, operator, "POST", f"{view.order.uid}/payments", PAYMENT)
    assert problem(paid) == (409, "late_money")
    world.clock.forward(minutes=1)
    await world.cancel(shop, view.order.id, reason="I cannot come")
    entries = await timeline(world, operator, view.order.uid)
    by = doer(operator, "manage")
    buyer = doer(shop, "shopping")
    assert [one["who"]["address"] for one in entries if one["kind"] == "ask"] == ["127.0.0.1", None]
    assert [(*pair, one["who"] | {"address": None}) for pair, one in zip(said(entries), entries, strict=True)] == [
        ("placed", "order.placed", buyer),
        ("ask", "cancelled", by),
        ("changed", "order.cancelled", by),
        ("payment", "payment.late", by),
        ("ask", "refused", buyer),
    ]
    yes, cancelled, late, no = entries[1:]
    assert (yes["codes"], yes["reason"], yes["event"], yes["order_version"]) == ([], "The customer rang", None, None)
    assert [one["passed"] for one in yes["findings"]] == [True, True, True]
    assert cancelled["details"] == {"from": "pending", "reason": "The customer rang"}
    assert (cancelled["findings"], cancelled["codes"], cancelled["decision"]) == (None, None, None)
    assert late["details"] == {"reference": "tx 1", "amount_minor": 2500, "currency": "EUR"}
    assert (no["codes"], no["reason"]) == (["order_already_cancelled", "order_not_cancellable"], "I cannot come")
    shown = (await manage(world, operator, "GET", str(view.order.uid))).json()
    assert (shown["cancellation"]["codes"], shown["refusals"][0]["codes"]) == ([], no["codes"])


async def test_an_order_that_expired_was_changed_by_nobody(world: World):
    shop, operator = await world.shopping_client(), await world.manage_client()
    by_itself, by_hand = [await world.ticket_order(shop) for _ in range(2)]
    moved = await manage(world, operator, "POST", f"{by_hand.order.uid}/moves", {"move": "expire"})
    assert moved.status_code == 200
    async with world.database.store.transaction() as tx:
        await tx.forget_expiry(by_itself.order.id)
        await tx.expire_at(by_itself.order.id, world.clock())
    world.clock.forward(minutes=1)
    await expire_due(world.database.store, world.clock(), at_most=10)
    for order, who in ((by_itself, None), (by_hand, operator.client.id)):
        shown = (await manage(world, operator, "GET", str(order.order.uid))).json()
        assert shown["timeline_is_complete"]
        last = shown["timeline"][-1]
        assert (last["event"], last["details"]) == ("order.expired", {"from": "pending"})
        assert (last["who"] and last["who"]["client_id"]) == who


async def test_an_expiry_that_an_older_version_told_as_a_move_is_one_by_the_service_itself_too(world: World):
    shop, operator = await world.shopping_client(), await world.manage_client()
    order = await world.ticket_order(shop)
    async with world.database.store.transaction() as tx:
        await tx.forget_expiry(order.order.id)
        await tx.expire_at(order.order.id, world.clock())
    world.clock.forward(minutes=1)
    await expire_due(world.database.store, world.clock(), at_most=10)
    told = {"kind": "order.advanced", "details": written({"from": "pending", "to": "expired"})}
    async with world.database.store.transaction() as tx:
        await tx.run(
            update(outbox).where(outbox.c.order_id == order.order.id, outbox.c.kind == "order.expired").values(**told)
        )
    shown = (await manage(world, operator, "GET", order.order.uid)).json()
    last = shown["timeline"][-1]
    assert (last["kind"], last["event"], last["who"]) == ("changed", "order.advanced", None)
    assert last["details"] == {"from": "pending", "to": "expired"}
    assert shown["timeline_is_complete"]


async def test_a_refusal_of_an_older_node_is_explained_from_its_policy_and_facts(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, moves=(Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN))
    await world.cancel(me, order_id)
    async with world.database.store.transaction() as tx:
        await tx.run(update(refusals).values(codes=None))
    shown = (await manage(world, operator, "GET", str(order_id))).json()
    assert shown["refusals"][0]["codes"] == shown["timeline"][-1]["codes"] == ["order_not_cancellable"]


async def test_without_the_policy_the_codes_stay_and_there_is_no_sentence(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    kept, old = [await world.service_order(me, appointment_in=timedelta(hours=1)) for _ in range(2)]
    for order_id in (kept, old):
        await world.cancel(me, order_id)
    async with world.database.store.transaction() as tx:
        await tx.run(update(refusals).values(policy_version="0" * 16))
        await tx.run(update(refusals).where(refusals.c.order_id == old).values(codes=None))
    for order_id, codes in ((kept, ["appointment_within_notice"]), (old, None)):
        ask = (await timeline(world, operator, order_id))[-1]
        assert (ask["decision"], ask["codes"], ask["findings"]) == ("refused", codes, None)
        assert ask["policy_version"] == "0" * 16


async def test_of_deleted_events_other_rows_still_tell_what_they_can(world: World):
    shop, operator = await world.shopping_client(), await world.manage_client()
    view = await world.ticket_order(shop)
    world.clock.forward(minutes=1)
    await world.cancel(shop, view.order.id, reason="r")
    world.clock.forward(minutes=1)
    await world.pay(view.order.id, "psp 1")
    whole = await timeline(world, operator, view.order.uid)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox))
    left = await timeline(world, operator, view.order.uid)
    assert said(left) == said(whole)
    assert [one["at"] for one in left] == [one["at"] for one in whole]
    assert [one["order_version"] for one in left] == [None] * 4
    assert [one["details"] for one in left[2:]] == [one["details"] for one in whole[2:]]
    assert (left[0]["who"], left[2]["who"], left[3]["who"]) == (whole[0]["who"], whole[2]["who"], None)


async def test_a_timeline_is_not_complete_once_the_first_refusals_of_the_order_may_be_deleted(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    kept = timedelta(days=world.settings.refusals_kept_d)
    world.clock.now = NOON + kept
    assert (await manage(world, operator, "GET", str(order_id))).json()["timeline_is_complete"] is True
    world.clock.now = NOON + kept + timedelta(microseconds=1)
    assert (await manage(world, operator, "GET", str(order_id))).json()["timeline_is_complete"] is False


async def test_a_timeline_says_whether_changes_are_missing(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, moves=(Transition.ACCEPT, Transition.START))
    for deleted, whole in ((None, True), (2, False)):
        if deleted is not None:
            async with world.database.store.transaction() as tx:
                await tx.run(delete(outbox).where(outbox.c.order_version == deleted))
        shown = (await manage(world, operator, "GET", str(order_id))).json()
        assert shown["timeline_is_complete"] is whole


async def test_a_cancellation_whose_reasons_cannot_be_read_is_done_and_its_answer_says_that_this_is_not_known(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object) -> None:
        raise UnavailableError("away")

    monkeypatch.setattr(orders, "policies_of", away)
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    answer = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "The customer rang"})
    assert problem(answer) == (500, "unexpected")
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]


async def test_the_timeline_of_an_order_that_was_cancelled_with_its_visit_is_complete(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=30))
    assert isinstance(await world.cancel(operator, order_id, on_behalf=True), Cancelled)
    shown = (await manage(world, operator, "GET", str(order_id))).json()
    assert [one["event"] for one in shown["timeline"]][-2:] == ["order.cancelled", "appointment.cancelled"]
    assert shown["timeline_is_complete"]
    await restore(world, order_id)
    shown = (await manage(world, operator, "GET", str(order_id))).json()
    assert [one["event"] for one in shown["timeline"]][-2:] == ["order.restored", "appointment.set"]
    assert shown["timeline_is_complete"]

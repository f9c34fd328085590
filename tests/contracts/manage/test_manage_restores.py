"""A cancellation is undone over the management API, and a repeat of the undone request gets its own answer."""

from typing import Any

import pytest

from countermand.domain.client import Permission
from countermand.domain.staff import Role
from countermand.storage.tables.cancelling import outbox
from support.database_contents import changed, contents
from support.manage_calls import fields, manage, problem
from support.restores import restore
from support.shared_world import shared_world
from support.shopping_calls import cancel, kind
from support.world import EVERYTHING, Caller, World

world = shared_world

PAID = "payment_recorded"
WHY = {"reason": "The concert is called off", "override": [PAID]}
SORRY = {"reason": "It was the other concert"}


async def author(world: World) -> Caller:
    return await world.person("kim", Role.AUTHOR)


async def paid_uid(world: World) -> str:
    return str((await world.ticket_order(await world.shopping_client(), paid=True)).order.uid)


async def test_an_order_that_was_cancelled_by_mistake_is_restored_and_its_timeline_says_so(world: World):
    kim, uid = await author(world), await paid_uid(world)
    before = (await manage(world, kim, "GET", uid)).json()
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)

    answer = await manage(world, kim, "POST", f"{uid}/restore", SORRY)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown == (await manage(world, kim, "GET", uid)).json()
    assert (shown["state"], shown["version"], shown["cancellation"]) == ("completed", 4, None)
    assert [one["valid"] for one in shown["tickets"]] == [True, True]
    assert shown["money"] == before["money"]
    (withdrawn,) = shown["corrections"]
    assert (withdrawn["state"], withdrawn["amount_minor"]) == ("withdrawn", 2500)
    (ask,) = [one for one in shown["timeline"] if one["kind"] == "ask"]
    assert (ask["decision"], ask["overridden"], ask["who"]["staff_id"]) == ("cancelled", [PAID], "kim")
    told = shown["timeline"][-1]
    assert (told["kind"], told["event"], told["who"]["staff_id"]) == ("changed", "order.restored", "kim")
    assert told["details"] == {"from": "cancelled", "to": "completed", "reason": SORRY["reason"]}
    assert shown["timeline_is_complete"]
    listed = await world.http.get("/manage/v1/refunds?state=due", headers=world.manage_headers(kim))
    assert listed.json()["refunds"] == []
    listed = await world.http.get("/manage/v1/cancellations", headers=world.manage_headers(kim))
    assert listed.json()["cancellations"] == []


async def test_the_timeline_tells_of_an_undone_cancellation_after_its_events_are_deleted(world: World):
    kim, uid = await author(world), await paid_uid(world)
    world.clock.forward(minutes=1)
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    world.clock.forward(minutes=1)
    await manage(world, kim, "POST", f"{uid}/restore", SORRY)
    whole = (await manage(world, kim, "GET", uid)).json()["timeline"]
    async with world.database.store.transaction() as tx:
        await tx.run(outbox.delete())
    left = (await manage(world, kim, "GET", uid)).json()
    kept = [one["event"] for one in left["timeline"]]
    assert kept == ["order.placed", "payment.recorded", None, "order.cancelled", "order.restored"]
    cancelled, restored = left["timeline"][-2:]
    assert (cancelled["details"]["from"], restored["details"]) == ("completed", whole[-1]["details"])
    assert (restored["at"], restored["who"]) == (whole[-1]["at"], whole[-1]["who"])
    assert not left["timeline_is_complete"]


async def test_a_past_instant_is_explained_by_the_facts_of_then(world: World):
    kim, uid = await author(world), await paid_uid(world)
    world.clock.forward(minutes=1)
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    world.clock.forward(minutes=1)
    await manage(world, kim, "POST", f"{uid}/restore", SORRY)
    world.clock.forward(minutes=1)
    for minute, codes in {
        0: [PAID],
        1: ["order_already_cancelled", "order_not_cancellable", PAID],
        2: [PAID],
        3: [PAID],
    }.items():
        at = f"2026-11-21T12:0{minute}:30Z"
        said = (await manage(world, kim, "GET", f"{uid}/cancellability?at={at}")).json()
        assert [one["code"] for one in said["findings"] if not one["passed"]] == codes, at


@pytest.mark.parametrize(("sent", "field"), [({}, "reason"), ({"reason": " "}, "reason"), ({"reason": 3}, "reason")])
async def test_a_body_without_a_reason_restores_nothing(world: World, sent: dict[str, Any], field: str):
    kim, uid = await author(world), await paid_uid(world)
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    before = await contents(world)
    assert fields(await manage(world, kim, "POST", f"{uid}/restore", sent)) == [field]
    assert not changed(before, await contents(world))


async def test_the_permission_to_cancel_is_the_permission_to_undo(world: World):
    kim, uid = await author(world), await paid_uid(world)
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    without = await world.manage_client(permissions=EVERYTHING - {Permission.CANCEL})
    assert problem(await manage(world, without, "POST", f"{uid}/restore", SORRY)) == (403, "forbidden")
    viewer = await world.person("vera", Role.VIEWER)
    assert problem(await manage(world, viewer, "POST", f"{uid}/restore", SORRY)) == (403, "forbidden")
    with_it = await world.manage_client(permissions=frozenset({Permission.CANCEL, Permission.READ}))
    assert (await manage(world, with_it, "POST", f"{uid}/restore", SORRY)).status_code == 200


async def test_a_repeated_restore_is_the_same_answer_under_a_key_and_refused_without(world: World):
    kim, uid = await author(world), await paid_uid(world)
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    first = await manage(world, kim, "POST", f"{uid}/restore", SORRY, Idempotency_Key="r-1")
    before = await contents(world)
    again = await manage(world, kim, "POST", f"{uid}/restore", SORRY, Idempotency_Key="r-1")
    assert (again.status_code, again.content) == (200, first.content)
    refused = await manage(world, kim, "POST", f"{uid}/restore", SORRY)
    assert problem(refused) == (409, "order_not_cancelled")
    assert "the order is completed" in refused.json()["detail"]
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("body", [WHY, {"reason": "r"}], ids=["override", "policy"])
async def test_an_operators_repeat_of_an_undone_cancellation_is_409(world: World, body: dict[str, Any]):
    kim = await author(world)
    uid = (await world.ticket_order(await world.shopping_client(), paid=body is WHY)).order.uid
    first = await manage(world, kim, "POST", f"{uid}/cancel", body, Idempotency_Key="k")
    assert first.status_code == 200
    again = await manage(world, kim, "POST", f"{uid}/cancel", body, Idempotency_Key="k")
    assert again.status_code == 200
    await manage(world, kim, "POST", f"{uid}/restore", SORRY)
    before = await contents(world)
    for _ in range(2):
        repeated = await manage(world, kim, "POST", f"{uid}/cancel", body, Idempotency_Key="k")
        assert problem(repeated) == (409, "cancellation_undone")
    other = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "another"}, Idempotency_Key="k")
    assert problem(other) == (422, "idempotency_key_reused")
    assert not changed(before, await contents(world))
    assert (await manage(world, kim, "POST", f"{uid}/cancel", body, Idempotency_Key="k-2")).status_code == 200


async def test_a_shops_repeat_of_an_undone_cancellation_is_409(world: World):
    shop = await world.shopping_client()
    view = await world.ticket_order(shop)
    assert (await cancel(world, shop, world.uri(view), Idempotency_Key="k")).status_code == 200
    await restore(world, view.order.id, clients_own=True)
    before = await contents(world)
    repeated = await cancel(world, shop, world.uri(view), Idempotency_Key="k")
    assert kind(repeated) == (409, "CANCELLATION_UNDONE")
    assert "nothing was cancelled again" in repeated.json()["message"]
    assert not changed(before, await contents(world))
    assert (await cancel(world, shop, world.uri(view), Idempotency_Key="k-2")).status_code == 200


async def test_a_telecom_partners_repeat_of_an_undone_cancellation_is_422(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    path, body = "/api/connect/orders/cancel", {"orderId": order_id}
    headers = world.connect_headers(me, Idempotency_Key="k")
    assert (await world.http.post(path, json=body, headers=headers)).status_code == 200
    await restore(world, order_id, clients_own=True)
    before = await contents(world)
    repeated = await world.http.post(path, json=body, headers=headers)
    assert repeated.status_code == 422
    assert [one["code"] for one in repeated.json()["errors"]] == ["cancellation_undone"]
    assert not changed(before, await contents(world))

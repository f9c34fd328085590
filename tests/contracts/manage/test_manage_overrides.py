"""An order that the policy protects is cancelled over the management API, by a person who may override it."""

import asyncio
import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from countermand.domain.client import Permission
from countermand.domain.staff import PERMISSIONS_OF, Role
from support.database_contents import changed, contents
from support.manage_calls import fields, manage, problem
from support.shared_world import shared_world
from support.shopping_calls import cancel
from support.world import Caller, World

world = shared_world

PAID, SOON = "payment_recorded", "appointment_within_notice"
WHY = {"reason": "The concert is called off", "override": [PAID]}
CANCELLATIONS = "/manage/v1/cancellations"


async def author(world: World) -> Caller:
    return await world.person("kim", Role.AUTHOR)


async def paid_uid(world: World, **more: Any) -> str:
    return str((await world.ticket_order(await world.shopping_client(), paid=True, **more)).order.uid)


async def test_a_paid_order_is_ended_its_money_is_due_and_everything_shows_what_was_overridden(world: World):
    kim, product = await author(world), await world.product(stock=5)
    uid = await paid_uid(world, product=product)

    answer = await manage(world, kim, "POST", f"{uid}/cancel", WHY)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown == (await manage(world, kim, "GET", uid)).json()
    assert (shown["state"], shown["version"]) == ("cancelled", 3)
    assert [one["valid"] for one in shown["tickets"]] == [False, False]
    record = shown["cancellation"]
    assert (record["overridden"], record["codes"], record["staff_id"]) == ([PAID], [], "kim")
    assert record["reason"] == "The concert is called off"
    (money,), (due,) = shown["money"], shown["corrections"]
    assert (money["due_minor"], money["kept_minor"]) == (2500, 0)
    assert (due["kind"], due["state"], due["amount_minor"], due["staff_id"]) == ("refund", "due", 2500, "kim")
    (ask,) = [one for one in shown["timeline"] if one["kind"] == "ask"]
    assert (ask["decision"], ask["overridden"], ask["codes"]) == ("cancelled", [PAID], [])
    assert [one["code"] for one in ask["findings"] if not one["passed"]] == [PAID]
    (told,) = [one for one in shown["timeline"] if one["event"] == "refund.due"]
    assert told["kind"] == "payment"
    assert told["details"]["amounts"] == [{"amount_minor": 2500, "currency": "EUR"}]
    assert (told["who"]["staff_id"], shown["timeline_is_complete"]) == ("kim", True)
    assert [one["availability"] for one in await world.rows("products")] == [5]


async def test_the_lists_show_the_override_and_the_refund_that_is_due(world: World):
    kim, uid = await author(world), await paid_uid(world)
    plain = (await world.ticket_order(await world.shopping_client())).order
    await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    await manage(world, kim, "POST", f"{plain.uid}/cancel", {"reason": "r", "override": []})
    headers = world.manage_headers(kim)
    listed = (await world.http.get(CANCELLATIONS, headers=headers)).json()["cancellations"]
    assert {one["order_id"]: one["overridden"] for one in listed} == {
        f"shopping-{uid}": [PAID],
        f"shopping-{plain.uid}": [],
    }
    answer = await world.http.get(CANCELLATIONS, headers=headers | {"Accept": "text/csv"})
    rows = {row["order_id"]: row["overridden"] for row in csv.DictReader(StringIO(answer.text))}
    assert rows == {f"shopping-{uid}": PAID, f"shopping-{plain.uid}": ""}
    (due,) = (await world.http.get("/manage/v1/refunds?state=due", headers=headers)).json()["refunds"]
    assert (due["order"], due["amount"], due["currency"]) == (f"shopping-{uid}", 25.0, "EUR")
    assert (due["reason"], due["reference"]) == ("The concert is called off", None)
    made = {"reference": "re 1", "amount": 25, "currency": "EUR", "reason": "sent"}
    paid_off = (await manage(world, kim, "POST", f"{uid}/refunds", made)).json()["money"]
    assert (paid_off[0]["due_minor"], paid_off[0]["refunded_minor"]) == (0, 2500)


@pytest.mark.parametrize(("named", "left"), [([SOON], [SOON]), ([PAID, SOON], [SOON]), (["x"], ["x"])])
async def test_other_codes_than_the_broken_ones_are_refused_with_both_sets_and_nothing_changes(world, named, left):
    kim, uid = await author(world), await paid_uid(world)
    before = await contents(world)

    answer = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r", "override": named})

    assert problem(answer) == (409, "override_differs")
    said = answer.json()
    assert f"the rules that refuse are {PAID}, but override names {', '.join(sorted(named))}" in said["detail"]
    assert [(one["code"], one["field"]) for one in said["errors"]] == [
        (PAID, None),
        *[("override_differs", "override") for _ in left],
    ]
    assert changed(before, await contents(world)) == {"refusals"}
    (refusal,) = (await manage(world, kim, "GET", uid)).json()["refusals"]
    assert (refusal["codes"], refusal["overridden"], refusal["staff_id"]) == ([PAID], [], "kim")


async def test_an_order_that_may_be_cancelled_is_not_overridden(world: World):
    kim = await author(world)
    uid = (await world.ticket_order(await world.shopping_client())).order.uid
    answer = await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    assert problem(answer) == (409, "override_differs")
    shown = (await manage(world, kim, "GET", str(uid))).json()
    (ask,) = [one for one in shown["timeline"] if one["kind"] == "ask"]
    assert (shown["state"], ask["decision"], ask["codes"]) == ("pending", "refused", ["override_differs"])
    assert all(one["passed"] for one in ask["findings"])
    assert (await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r"})).status_code == 200


@pytest.mark.parametrize("code", ["order_not_cancellable", "order_already_cancelled"])
async def test_the_state_of_an_order_is_never_overridden(world: World, code: str):
    kim, uid = await author(world), await paid_uid(world)
    before = await contents(world)
    answer = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r", "override": [PAID, code]})
    assert fields(answer) == ["override"]
    assert code in answer.json()["errors"][0]["message"]
    assert changed(before, await contents(world)) == set()
    assert (await manage(world, kim, "POST", f"{uid}/cancel", WHY)).status_code == 200
    again = await manage(world, kim, "POST", f"{uid}/cancel", WHY)
    assert problem(again) == (409, "order_already_cancelled")
    assert len(await world.rows("payment_corrections")) == 1


@pytest.mark.parametrize("permissions", [{Permission.CANCEL}, {Permission.OVERRIDE}, {Permission.READ}])
async def test_an_override_needs_both_permissions_and_a_cancellation_without_one_only_its_own(world, permissions):
    caller, uid = await world.manage_client(permissions=frozenset(permissions)), await paid_uid(world)
    before = await contents(world)
    assert problem(await manage(world, caller, "POST", f"{uid}/cancel", WHY)) == (403, "forbidden")
    assert changed(before, await contents(world)) == set()
    without = await manage(world, caller, "POST", f"{uid}/cancel", {"reason": "r"})
    assert problem(without)[0] == (409 if Permission.CANCEL in permissions else 403)


async def test_the_roles_that_may_override_are_those_with_both_permissions(world: World):
    console = await world.manage_client(permissions=frozenset())
    for role in Role:
        uid = await paid_uid(world)
        answer = await manage(world, await world.person(role.value, role, client=console), "POST", f"{uid}/cancel", WHY)
        may = PERMISSIONS_OF[role] >= {Permission.CANCEL, Permission.OVERRIDE}
        assert may is (role in {Role.AUTHOR, Role.ADMIN})
        assert answer.status_code == (200 if may else 403), role


async def test_a_repeat_under_a_key_gets_the_same_answer_and_changes_nothing(world: World):
    kim, uid = await author(world), await paid_uid(world)
    first = await manage(world, kim, "POST", f"{uid}/cancel", WHY, Idempotency_Key="k-1")
    before = await contents(world)
    again = await manage(world, kim, "POST", f"{uid}/cancel", WHY, Idempotency_Key="k-1")
    assert (first.status_code, first.content) == (200, again.content)
    other = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r"}, Idempotency_Key="k-1")
    assert problem(other) == (422, "idempotency_key_reused")
    assert changed(before, await contents(world)) == set()


async def test_a_refusal_under_a_key_is_recorded_once_and_answered_again(world: World):
    kim, uid = await author(world), await paid_uid(world)
    body = {"reason": "r", "override": [SOON]}
    answers = await asyncio.gather(
        *(manage(world, kim, "POST", f"{uid}/cancel", body, Idempotency_Key="k-1") for _ in range(4))
    )
    assert {problem(one) for one in answers} == {(409, "override_differs")}
    assert len({one.content for one in answers}) == 1
    assert len(await world.rows("refusals")) == 1


async def test_an_appointment_within_the_notice_is_overridden_for_a_service_order(world: World):
    kim = await author(world)
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=2))
    assert problem(await manage(world, kim, "POST", f"{order_id}/cancel", {"reason": "r"})) == (409, SOON)
    answer = await manage(world, kim, "POST", f"{order_id}/cancel", {"reason": "r", "override": [SOON]})
    shown = answer.json()
    assert (answer.status_code, shown["state"], shown["money"]) == (200, "cancelled", [])
    assert [one["state"] for one in shown["appointments"]] == ["cancelled"]
    (told,) = await world.rows("cancellations", order_id)
    assert told["overridden"] == SOON
    events = {row["kind"]: json.loads(row["details"]) for row in await world.rows("outbox", order_id)}
    assert events["order.cancelled"] == {"from": "submitted", "reason": "r"}


async def test_strange_overrides_are_refused_with_the_field(world: World):
    kim, uid = await author(world), await paid_uid(world)
    before = await contents(world)
    for strange in (PAID, [""], [1], ["x" * 65], ["x"] * 21):
        answer = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r", "override": strange})
        assert fields(answer)[0].startswith("override"), strange
    for no_code in ("", " ", "Payment_Recorded", "payment recorded", "x" * 65, "1x"):
        answer = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r", "override": [PAID, no_code]})
        assert fields(answer) == ["override"]
        said = answer.json()["detail"]
        assert f"not {json.dumps(no_code)[:59]}" in said
        assert "cancellability has the codes that refuse" in said
    answer = await manage(world, kim, "POST", "connect-999/cancel", WHY)
    assert problem(answer) == (404, "not_found")
    assert changed(before, await contents(world)) == set()


async def test_an_operator_reads_what_an_override_does_and_a_shop_that_it_cannot_cancel(world: World):
    kim, shop = await author(world), await world.shopping_client()
    view = await world.ticket_order(shop, paid=True)
    path = str(view.order.uid)
    said = (await manage(world, kim, "POST", f"{path}/cancel", {"reason": "r"})).json()["detail"]
    assert said.endswith(
        "for an order that can be cancelled otherwise, override payment_recorded, and what was paid becomes due"
    )
    explained = (await manage(world, kim, "GET", f"{path}/cancellability")).json()["findings"]
    (ask,) = [one for one in (await manage(world, kim, "GET", path)).json()["timeline"] if one["kind"] == "ask"]
    for findings in (explained, ask["findings"]):
        assert [one["message"] for one in findings if not one["passed"]] == [said]
    told = (await cancel(world, shop, world.uri(view))).json()["message"]
    assert told.endswith("refunds are not supported here")

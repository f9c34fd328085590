"""Money that is put right over the management API: every answer is the order, and every act has a name."""

import csv
import json
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import delete

from countermand.contracts.manage import desk_lists
from countermand.contracts.manage.desk_lists import LINES
from countermand.domain.orders.order_state import Transition
from countermand.domain.staff import Role
from countermand.storage.repositories import desk_lists as rows_of_lists
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import micros
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, fields, manage, problem
from support.money import euros, owe, pay
from support.overrides import override
from support.shared_world import shared_world
from support.shopping_calls import cancel
from support.world import NOON, Caller, World

world = shared_world

WHY = {"reason": "Typed twice"}
GONE = {"reference": "re 1", "amount": 10.5, "currency": "EUR", "reason": "One day less"}


async def finance(world: World) -> Caller:
    return await world.person("kim", Role.FINANCE)


def money(answer: Any) -> dict[str, int]:
    """The balance of an order in its only currency, without what is 0."""
    (balance,) = answer.json()["money"]
    assert balance.pop("currency") == "EUR"
    recorded = balance.pop("recorded_minor")
    assert recorded == sum(balance.values())
    return {name.removesuffix("_minor"): minor for name, minor in balance.items() if minor}


async def test_a_mistyped_payment_is_voided_and_the_shop_cancels_its_order(world: World):
    kim, shop, product = await finance(world), await world.shopping_client(), await world.product(stock=5)
    order = await world.ticket_order(shop, product=product)
    uid = str(order.order.uid)
    assert (await manage(world, kim, "POST", f"{uid}/payments", PAYMENT)).status_code == 201
    assert (await cancel(world, shop, world.uri(order))).status_code == 403
    world.clock.forward(minutes=5)

    voided = await manage(world, kim, "POST", f"{uid}/payments/tx%201/void", WHY)

    assert voided.status_code == 200
    shown = voided.json()
    assert (shown["state"], shown["first_payment_at"], shown["version"]) == ("pending", None, 3)
    assert money(voided) == {"voided": 2500}
    (payment,), (correction,) = shown["payments"], shown["corrections"]
    assert (payment["amount_minor"], payment["voided_at"]) == (2500, "2026-11-21T12:05:00Z")
    assert correction == {
        "id": f"shopping-{uid}-1",
        "kind": "void",
        "reference": None,
        "payment_reference": "tx 1",
        "amount_minor": 2500,
        "currency": "EUR",
        "state": None,
        "reason": "Typed twice",
        "recorded_at": "2026-11-21T12:05:00Z",
        "settled_at": None,
        "client_id": kim.client.id,
        "staff_id": "kim",
        "acting_as": None,
        "address": "127.0.0.1",
    }
    told = [one for one in shown["timeline"] if one["event"] == "payment.voided"]
    assert [(one["kind"], one["who"]["staff_id"], one["details"]["reason"]) for one in told] == [
        ("payment", "kim", "Typed twice")
    ]
    assert shown == (await manage(world, kim, "GET", uid)).json()
    (expiry,) = await world.rows("expiries", order.order.id)
    assert expiry["expires_at"] - micros(world.clock()) == world.settings.shopping_payment_limit_s * 1_000_000
    assert (await cancel(world, shop, world.uri(order))).status_code == 200
    assert [row["availability"] for row in await world.rows("products") if row["uid"] == product] == [5]


async def test_a_payment_of_the_wrong_order_is_moved_to_the_right_one(world: World):
    kim, shop = await finance(world), await world.shopping_client()
    wrong, right = [await world.ticket_order(shop) for _ in range(2)]
    path = "{}/payments"
    assert (await manage(world, kim, "POST", path.format(wrong.order.uid), PAYMENT)).status_code == 201
    refused = await manage(world, kim, "POST", path.format(right.order.uid), PAYMENT)
    assert problem(refused) == (409, "payment_reference_used")
    assert (await manage(world, kim, "POST", f"{wrong.order.uid}/payments/tx%201/void", WHY)).status_code == 200
    assert (await manage(world, kim, "POST", path.format(right.order.uid), PAYMENT)).status_code == 201
    again = await manage(world, kim, "POST", path.format(wrong.order.uid), PAYMENT)
    assert problem(again) == (409, "payment_voided")
    states = [(await manage(world, kim, "GET", str(one.order.uid))).json()["state"] for one in (wrong, right)]
    assert states == ["pending", "completed"]


async def test_late_money_is_assigned_to_the_order_that_it_was_meant_for(world: World):
    kim, shop = await finance(world), await world.shopping_client()
    ended, right = [await world.ticket_order(shop) for _ in range(2)]
    await world.advance(ended.order.id, Transition.EXPIRE)
    assert (await manage(world, kim, "POST", f"{ended.order.uid}/payments", PAYMENT)).status_code == 409
    path, meant = f"{ended.order.uid}/payments/tx%201/assign", {"order": f"shopping-{right.order.uid}", **WHY}
    assigned = await manage(world, kim, "POST", path, meant)
    assert (assigned.status_code, assigned.json()["state"], money(assigned)) == (200, "expired", {"voided": 2500})
    shown = await manage(world, kim, "GET", str(right.order.uid))
    assert (shown.json()["state"], money(shown)) == ("completed", {"kept": 2500})
    late = await world.http.get("/manage/v1/late-payments", headers=world.manage_headers(kim))
    assert late.json()["late_payments"] == []
    before = await contents(world)
    again = await manage(world, kim, "POST", path, meant)
    assert (again.status_code, again.content) == (200, assigned.content)
    for other in ("54", f"shopping-{ended.order.uid}"):
        assert fields(await manage(world, kim, "POST", path, {**meant, "order": other})) == ["order"]
    gone = await manage(world, kim, "POST", path, {**meant, "order": "connect-999"})
    assert problem(gone) == (404, "not_found")
    assert not changed(before, await contents(world))


async def test_a_refund_and_a_chargeback_are_answered_with_the_order_and_a_repeat_with_the_same(world: World):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client(), paid=True)
    uid = str(order.order.uid)
    for path, expected in (
        ("refunds", {"kept": 1450, "refunded": 1050}),
        ("chargebacks", {"kept": 400, "refunded": 1050, "charged_back": 1050}),
    ):
        first = await manage(world, kim, "POST", f"{uid}/{path}", GONE, Idempotency_Key=path)
        before = await contents(world)
        by_key = await manage(world, kim, "POST", f"{uid}/{path}", GONE, Idempotency_Key=path)
        by_reference = await manage(world, kim, "POST", f"{uid}/{path}", GONE)
        assert first.status_code == 200
        assert money(first) == expected
        assert first.content == by_key.content == by_reference.content
        other = await manage(world, kim, "POST", f"{uid}/{path}", GONE | {"amount": 1})
        assert problem(other) == (409, f"{path.removesuffix('s')}_reference_used")
        too_much = await manage(world, kim, "POST", f"{uid}/{path}", GONE | {"reference": "x", "amount": 26})
        assert problem(too_much) == (409, f"{path.removesuffix('s')}_exceeds_paid")
        assert "26.00 EUR" in too_much.json()["detail"]
        assert not changed(before, await contents(world))
    shown = (await manage(world, kim, "GET", uid)).json()
    assert [(one["kind"], one["reference"], one["state"]) for one in shown["corrections"]] == [
        ("refund", "re 1", "done"),
        ("chargeback", "re 1", None),
    ]
    events = [one["event"] for one in shown["timeline"] if one["kind"] == "payment"]
    assert events == ["payment.recorded", "payment.refunded", "payment.charged_back"]
    assert shown["timeline_is_complete"]
    refused = await manage(world, kim, "POST", f"{uid}/payments/{shown['payments'][0]['reference']}/void", WHY)
    assert problem(refused) == (409, "payment_paid_back")


async def test_what_is_wrong_in_a_correction_is_named_and_nothing_is_done(world: World):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client(), paid=True)
    uid = str(order.order.uid)
    before = await contents(world)
    for path in ("refunds", "chargebacks"):
        for wrong, field in (
            ({"amount": 0}, "amount"),
            ({"amount": -1}, "amount"),
            ({"amount": 0.001}, "amount"),
            ({"currency": "JPY"}, "amount"),
            ({"currency": "euro"}, "currency"),
            ({"reason": "  "}, "reason"),
            ({"reference": ""}, "reference"),
        ):
            assert fields(await manage(world, kim, "POST", f"{uid}/{path}", GONE | wrong)) == [field]
    for path in ("void", "assign"):
        answer = await manage(world, kim, "POST", f"{uid}/payments/x/{path}", {"reason": "\t", "order": "connect-1"})
        assert fields(answer) == ["reason"]
    missing = await manage(world, kim, "POST", f"{uid}/payments/unheard/void", WHY)
    assert problem(missing) == (404, "not_found")
    assert not changed(before, await contents(world))


ODD = (" ", "   ", "tx\n1", "tx\t1", "tx\x7f", "tx\u200b1", "\u200b", "tx\u202e1", "tx\u00a01", "tx\u2028", "\ufefftx")


@pytest.mark.parametrize("reference", ODD)
async def test_a_reference_that_nobody_can_read_is_refused_and_one_of_before_can_still_be_voided(
    world: World, reference: str
):
    kim, shop = await finance(world), await world.shopping_client()
    order, right = [await world.ticket_order(shop) for _ in range(2)]
    before = await contents(world)
    for path, body in (("payments", PAYMENT), ("refunds", GONE), ("chargebacks", GONE)):
        answer = await manage(world, kim, "POST", f"{order.order.uid}/{path}", body | {"reference": reference})
        assert fields(answer) == ["reference"]
        assert json.dumps(reference) in answer.json()["detail"]
    assert not changed(before, await contents(world))
    await pay(world, order.order.id, reference, euros(2500))
    named = quote(reference, safe="")
    voided = await manage(world, kim, "POST", f"{order.order.uid}/payments/{named}/void", WHY)
    assert money(voided) == {"voided": 2500}
    await world.advance(order.order.id, Transition.EXPIRE)
    await pay(world, order.order.id, f"late {reference}", euros(2500))
    before, path = await contents(world), f"{order.order.uid}/payments/{quote(f'late {reference}', safe='')}"
    if not f"late {reference}".isprintable():
        assigned = await manage(world, kim, "POST", f"{path}/assign", {"order": str(right.order.uid), **WHY})
        assert fields(assigned) == ["reference"]
        assert not changed(before, await contents(world))
    assert (await manage(world, kim, "POST", f"{path}/void", WHY)).status_code == 200


@pytest.mark.parametrize("reference", ["a b", " a", "é", "東京-1", "pi_3N#!~", "x" * 255])
async def test_a_reference_of_visible_characters_and_spaces_is_taken(world: World, reference: str):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client())
    paid = await manage(world, kim, "POST", f"{order.order.uid}/payments", PAYMENT | {"reference": reference})
    assert (paid.status_code, paid.json()["reference"]) == (201, reference)
    for path in ("refunds", "chargebacks"):
        gone = await manage(world, kim, "POST", f"{order.order.uid}/{path}", GONE | {"reference": reference})
        assert gone.status_code == 200


@pytest.mark.parametrize("reference", ["a/b", "/", "100%", "a%2Fb", "ä ö?#&", "..", "x" * 255])
async def test_a_reference_in_the_path_may_be_any_text(world: World, reference: str):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client())
    await pay(world, order.order.id, reference, euros(2500))
    named = quote(reference, safe="") if reference != ".." else "%2E%2E"
    answer = await manage(world, kim, "POST", f"{order.order.uid}/payments/{named}/void", WHY)
    assert answer.status_code == 200, answer.text
    assert [one["payment_reference"] for one in answer.json()["corrections"]] == [reference]


async def test_only_who_may_handle_money_corrects_payments(world: World):
    order = await world.ticket_order(await world.shopping_client(), paid=True)
    support = await world.person("sam", Role.SUPPORT)
    before = await contents(world)
    for path, body in (("payments/x/void", WHY), ("refunds", GONE), ("refunds/x/failed", WHY), ("chargebacks", GONE)):
        answer = await manage(world, support, "POST", f"{order.order.uid}/{path}", body)
        assert problem(answer) == (403, "forbidden")
    assert not changed(before, await contents(world))


# the list of refunds


async def refunds(world: World, caller: Caller, query: str = "", accept: str = "application/json") -> Any:
    headers = {**world.manage_headers(caller), "Accept": accept}
    return await world.http.get(f"/manage/v1/refunds{query}", headers=headers)


async def some_refunds(world: World) -> Caller:
    """Three that are due, and one that was made of a part of the last."""
    kim, shop = await finance(world), await world.shopping_client()
    for number in range(3):
        world.clock.forward(minutes=1)
        order = await world.ticket_order(shop, paid=True)
        await owe(world, order.order.id, euros(100 + number))
    made = await manage(world, kim, "POST", f"{order.order.uid}/refunds", GONE | {"amount": 0.5})
    assert made.status_code == 200
    return kim


async def test_refunds_are_listed_by_their_state_newest_first(world: World, monkeypatch: pytest.MonkeyPatch):
    kim = await some_refunds(world)
    rows = (await refunds(world, kim)).json()["refunds"]
    assert [(row["amount"], row["state"]) for row in rows] == [
        (0.5, "done"),
        (0.52, "due"),
        (1.01, "due"),
        (1, "due"),
    ]
    assert '"amount":1.00,' in (await refunds(world, kim)).text.replace(" ", "")
    assert [row["id"] for row in rows] == [
        f"{row['order']}-{number}" for row, number in zip(rows, (2, 1, 1, 1), strict=True)
    ]
    assert [row["reference"] for row in rows] == ["re 1", None, None, None]
    for query, number in (("?state=due", 3), ("?state=done", 1), ("?state=failed", 0), ("?contract=connect", 0)):
        assert len((await refunds(world, kim, query)).json()["refunds"]) == number, query
    monkeypatch.setattr(desk_lists, "PAGE", 1)
    monkeypatch.setattr(desk_lists, "_STREAMED_AT_ONCE", 1)
    paged, after = [], ""
    while after is not None:
        answer = (await refunds(world, kim, f"?contract=shopping{after}")).json()
        paged += answer["refunds"]
        after = None if answer["next"] is None else f"&after={answer['next']}"
    assert paged == rows
    lines = (await refunds(world, kim, "", "application/x-ndjson")).text.splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(StringIO((await refunds(world, kim, "", "text/csv")).text, newline="")))
    assert [row["amount"] for row in table] == ["0.50", "0.52", "1.01", "1.00"]


async def test_a_refund_that_paid_off_a_whole_due_is_listed_with_who_made_it_and_why(world: World):
    kim, author = await finance(world), await world.person("lee", Role.AUTHOR)
    order = await world.ticket_order(await world.shopping_client(), paid=True)
    uid = str(order.order.uid)
    called_off = {"reason": "Called off", "override": ["payment_recorded"]}
    assert (await manage(world, author, "POST", f"{uid}/cancel", called_off)).status_code == 200
    world.clock.forward(minutes=5)
    paid_back = await manage(world, kim, "POST", f"{uid}/refunds", GONE | {"amount": 25, "reason": "Sent by hand"})
    assert money(paid_back) == {"refunded": 2500}
    assert [(one["state"], one["reason"], one["staff_id"]) for one in paid_back.json()["corrections"]] == [
        ("paid_off", "Called off", "lee"),
        ("done", "Sent by hand", "kim"),
    ]
    for query in ("", "?state=done"):
        (row,) = (await refunds(world, kim, query)).json()["refunds"]
        assert (row["amount"], row["state"], row["reference"]) == (25, "done", "re 1")
        assert (row["reason"], row["staff_id"]) == ("Sent by hand", "kim")
    assert (await refunds(world, kim, "?state=due")).json()["refunds"] == []
    for hidden in ("paid_off", "returned"):
        assert fields(await refunds(world, kim, f"?state={hidden}")) == ["state"]
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == order.order.id))
    shown = (await manage(world, kim, "GET", uid)).json()
    (told,) = [one for one in shown["timeline"] if one["event"] == "payment.refunded"]
    assert (told["details"]["reason"], told["who"]["staff_id"]) == ("Sent by hand", "kim")
    assert (told["details"]["amount_minor"], told["at"]) == (2500, "2026-11-21T12:05:00Z")


async def test_a_refund_that_came_back_is_listed_as_failed_until_another_one_is_made(world: World):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client(), paid=True)
    uid, back = str(order.order.uid), {"reason": "Account closed"}
    assert (await manage(world, kim, "POST", f"{uid}/refunds", GONE | {"reference": "re/1"})).status_code == 200
    failed = await manage(world, kim, "POST", f"{uid}/refunds/re%2F1/failed", back)
    assert (failed.status_code, money(failed)) == (200, {"kept": 1450, "due": 1050})
    assert [(one["reference"], one["state"], one["reason"]) for one in failed.json()["corrections"]] == [
        ("re/1", "returned", "One day less"),
        ("re/1", "failed", "Account closed"),
    ]
    (told,) = [one for one in failed.json()["timeline"] if one["event"] == "refund.failed"]
    assert (told["kind"], told["who"]["staff_id"], told["details"]["reason"]) == ("payment", "kim", "Account closed")
    assert failed.json()["timeline_is_complete"]
    (row,) = (await refunds(world, kim, "?state=failed")).json()["refunds"]
    assert (row["reference"], row["amount"], row["reason"], row["staff_id"]) == ("re/1", 10.5, "Account closed", "kim")
    assert (await refunds(world, kim, "?state=done")).json()["refunds"] == []
    before = await contents(world)
    again = await manage(world, kim, "POST", f"{uid}/refunds/re%2F1/failed", {"reason": "Said otherwise"})
    assert (again.status_code, again.content) == (200, failed.content)
    assert fields(await manage(world, kim, "POST", f"{uid}/refunds/re%2F1/failed", {"reason": " "})) == ["reason"]
    missing = await manage(world, kim, "POST", f"{uid}/refunds/unheard/failed", back)
    assert problem(missing) == (404, "not_found")
    assert "unheard" in missing.json()["detail"]
    assert not changed(before, await contents(world))
    next_one = await manage(world, kim, "POST", f"{uid}/refunds", GONE | {"reference": "re 2", "amount": 4})
    assert money(next_one) == {"kept": 1450, "due": 650, "refunded": 400}
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == order.order.id))
    shown = (await manage(world, kim, "GET", uid)).json()
    wanted = {one["event"]: one["details"]["amount_minor"] for one in shown["timeline"] if one["kind"] == "payment"}
    assert wanted["refund.failed"] == 1050, "what failed, not what is left of it"
    assert (await refunds(world, kim, "?state=failed")).json()["refunds"][0]["amount"] == 6.5


async def test_a_page_of_refunds_looks_at_a_limited_number_of_each_state(world: World, monkeypatch: pytest.MonkeyPatch):
    kim = await some_refunds(world)
    rows = (await refunds(world, kim)).json()["refunds"]
    for looked_at, first in ((1, rows[:1]), (2, rows[:3]), (4, rows)):
        monkeypatch.setattr(rows_of_lists, "LOOKED_AT", looked_at)
        page = (await refunds(world, kim)).json()
        assert (page["refunds"], page["next"] is None) == (first, first == rows)
        assert [json.loads(line) for line in (await refunds(world, kim, "", LINES)).text.splitlines()] == rows
        due = (await refunds(world, kim, "?state=due", LINES)).text.splitlines()
        assert [json.loads(line) for line in due] == rows[1:]
        none = (await refunds(world, kim, "?contract=connect")).json()
        assert (none["refunds"], none["next"] is None) == ([], first == rows)
        assert (await refunds(world, kim, "?contract=connect", LINES)).text == ""


async def test_late_money_of_an_order_that_lost_more_is_said_to_be_late_only_as_far_as_it_is(world: World):
    """What was refunded and then charged back is missing, so money that comes later makes up for it first."""
    kim, author = await finance(world), await world.person("lee", Role.AUTHOR)
    order = await world.ticket_order(await world.shopping_client(), paid=True)
    uid = str(order.order.uid)
    called_off = {"reason": "Called off", "override": ["payment_recorded"]}
    assert (await manage(world, author, "POST", f"{uid}/cancel", called_off)).status_code == 200
    for path in ("refunds", "chargebacks"):
        gone = await manage(world, kim, "POST", f"{uid}/{path}", GONE | {"amount": 25})
    assert money(gone) == {"kept": -2500, "refunded": 2500, "charged_back": 2500}
    for reference, amount, left in (("tx 1", 20, "0.00"), ("tx 2", 6, "1.00"), ("tx 3", 2, None)):
        late = await manage(
            world, kim, "POST", f"{uid}/payments", {"reference": reference, "amount": amount, "currency": "EUR"}
        )
        assert problem(late) == (409, "late_money")
        said = late.json()["detail"]
        assert ("assign or refund it" in said, f"{left} of its {amount}.00 EUR can be refunded" in said) == (
            left is None,
            left is not None,
        )
    shown = await manage(world, kim, "GET", uid)
    assert money(shown) == {"refunded": 2500, "charged_back": 2500, "late": 300}
    too_much = await manage(world, kim, "POST", f"{uid}/refunds", GONE | {"reference": "re 2", "amount": 3.01})
    assert problem(too_much) == (409, "refund_exceeds_paid")
    assert (await manage(world, kim, "POST", f"{uid}/refunds", GONE | {"reference": "re 2", "amount": 3})).is_success


async def test_late_money_leaves_its_list_when_all_of_it_was_paid_back(world: World):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client())
    await world.advance(order.order.id, Transition.FAIL)
    for number in range(2):
        await pay(world, order.order.id, f"late {number}", euros(1000))
    left = []
    for reference, amount in (("re 1", 10.5), ("re 2", 9.49), ("re 3", 0.01)):
        gone = {**GONE, "reference": reference, "amount": amount}
        assert (await manage(world, kim, "POST", f"{order.order.uid}/refunds", gone)).status_code == 200
        late = await world.http.get("/manage/v1/late-payments", headers=world.manage_headers(kim))
        left.append([(one["amount_minor"], one["left_minor"]) for one in late.json()["late_payments"]])
    assert left == [[(1000, 950)] * 2, [(1000, 1)] * 2, []]


async def test_late_money_that_was_paid_back_leaves_no_empty_page_before_what_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    kim, shop = await finance(world), await world.shopping_client()
    for number in range(4):
        world.clock.forward(minutes=1)
        order = await world.ticket_order(shop)
        await pay(world, order.order.id, f"in time {number}", euros(1))
        await override(world, order.order.id, "payment_recorded")
        await pay(world, order.order.id, f"late {number}", euros(1000))
        if number:  # all but the oldest: what was due, and the late money
            gone = {**GONE, "reference": f"re {number}", "amount": 10.01}
            assert (await manage(world, kim, "POST", f"{order.order.uid}/refunds", gone)).status_code == 200
    monkeypatch.setattr(desk_lists, "PAGE", 1)
    late = (await world.http.get("/manage/v1/late-payments", headers=world.manage_headers(kim))).json()
    assert [(one["reference"], one["left_minor"]) for one in late["late_payments"]] == [("late 0", 1000)]
    after = await world.http.get(f"/manage/v1/late-payments?after={late['next']}", headers=world.manage_headers(kim))
    assert after.json() == {"late_payments": [], "next": None}


async def test_what_is_wrong_in_the_query_of_refunds_is_named(world: World):
    kim = await finance(world)
    assert fields(await refunds(world, kim, "?state=open&from=x")) == ["from", "state"]
    assert fields(await refunds(world, kim, "?state=due&code=x")) == ["code"]
    for after in ("x", "", "1_2", "1_2_x", "-1", "1_2_3_4", f"1_{2**63}_1", "1_2_0"):
        assert fields(await refunds(world, kim, f"?after={after}")) == ["after"], after
    for query in ("", f"?after=1_2_{2**31}"):
        assert (await refunds(world, kim, query)).json() == {"refunds": [], "next": None}


async def test_the_timeline_tells_of_corrections_whose_events_are_gone(world: World):
    kim, order = await finance(world), await world.ticket_order(await world.shopping_client(), paid=True)
    uid = str(order.order.uid)
    await pay(world, order.order.id, "tx 1", euros(1))
    await manage(world, kim, "POST", f"{uid}/payments/tx%201/void", WHY)
    await manage(world, kim, "POST", f"{uid}/refunds", GONE)
    whole = await manage(world, kim, "POST", f"{uid}/chargebacks", GONE)
    async with world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == order.order.id))
    shown = (await manage(world, kim, "GET", uid)).json()
    wanted = [one["event"] for one in whole.json()["timeline"] if one["kind"] == "payment"]
    assert sorted(one["event"] for one in shown["timeline"] if one["kind"] == "payment") == sorted(wanted)
    told = {one["event"]: one for one in shown["timeline"]}
    assert told["payment.voided"]["who"]["staff_id"] == "kim"
    assert told["payment.refunded"]["details"]["amount_minor"] == 1050
    assert (shown["timeline_is_complete"], shown["created_at"]) == (False, NOON.strftime("%Y-%m-%dT%H:%M:%SZ"))

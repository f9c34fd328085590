"""Over the management API, an override is asked for by one person and confirmed by another, if the settings say so."""

import asyncio
import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.contracts.manage import desk_lists
from countermand.domain.client import Permission
from countermand.domain.staff import PERMISSIONS_OF, Role
from support.database_contents import changed, contents
from support.manage_calls import fields, manage, problem
from support.shared_world import Services
from support.world import Caller, World

PAID, SOON = "payment_recorded", "appointment_within_notice"
WHY = {"reason": "The concert is called off", "override": [PAID]}
ROOT = "/manage/v1/approvals"
NOBODYS = "0" * 32


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def world(request: pytest.FixtureRequest, services_of_the_file: Services) -> World:
    return await services_of_the_file.world(request.param, override_needs_two=True)


async def people(world: World) -> tuple[Caller, Caller]:
    """A person who asks, and one who confirms."""
    console = await world.manage_client(permissions=frozenset())
    return await world.person("kim", Role.AUTHOR, client=console), await world.person(
        "lee", Role.APPROVER, client=console
    )


async def paid_uid(world: World, **more: Any) -> str:
    return str((await world.ticket_order(await world.shopping_client(), paid=True, **more)).order.uid)


async def asked(world: World, person: Caller, uid: str, **headers: str) -> str:
    answer = await manage(world, person, "POST", f"{uid}/cancel", WHY, **headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["approval"])


async def call(world: World, person: Caller, method: str, path: str = "", **headers: str) -> httpx.Response:
    return await world.http.request(method, f"{ROOT}{path}", headers=world.manage_headers(person, **headers))


async def confirm(world: World, person: Caller, approval: str, **headers: str) -> httpx.Response:
    return await call(world, person, "POST", f"/{approval}/confirm", **headers)


async def refused(world: World, person: Caller, approval: str) -> str:
    """The code of a confirmation that is refused, and changes nothing."""
    before = await contents(world)
    status, code = problem(await confirm(world, person, approval))
    assert status == 409
    assert changed(before, await contents(world)) == set()
    return code


async def test_an_override_answers_what_another_person_has_to_confirm_and_cancels_nothing(world: World):
    kim, lee = await people(world)
    uid = await paid_uid(world)
    before = await contents(world)

    answer = await manage(world, kim, "POST", f"{uid}/cancel", WHY)

    assert answer.status_code == 202
    approval = answer.json()["approval"]
    assert answer.json() == {
        "approval": approval,
        "order_id": f"shopping-{uid}",
        "order_version": 2,
        "override": [PAID],
        "due": [{"amount_minor": 2500, "currency": "EUR"}],
        "until": "2026-11-21T13:00:00Z",
    }
    assert changed(before, await contents(world)) == {"approvals"}
    shown = (await manage(world, kim, "GET", uid)).json()
    assert (shown["state"], shown["cancellation"], shown["refusals"]) == ("completed", None, [])
    (row,) = await world.rows("approvals")
    assert row["address"] is not None
    assert (await call(world, lee, "GET", f"/{approval}")).json() == {
        "id": approval,
        "state": "open",
        "order_id": f"shopping-{uid}",
        "contract": "shopping",
        "order_version": 2,
        "override": [PAID],
        "due": [{"amount_minor": 2500, "currency": "EUR"}],
        "reason": "The concert is called off",
        "asked_at": "2026-11-21T12:00:00Z",
        "until": "2026-11-21T13:00:00Z",
        "client_id": kim.client.id,
        "staff_id": "kim",
        "acting_as": None,
        "ended_at": None,
        "ended_by": None,
        "differed": [],
    }


async def test_the_confirmation_answers_the_order_and_everything_names_both_persons(world: World):
    kim, lee = await people(world)
    product = await world.product(stock=5)
    uid = await paid_uid(world, product=product)
    approval = await asked(world, kim, uid)
    world.clock.forward(minutes=59)

    answer = await confirm(world, lee, approval)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown == (await manage(world, lee, "GET", uid)).json()
    assert (shown["state"], shown["version"]) == ("cancelled", 3)
    record = shown["cancellation"]
    assert (record["staff_id"], record["approved_by"], record["overridden"]) == ("kim", "lee", [PAID])
    assert (record["reason"], record["decided_at"]) == ("The concert is called off", "2026-11-21T12:59:00Z")
    (ask,) = [one for one in shown["timeline"] if one["kind"] == "ask"]
    assert (ask["who"]["staff_id"], ask["approved_by"], ask["overridden"]) == ("kim", "lee", [PAID])
    (told,) = [one for one in shown["facts"] if one["kind"] == "order.cancelled"]
    assert told["details"]["approved_by"] == "lee"
    assert shown["money"][0]["due_minor"] == 2500
    assert [one["availability"] for one in await world.rows("products")] == [5]
    (listed,) = (await world.http.get("/manage/v1/cancellations", headers=world.manage_headers(lee))).json()[
        "cancellations"
    ]
    assert (listed["staff_id"], listed["approved_by"]) == ("kim", "lee")
    csv_headers = world.manage_headers(lee) | {"Accept": "text/csv"}
    text = (await world.http.get("/manage/v1/cancellations", headers=csv_headers)).text
    assert [row["approved_by"] for row in csv.DictReader(StringIO(text))] == ["lee"]
    approval_shown = (await call(world, kim, "GET", f"/{approval}")).json()
    assert (approval_shown["state"], approval_shown["ended_by"], approval_shown["ended_at"]) == (
        "confirmed",
        "lee",
        "2026-11-21T12:59:00Z",
    )


async def test_a_cancellation_without_an_override_needs_one_person(world: World):
    kim, _ = await people(world)
    uid = (await world.ticket_order(await world.shopping_client())).order.uid
    answer = await manage(world, kim, "POST", f"{uid}/cancel", {"reason": "r"})
    assert (answer.status_code, answer.json()["cancellation"]["approved_by"]) == (200, None)
    assert await world.rows("approvals") == []


async def test_what_is_refused_without_a_second_person_is_refused_at_asking(world: World):
    kim, _ = await people(world)
    uid = await paid_uid(world)
    before = await contents(world)
    both = {"reason": "r", "override": [PAID, "order_not_cancellable"]}
    assert fields(await manage(world, kim, "POST", f"{uid}/cancel", both)) == ["override"]
    assert changed(before, await contents(world)) == set()
    other = {"reason": "r", "override": [SOON]}
    assert problem(await manage(world, kim, "POST", f"{uid}/cancel", other)) == (409, "override_differs")
    assert changed(before, await contents(world)) == {"refusals"}
    assert await world.rows("approvals") == []


@pytest.mark.parametrize("acting_as", [{}, {"Acting_As": "lee"}])
async def test_a_clients_own_token_neither_asks_nor_confirms_whomever_it_says_it_acts_for(world: World, acting_as: Any):
    kim, _ = await people(world)
    program, uid = await world.manage_client(), await paid_uid(world)
    before = await contents(world)
    answer = await manage(world, program, "POST", f"{uid}/cancel", WHY, **acting_as)
    assert problem(answer) == (409, "approval_needs_person")
    assert "nothing was asked for" in answer.json()["detail"]
    assert changed(before, await contents(world)) == set()
    approval = await asked(world, kim, uid)
    before = await contents(world)
    answer = await confirm(world, program, approval, **acting_as)
    assert problem(answer) == (409, "approval_needs_person")
    assert changed(before, await contents(world)) == set()


async def test_the_person_who_asked_does_not_confirm_with_any_token(world: World):
    kim, lee = await people(world)
    approval = await asked(world, kim, await paid_uid(world))
    assert await refused(world, kim, approval) == "approval_same_person"
    assert (await confirm(world, lee, approval)).status_code == 200


async def made_token(world: World, admin: Caller, person: str) -> Caller:
    """A new token of a person, which an administrator makes over the API."""
    answer = await world.http.post(f"/manage/v1/staff/{person}/tokens", headers=world.manage_headers(admin), json={})
    assert answer.status_code == 201
    key, _, secret = answer.json()["token"].partition(".")
    return Caller(admin.client, key, secret)


@pytest.mark.parametrize("who", ["kim", "ann"])
async def test_a_person_whom_the_asker_adds_or_gives_a_token_after_the_asking_does_not_confirm(world: World, who: str):
    console = await world.manage_client()
    kim, ann, lee = [await world.person(one, Role.ADMIN, client=console) for one in ("kim", "ann", "lee")]
    approval = await asked(world, kim, await paid_uid(world))
    is_asker = who == "kim"
    admin = kim if is_asker else ann
    new = {"id": "new", "name": "New", "roles": ["approver"]}
    assert (await world.http.post("/manage/v1/staff", headers=world.manage_headers(admin), json=new)).status_code == 201
    for person in ("new", "lee"):
        with_new_token = await made_token(world, admin, person)
        if is_asker:
            assert await refused(world, with_new_token, approval) == "approval_not_independent"
    assert {row["changed_by"] for row in await world.rows("staff_changes")} == {None, who}
    if is_asker:
        assert await refused(world, lee, approval) == "approval_not_independent", "the old token is the same person's"
        assert (await confirm(world, ann, approval)).status_code == 200
    else:
        assert (await confirm(world, with_new_token, approval)).status_code == 200


@pytest.mark.parametrize("path", ["change", "disable", "enable", "tokens/{key}/revoke"])
async def test_each_change_by_the_asker_or_by_a_clients_own_token_counts(world: World, path: str):
    program = await world.manage_client()
    kim, lee = [await world.person(one, Role.ADMIN, client=program) for one in ("kim", "lee")]
    await world.person("joe", Role.ADMIN, client=program)
    if path == "enable":
        await call_staff(world, program, "joe/disable")
    for admin, by in ((kim, "kim"), (program, None)):
        approval = await asked(world, kim, await paid_uid(world))
        if path == "enable":
            await call_staff(world, lee, "joe/disable")
        token = next(one for one in await world.rows("staff_tokens") if one["staff_id"] == "joe")
        await call_staff(world, admin, f"joe/{path.format(key=token['key'])}")
        assert (await world.rows("staff_changes"))[-1]["changed_by"] == by
        joe = await token_unless_disabled(world, lee, "joe", path)
        if joe is not None:
            assert await refused(world, joe, approval) == "approval_not_independent"
        assert (await confirm(world, lee, approval)).status_code == 200


async def token_unless_disabled(world: World, admin: Caller, person: str, path: str) -> Caller | None:
    """A token that another administrator makes; nobody makes one for a disabled person."""
    return None if path == "disable" else await made_token(world, admin, person)


async def call_staff(world: World, admin: Caller, path: str) -> None:
    body = {"roles": ["approver"]} if path.endswith("/change") else {}
    headers = world.manage_headers(admin)
    answer = await world.http.post(f"/manage/v1/staff/{path}", headers=headers, json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("seconds", "state"), [(3599.999999, "open"), (3600, "expired")])
async def test_an_approval_lasts_an_hour(world: World, seconds: float, state: str):
    kim, lee = await people(world)
    approval = await asked(world, kim, await paid_uid(world))
    world.clock.forward(seconds=seconds)
    assert (await call(world, kim, "GET", f"/{approval}")).json()["state"] == state
    if state == "expired":
        assert await refused(world, lee, approval) == "approval_expired"
    else:
        assert (await confirm(world, lee, approval)).status_code == 200


async def test_a_change_since_is_answered_with_what_differs_and_ends_the_approval(world: World):
    kim, lee = await people(world)
    uid = await paid_uid(world)
    approval = await asked(world, kim, uid)
    more = {"reference": "tx 2", "amount": 1, "currency": "EUR"}
    assert (await manage(world, kim, "POST", f"{uid}/payments", more)).status_code == 201
    before = await contents(world)

    answer = await confirm(world, lee, approval)

    assert problem(answer) == (409, "approval_differs")
    assert [(one["code"], one["field"]) for one in answer.json()["errors"]] == [
        ("approval_differs", "version"),
        ("approval_differs", "amount"),
    ]
    assert "26.00 EUR would become due, but the approval is for 25.00 EUR" in answer.json()["detail"]
    assert changed(before, await contents(world)) == {"approvals"}
    shown = (await call(world, kim, "GET", f"/{approval}")).json()
    assert (shown["state"], shown["differed"], shown["ended_by"]) == ("outdated", ["version", "amount"], "lee")
    assert await refused(world, lee, approval) == "approval_used"
    assert (await confirm(world, lee, await asked(world, kim, uid))).status_code == 200


async def test_a_repeat_gets_the_order_again_and_another_person_learns_that_the_approval_was_used(world: World):
    kim, lee = await people(world)
    ann = await world.person("ann", Role.APPROVER, client=kim)
    approval = await asked(world, kim, await paid_uid(world))
    first = await confirm(world, lee, approval)
    before = await contents(world)
    again = await confirm(world, lee, approval)
    assert (again.status_code, again.content) == (200, first.content)
    assert changed(before, await contents(world)) == set()
    assert await refused(world, ann, approval) == "approval_used"


async def test_two_persons_at_once_are_one_confirmation(world: World):
    kim, lee = await people(world)
    ann = await world.person("ann", Role.APPROVER, client=kim)
    for _ in range(3):
        approval = await asked(world, kim, await paid_uid(world))
        answers = await asyncio.gather(*(confirm(world, one, approval) for one in (lee, ann)))
        assert sorted(one.status_code for one in answers) == [200, 409]
        assert {problem(one) for one in answers if one.status_code == 409} == {(409, "approval_used")}
    assert len(await world.rows("payment_corrections")) == 3


async def test_keys_give_the_same_answers_again_and_ask_or_confirm_once(world: World):
    kim, lee = await people(world)
    uid = await paid_uid(world)
    asks = await asyncio.gather(
        *(manage(world, kim, "POST", f"{uid}/cancel", WHY, Idempotency_Key="k-1") for _ in range(3))
    )
    assert {one.status_code for one in asks} == {202}
    assert len({one.content for one in asks}) == 1
    assert len(await world.rows("approvals")) == 1
    approval = asks[0].json()["approval"]
    assert problem(await confirm(world, kim, approval, Idempotency_Key="k-2")) == (409, "approval_same_person")
    answers = await asyncio.gather(*(confirm(world, lee, approval, Idempotency_Key="k-2") for _ in range(3)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    before = await contents(world)
    other = await confirm(world, lee, NOBODYS, Idempotency_Key="k-2")
    assert problem(other) == (422, "idempotency_key_reused")
    assert changed(before, await contents(world)) == set()


async def test_no_key_of_a_repeated_confirmation_says_cancelled_after_the_undoing(world: World):
    kim, lee = await people(world)
    uid = await paid_uid(world)
    approval = await asked(world, kim, uid)
    for key in ("k-1", "k-2", "k-2"):
        answer = await confirm(world, lee, approval, Idempotency_Key=key)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert [row["key"] for row in await world.rows("idempotency_keys") if row["key"].endswith("k-2")] == []
    assert (await manage(world, kim, "POST", f"{uid}/restore", {"reason": "r"})).status_code == 200
    before = await contents(world)
    for key in ("k-1", "k-2", "k-3"):
        repeated = await confirm(world, lee, approval, Idempotency_Key=key)
        assert problem(repeated) == (409, "cancellation_undone")
    assert changed(before, await contents(world)) == {"idempotency_keys"}  # of refusals, which are stored


async def test_only_the_person_who_asked_withdraws(world: World):
    kim, lee = await people(world)
    approval = await asked(world, kim, await paid_uid(world))
    before = await contents(world)
    assert problem(await call(world, lee, "POST", f"/{approval}/withdraw")) == (409, "approval_of_another")
    assert changed(before, await contents(world)) == set()
    answer = await call(world, kim, "POST", f"/{approval}/withdraw")
    assert (answer.status_code, answer.json()["state"], answer.json()["ended_by"]) == (200, "withdrawn", "kim")
    assert (await call(world, kim, "POST", f"/{approval}/withdraw")).json() == answer.json()
    assert changed(before, await contents(world)) == {"approvals"}
    assert await refused(world, lee, approval) == "approval_used"


@pytest.mark.parametrize("strange", [NOBODYS, "x", "%00", "A" * 32, "9" * 33])
async def test_an_approval_that_is_not_there_is_not_found(world: World, strange: str):
    kim, _ = await people(world)
    before = await contents(world)
    for method, path in (("GET", ""), ("POST", "/confirm"), ("POST", "/withdraw")):
        assert problem(await call(world, kim, method, f"/{strange}{path}")) == (404, "not_found")
    assert changed(before, await contents(world)) == set()


async def test_the_roles_that_confirm_are_those_that_may_override(world: World):
    kim, _ = await people(world)
    for role in Role:
        approval = await asked(world, kim, await paid_uid(world))
        answer = await confirm(world, await world.person(role.value, role, client=kim), approval)
        may = Permission.OVERRIDE in PERMISSIONS_OF[role]
        assert may is (role in {Role.AUTHOR, Role.APPROVER, Role.ADMIN})
        assert answer.status_code == (409 if may else 403), role  # each was added by nobody who is known, since
        assert may is (problem(answer)[1] == "approval_not_independent")


async def several(world: World) -> tuple[Caller, Sequence[str]]:
    """An approval in each state, the newest last."""
    kim, lee = await people(world)
    uids = [await paid_uid(world) for _ in range(5)]
    ids = [await asked(world, kim, uids[0])]  # expires
    world.clock.forward(minutes=50)
    for uid in uids[1:]:
        ids.append(await asked(world, kim, uid))
        world.clock.forward(minutes=1)
    await confirm(world, lee, ids[1])
    await call(world, kim, "POST", f"/{ids[2]}/withdraw")
    await manage(world, kim, "POST", f"{uids[3]}/payments", {"reference": "tx 2", "amount": 1, "currency": "EUR"})
    await confirm(world, lee, ids[3])
    world.clock.forward(minutes=6)
    return kim, ids


async def test_the_list_has_every_approval_newest_first_and_those_of_each_state(world: World):
    kim, ids = await several(world)
    before = await contents(world)
    everything = (await call(world, kim, "GET")).json()
    assert [one["id"] for one in everything["approvals"]] == list(reversed(ids))
    assert everything["next"] is None
    states = ("expired", "confirmed", "withdrawn", "outdated", "open")
    for state, approval in zip(states, ids, strict=True):
        (one,) = (await call(world, kim, "GET", f"?state={state}")).json()["approvals"]
        assert (one["id"], one["state"]) == (approval, state)
        assert one == (await call(world, kim, "GET", f"/{approval}")).json()
    for query, number in (
        ("contract=shopping", 5),
        ("contract=connect", 0),
        (f"client={kim.client.id}", 5),
        ("client=999", 0),
        ("from=2026-11-21T12:50:00Z", 4),
        ("until=2026-11-21T12:50:00Z", 1),
    ):
        assert len((await call(world, kim, "GET", f"?{query}")).json()["approvals"]) == number, query
    assert fields(await call(world, kim, "GET", "?state=due")) == ["state"]
    assert changed(before, await contents(world)) == set()


async def test_the_list_has_pages_and_is_written_as_csv(world: World, monkeypatch: pytest.MonkeyPatch):
    kim, ids = await several(world)
    monkeypatch.setattr(desk_lists, "PAGE", 2)
    monkeypatch.setattr(desk_lists, "_STREAMED_AT_ONCE", 2)
    found, after = [], ""
    while True:
        page = (await call(world, kim, "GET", f"?{after}")).json()
        found += [one["id"] for one in page["approvals"]]
        if page["next"] is None:
            break
        after = f"after={page['next']}"
    assert found == list(reversed(ids))
    rows = list(csv.DictReader(StringIO((await call(world, kim, "GET", Accept="text/csv")).text)))
    assert [row["id"] for row in rows] == list(reversed(ids))
    assert {(row["due"], row["override"], row["staff_id"]) for row in rows} == {("25.00 EUR", PAID, "kim")}
    assert [row["differed"] for row in rows if row["state"] == "outdated"] == ["version amount"]


async def test_the_metrics_count_what_was_asked_for_refused_and_cancelled(world: World):
    kim, lee = await people(world)
    before = (await world.http.get("/metrics")).text
    uid = await paid_uid(world)
    approval = await asked(world, kim, uid)
    await confirm(world, kim, approval)
    await confirm(world, lee, approval)
    await confirm(world, lee, approval)
    after = (await world.http.get("/metrics")).text
    counts = {
        (outcome, code): _counted(after, outcome, code) - _counted(before, outcome, code)
        for outcome, code in (("asked", ""), ("refused", ""), ("cancelled", ""))
    }
    assert counts == {("asked", ""): 1, ("refused", ""): 1, ("cancelled", ""): 2}


def _counted(page: str, outcome: str, code: str) -> float:
    wanted = ("countermand_cancellations_total", 'door="manage"', f'outcome="{outcome}"', f'code="{code}"')
    lines = [line for line in page.splitlines() if all(one in line for one in wanted)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)

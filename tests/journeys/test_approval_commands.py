"""On the command line, an override is asked for by one person and confirmed by another, as over HTTP."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from countermand.bootstrap.clock import utc_now
from countermand.domain.staff import Role
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.manage_calls import manage
from support.serving import database_of
from support.shared_world import Services
from support.world import World

PAID = "payment_recorded"
ASK = ("--override", PAID, "--reason", "called off", "--as", "kim")


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def world(request: pytest.FixtureRequest, services_of_the_file: Services) -> World:
    return await services_of_the_file.world(request.param, override_needs_two=True)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def said(world: World, run: Run, *arguments: str) -> Said:
    return await asyncio.to_thread(run, *arguments, **database_of(world), override_needs_two="true")


async def refused(world: World, run: Run, *arguments: str) -> tuple[int, str, str]:
    """The status, the code and the sentence of a command that is refused, and changes nothing."""
    before = await contents(world)
    answer = await said(world, run, *arguments, "--json")
    assert answer.code == 2
    assert changed(before, await contents(world)) == set()
    told = json.loads(answer.out)["error"]
    assert_one_sentence(await said(world, run, *arguments))
    return told["status"], told["code"], told["detail"]


async def people(world: World) -> None:
    console = await world.manage_client()
    await world.person("kim", Role.AUTHOR, client=console)
    for name in ("lee", "ann"):
        await world.person(name, Role.APPROVER, client=console)
    await world.person("vic", Role.VIEWER, client=console)


async def paid(world: World) -> str:
    return f"shopping-{(await world.ticket_order(await world.shopping_client(), paid=True)).order.uid}"


async def asked(world: World, run: Run, order: str) -> dict[str, Any]:
    answer = await said(world, run, "order", "cancel", order, *ASK, "--json")
    assert (answer.code, answer.err) == (0, "")
    told: dict[str, Any] = json.loads(answer.out)
    return told


async def test_an_override_is_asked_for_and_another_person_confirms_it(world: World, run: Run):
    await people(world)
    order = await paid(world)
    before = await contents(world)

    told = await asked(world, run, order)

    assert {name for name in changed(before, await contents(world)) if not name.startswith("policies")} == {"approvals"}
    assert (told["order_id"], told["override"]) == (order, [PAID])
    assert told["due"] == [{"amount_minor": 2500, "currency": "EUR"}]
    assert 3590 < (datetime.fromisoformat(told["until"]) - utc_now()).total_seconds() <= 3600
    approval = told["approval"]
    assert (await refused(world, run, "order", "confirm", approval, "--as", "kim"))[:2] == (409, "approval_same_person")
    assert (await refused(world, run, "order", "confirm", approval, "--as", "vic"))[:2] == (403, "forbidden")
    assert (await refused(world, run, "order", "withdraw", approval, "--as", "lee"))[:2] == (409, "approval_of_another")

    confirmed = await said(world, run, "order", "confirm", approval, "--as", "lee", "--json")

    assert (confirmed.code, confirmed.err) == (0, "")
    shown = json.loads(confirmed.out)
    reader = await world.manage_client()
    assert shown == (await manage(world, reader, "GET", order)).json()
    record = shown["cancellation"]
    assert (record["staff_id"], record["approved_by"], record["client_id"]) == ("kim", "lee", 0)
    again = await said(world, run, "order", "confirm", approval, "--as", "lee")
    sentence = f"Cancelled {order}; the record names kim, who asked, and lee, who confirmed\n"
    assert (again.code, again.out) == (0, sentence)
    timeline = (await said(world, run, "order", "show", order)).out
    assert f"cancelled, overriding {PAID}, approved by lee; by kim, the command line" in timeline
    assert (await refused(world, run, "order", "confirm", approval, "--as", "ann"))[:2] == (409, "approval_used")


async def test_people_read_what_they_asked_for_and_the_list(world: World, run: Run):
    await people(world)
    order = await paid(world)
    answer = await said(world, run, "order", "cancel", order, *ASK)
    first, second = answer.out.splitlines()
    assert first == f"Asked to cancel {order}, overriding {PAID}; 25.00 EUR would become due"
    approval = second.split()[-3]
    assert f"countermand order confirm {approval} --as NAME" in second
    listed = await said(world, run, "list", "approvals", "--state", "open")
    assert (listed.code, approval in listed.out, "25.00 EUR" in listed.out) == (0, True, True)
    withdrawn = await said(world, run, "order", "withdraw", approval, "--as", "kim")
    assert (withdrawn.code, withdrawn.out) == (0, f"Withdrew the approval {approval} of {order}\n")
    found = await said(world, run, "list", "approvals", "--state", "withdrawn", "--json")
    (one,) = json.loads(found.out)["approvals"]
    assert (one["id"], one["state"], one["ended_by"]) == (approval, "withdrawn", "kim")
    assert (await refused(world, run, "order", "confirm", approval, "--as", "lee"))[:2] == (409, "approval_used")
    assert (await refused(world, run, "order", "confirm", "0" * 32, "--as", "lee"))[:2] == (404, "not_found")
    assert (await refused(world, run, "order", "withdraw", "x", "--as", "kim"))[:2] == (404, "not_found")


async def test_what_changed_since_is_said_and_ends_the_approval(world: World, run: Run):
    await people(world)
    order = await paid(world)
    approval = (await asked(world, run, order))["approval"]
    (row,) = await world.rows("approvals")
    await world.pay(row["order_id"], "tx 2")
    before = await contents(world)
    answer = await said(world, run, "order", "confirm", approval, "--as", "lee", "--json")
    told = json.loads(answer.out)["error"]
    assert (answer.code, told["status"], told["code"]) == (2, 409, "approval_differs")
    assert [one["field"] for one in told["errors"]] == ["version", "amount"]
    assert {name for name in changed(before, await contents(world)) if not name.startswith("policies")} == {"approvals"}
    assert (await world.rows("approvals"))[0]["state"] == "outdated"


async def test_a_person_who_was_added_on_the_command_line_since_does_not_confirm(world: World, run: Run):
    await people(world)
    approval = (await asked(world, run, await paid(world)))["approval"]
    added = await said(world, run, "staff", "add", "new", "--name", "New", "--role", "approver")
    assert added.code == 0
    status, code, sentence = await refused(world, run, "order", "confirm", approval, "--as", "new")
    assert (status, code) == (409, "approval_not_independent")
    assert "nobody who is known" in sentence
    assert (await said(world, run, "order", "confirm", approval, "--as", "lee")).code == 0

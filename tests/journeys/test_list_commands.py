"""The lists of the desk on the command line are those of the API, on both databases."""

import asyncio
import csv
import json
from datetime import timedelta
from io import StringIO

import pytest

from countermand.contracts.manage import desk_lists
from support.approvals import asked, withdrawn
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, manage
from support.money import euros, pay_back
from support.serving import database_of
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

A_LONG_TIME_AGO = "2020-01-01T00:00:00Z"
PATHS = {
    name: name.replace("refusal-reasons", "refusals/reasons")
    for name in (
        *("cancellations", "refusals", "refusal-reasons"),
        *("late-payments", "refunds", "approvals", "part-payments", "appointment-tasks"),
    )
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def listed(world: World, run: Run, *arguments: str) -> Said:
    return await asyncio.to_thread(run, "list", *arguments, **database_of(world))


async def over_http(world: World, operator: Caller, path: str, accept: str = "application/json") -> str:
    headers = {**world.manage_headers(operator), "Accept": accept}
    answer = await world.http.get(f"/manage/v1/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


async def a_day(world: World) -> Caller:
    """One cancellation, and two of everything else."""
    me, shop, operator = await world.connect_client(), await world.shopping_client(), await world.manage_client()
    await world.cancel(me, await world.service_order(me), reason="=moved")
    for number in range(2):
        world.clock.forward(minutes=1)
        await world.cancel(me, await world.service_order(me, appointment_in=timedelta(hours=2)))
        ended, part = await world.ticket_order(shop), await world.ticket_order(shop, quantity=4)
        await manage(world, operator, "POST", f"{ended.order.uid}/moves", {"move": "expire"})
        money = {**PAYMENT, "reference": f"late {number}"}
        assert (await manage(world, operator, "POST", f"{ended.order.uid}/payments", money)).status_code == 409
        money = {"reference": f"part {number}", "amount": 20, "currency": "EUR"}
        assert (await manage(world, operator, "POST", f"{part.order.uid}/payments", money)).status_code == 201
        await pay_back(world, part.order.id, f"re {number}", euros(500))
        await withdrawn(
            world, await asked(world, part.order.id, "payment_recorded")
        )  # it would expire by the real clock
    return operator


async def test_each_list_is_what_the_api_answers_in_every_format(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
):
    operator = await a_day(world)
    monkeypatch.setattr(desk_lists, "_STREAMED_AT_ONCE", 1)  # so that all rows are more than one page
    before = await contents(world)
    for name, path in PATHS.items():
        # The command counts the last days by the real clock, and the service by the test's.
        since = ("--from", A_LONG_TIME_AGO) if name == "refusal-reasons" else ()
        query = f"?from={A_LONG_TIME_AGO}" if since else ""
        page = await listed(world, run, name, *since, "--json")
        assert (page.code, page.err) == (0, "")
        assert json.loads(page.out) == json.loads(await over_http(world, operator, path + query)), name
        assert (await listed(world, run, name, *since, "--format", "json")) == page
        assert (await listed(world, run, name)).code == 0
        if name == "refusal-reasons":
            continue
        rows = (await listed(world, run, name, "--format", "csv")).out
        assert list(csv.reader(StringIO(rows))) == list(
            csv.reader(StringIO(await over_http(world, operator, path, "text/csv")))
        )
        lines = (await listed(world, run, name, "--format", "jsonl")).out
        assert lines == await over_http(world, operator, path, "application/x-ndjson")
        how_many = {"cancellations": 1, "appointment-tasks": 0}.get(name, 2)
        assert (len(lines.splitlines()), len(rows.splitlines())) == (how_many, how_many + 1)
    assert not changed(before, await contents(world))


async def test_people_read_a_table_and_how_to_go_on(world: World, run: Run, monkeypatch: pytest.MonkeyPatch):
    await a_day(world)
    monkeypatch.setattr(desk_lists, "PAGE", 1)
    first = await listed(world, run, "late-payments")
    assert ("late 1" in first.out, "late 0" in first.out, "expired" in first.out) == (True, False, True)
    sentence, _, after = first.out.strip().splitlines()[-1].partition(" --after ")
    assert sentence == "There may be more: add"
    second = await listed(world, run, "late-payments", "--after", after.strip("'"))
    assert ("late 1" in second.out, "late 0" in second.out) == (False, True)
    (refund,) = [line for line in (await listed(world, run, "refunds")).out.splitlines() if "re 1" in line]
    assert ("5.00" in refund, "done" in refund, "sold out" in refund) == (True, True, True)
    assert "appointment_within_notice" in (await listed(world, run, "refusal-reasons", "--from", A_LONG_TIME_AGO)).out
    refusals = (await listed(world, run, "refusals")).out
    assert ("│ appointment_within_notice │" in refusals, "[" in refusals) == (True, False)


async def test_filters_select_rows_and_a_wrong_one_is_refused_by_its_option(world: World, run: Run):
    operator = await a_day(world)
    for options, query in {
        ("--contract", "shopping"): "contract=shopping",
        ("--code", "appointment_within_notice"): "code=appointment_within_notice",
        ("--until", "2020-01-01T00:00:00Z"): "until=2020-01-01T00:00:00Z",
        ("--from", "2020-01-01T00:00:00Z", "--client", "1"): "from=2020-01-01T00:00:00Z&client=1",
    }.items():
        answer = json.loads((await listed(world, run, "refusals", *options, "--json")).out)
        assert answer == json.loads(await over_http(world, operator, f"refusals?{query}")), options
    for state, number in (("done", 2), ("due", 0)):
        lines = (await listed(world, run, "refunds", "--state", state, "--format", "jsonl")).out.splitlines()
        assert len(lines) == number, state
    options = ("--client", str(operator.client.id), "--from", "2020-01-01T00:00:00Z", "--until", "2030-01-01T00:00:00Z")
    tasks = await listed(world, run, "appointment-tasks", *options, "--json")
    assert (tasks.code, json.loads(tasks.out)) == (0, {"tasks": [], "next": None})
    for arguments in (
        ("refunds", "--state", "open"),
        ("late-payments", "--state"),
        ("refusals", "--from", "soon"),
        ("appointment-tasks", "--until", "soon"),
        ("refusals", "--client", "x"),
        ("cancellations", "--code"),
        ("refusals", "--after", "x"),
        ("refusal-reasons", "--format", "csv"),
        ("refusals", "--json", "--format", "csv"),
    ):
        given = (*arguments, "payment_recorded") if arguments[-1] in {"--code", "--state"} else arguments
        refused = await listed(world, run, *given)
        if "--json" in given:
            assert (refused.code, json.loads(refused.out)["error"]["code"]) == (2, "invalid_field")
        else:
            assert_one_sentence(refused, *arguments[1:])
    wrong = await listed(world, run, "cancellations", "--code", "payment_recorded")
    assert_one_sentence(wrong, "there are --contract, --client, --from, --until, --after")
    wrong = await listed(world, run, "appointment-tasks", "--contract", "connect")
    assert_one_sentence(wrong, "there are --client, --from, --until, --after")

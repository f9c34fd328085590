"""Orders are found, shown and explained on the command line as over HTTP, on both databases."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
import typer

from countermand import cli
from countermand.bootstrap.clock import utc_now
from countermand.contracts.manage.find import CALLS
from countermand.domain.staff import Role
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.findable import asked, bought, telecom_of
from support.manage_calls import PAYMENT, manage
from support.serving import database_of
from support.shared_world import shared_world
from support.ticket_shop import a_shop
from support.world import World

world = shared_world


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def said(world: World, run: Run, *arguments: str) -> Said:
    """What `countermand order …` says on the world's database."""
    return await asyncio.to_thread(run, "order", *arguments, **database_of(world))


async def printed(world: World, run: Run, *arguments: str) -> Any:
    """The same as JSON."""
    answer = await said(world, run, *arguments, "--json")
    assert (answer.code, answer.err) == (0, "")
    return json.loads(answer.out)


async def test_the_commands_print_what_the_calls_answer_and_change_nothing(world: World, run: Run):
    shop, partner, operator = await a_shop(world), await world.connect_client(), await world.manage_client()
    telecom = await telecom_of(world, partner, contact_name="Élodie Citizen", contact_email="elodie@example.com")
    await world.appointment(telecom, timedelta(hours=20))
    await world.cancel(partner, telecom, reason="too early")
    tickets = await bought(shop, consumer={"first_name": "Elodie"}, paid=True)
    before = await contents(world)
    for q in ("elodie", "ELODIE@example.com", str(telecom), tickets["uid"], "nobody"):
        assert await printed(world, run, "find", q) == (await asked(world, operator, q)).json(), q
    for order_id in (f"connect-{telecom}", f"shopping-{tickets['uid']}", tickets["uid"]):
        assert await printed(world, run, "show", order_id) == (await manage(world, operator, "GET", order_id)).json()
    at = "2027-11-21T12:00:00Z"
    over_http = await manage(world, operator, "GET", f"connect-{telecom}/cancellability?at={at}")
    assert await printed(world, run, "why", f"connect-{telecom}", "--at", at) == over_http.json()
    assert not changed(before, await contents(world))


async def test_people_read_tables_and_sentences(world: World, run: Run):
    partner = await world.connect_client()
    for name in ("Ann Berg", "Ann Dahl"):
        order = await telecom_of(world, partner, contact_name=name)
    await world.pay(order, "psp-1")
    await world.cancel(partner, order, reason="moved away")
    found = await said(world, run, "find", "ann", "--limit", "1")
    assert (found.code, "connect-1" in found.out, "connect-2" in found.out) == (0, True, False)
    after = found.out.split()[-1]
    assert "There may be more: add --after " in found.out
    following = await said(world, run, "find", "ann", "--limit", "1", "--after", after)
    assert ("connect-1" in following.out, "connect-2" in following.out) == (False, True)
    shown = await said(world, run, "show", "connect-2")
    for sentence in (
        "connect-2: cancelled, number 2",
        "payment psp-1: 25.00 EUR",
        "reason: moved away",
        "order.placed",
    ):
        assert sentence in shown.out
    explained = await said(world, run, "why", "connect-2")
    assert explained.out.startswith(f"connect-2 may not be cancelled (at {utc_now():%Y-%m-%d}")
    assert "refused: the order is cancelled" in explained.out


async def test_people_read_a_timeline_with_findings_and_persons(world: World, run: Run):
    partner, operator = await world.connect_client(), await world.manage_client()
    await world.person("kim", Role.SUPPORT, client=operator)
    order = await telecom_of(world, partner)
    await world.appointment(order, timedelta(hours=20))
    await world.cancel(partner, order, reason="too early")
    world.clock.forward(minutes=1)
    await manage(world, operator, "POST", f"{order}/payments", PAYMENT)
    before = await contents(world)
    shown = (await said(world, run, "show", f"connect-{order}")).out
    timeline = shown[shown.index("timeline:\n") :].splitlines()[1:]
    kinds = [line.split()[2] for line in timeline if not line.startswith(" ")]
    assert kinds == ["placed", "appointment", "ask", "payment"]
    ask = next(number for number, line in enumerate(timeline) if " ask " in line)
    by = f"by client {partner.client.id} ({partner.client.name}), over connect"
    assert timeline[ask].endswith(f"refused by appointment_within_notice, reason: too early; {by}")
    findings = [line for line in timeline[ask + 1 :] if line.startswith("    ")]
    assert [line.split(":")[0].strip() for line in findings].count("refused") == 1
    assert len(findings) == 2
    assert "payment.recorded (reference " in timeline[-1]
    assert f"by client {operator.client.id} ({operator.client.name}), over manage" in timeline[-1]
    assert not changed(before, await contents(world))

    free = await telecom_of(world, partner)
    await said(world, run, "cancel", f"connect-{free}", "--reason", "rang", "--as", "kim")
    cancelled = (await said(world, run, "show", f"connect-{free}")).out.splitlines()
    (asked_for,) = [line for line in cancelled if " ask " in line]
    assert asked_for.endswith("cancelled, reason: rang; by kim, the command line, over manage")
    assert not [line for line in cancelled if "refused" in line]


def test_every_parameter_of_the_call_is_an_option_of_find():
    (call,) = CALLS
    find = typer.main.get_command(cli.command_line()).commands["order"].commands["find"]  # type: ignore[attr-defined]
    options = {one.name for one in find.params} - {"as_json", "settings", "help"}
    assert options == {one["name"] for one in call.operation.parameters}


async def test_each_filter_means_on_the_command_line_what_it_means_over_http(world: World, run: Run):
    shop, partner, operator = await a_shop(world), await world.connect_client(), await world.manage_client()
    telecom = await telecom_of(world, partner, contact_name="Ann Berg")
    await world.appointment(telecom, timedelta(hours=20))
    await world.cancel(partner, telecom)
    await bought(shop, paid=True)
    gone = await telecom_of(world, partner)
    await world.cancel(partner, gone)
    product = await shop.product()
    await shop.order({product: 1})
    soon, late = "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z"
    filters: list[tuple[list[str], dict[str, str]]] = [
        (["--contract", "connect"], {"contract": "connect"}),
        (["--client", str(partner.client.id)], {"client": str(partner.client.id)}),
        (["--state", "submitted", "--state", "completed"], {"state": "submitted,completed"}),
        (["--event", "0" * 32], {"event": "0" * 32}),
        (["--product", product], {"product": product}),
        (["--placed-from", soon, "--placed-until", late], {"placed_from": soon, "placed_until": late}),
        (["--placed-from", late], {"placed_from": late}),
        (["--appointment"], {"appointment": "true"}),
        (["--no-appointment"], {"appointment": "false"}),
        (
            ["--appointment-from", soon, "--appointment-until", late],
            {"appointment_from": soon, "appointment_until": late},
        ),
        (["--paid"], {"paid": "true"}),
        (["--no-paid"], {"paid": "false"}),
        (["--cancelled-by", str(partner.client.id)], {"cancelled_by": str(partner.client.id)}),
        (["--cancelled-by", "kim"], {"cancelled_by": "kim"}),
        (["--refused-code", "appointment_within_notice"], {"refused_code": "appointment_within_notice"}),
        (["ann", "--contract", "shopping"], {"q": "ann", "contract": "shopping"}),
    ]
    found = set()
    for options, parameters in filters:
        over_http = (await asked(world, operator, **parameters)).json()
        assert await printed(world, run, "find", *options) == over_http, options
        found.add(tuple(one["id"] for one in over_http["orders"]))
    assert len(found) > 5  # the filters differ


async def test_what_the_command_line_cancelled_is_found_as_that_of_client_0(world: World, run: Run):
    partner, operator = await world.connect_client(), await world.manage_client()
    await world.person("kim", Role.SUPPORT, client=operator)
    ours, theirs = [await telecom_of(world, partner) for _ in range(2)]
    await said(world, run, "cancel", f"connect-{ours}", "--reason", "rang", "--as", "kim")
    await world.cancel(partner, theirs)
    found = json.loads((await said(world, run, "find", "--cancelled-by", "0", "--json")).out)
    assert [one["id"] for one in found["orders"]] == [f"connect-{ours}"]
    for path, rows in (("orders?cancelled_by=0", "orders"), ("cancellations?client=0", "cancellations")):
        answer = await world.http.get(f"/manage/v1/{path}", headers=world.manage_headers(operator))
        assert [one.get("order_id", one.get("id")) for one in answer.json()[rows]] == [f"connect-{ours}"], path
    refused = await world.http.get("/manage/v1/orders?client=0", headers=world.manage_headers(operator))
    assert refused.status_code == 422, "the command line places no orders"


async def test_a_wrong_filter_is_refused_by_the_name_of_its_option(world: World, run: Run):
    for options in (
        ["--contract", "No"],
        ["--client", "0"],
        ["--state", "gone"],
        ["--event", "x"],
        ["--placed-from", "soon"],
        ["--appointment-until", "soon"],
        ["--cancelled-by", "Kim!"],
        ["--refused-code", "No"],
    ):
        assert_one_sentence(await said(world, run, "find", *options), *options)


async def test_a_failure_is_json_for_a_program(world: World, run: Run):
    partner, operator = await world.connect_client(), await world.manage_client()
    await world.person("kim", Role.SUPPORT, client=operator)
    await world.person("vera", Role.VIEWER, client=operator)
    order = await telecom_of(world, partner)
    await world.cancel(partner, order)

    async def refused(*arguments: str) -> Any:
        answer = await said(world, run, *arguments, "--json")
        assert (answer.code, answer.err) == (2, "")
        body = json.loads(answer.out)
        assert list(body) == ["error"]
        return body["error"]

    over_http = (await manage(world, operator, "POST", f"{order}/cancel", {"reason": "rang"})).json()
    reason = ("cancel", f"connect-{order}", "--reason", "rang", "--as")
    assert await refused(*reason, "kim") == over_http
    assert await refused("show", "connect-99") == (await manage(world, operator, "GET", "connect-99")).json()
    assert [(await refused(*reason, "vera"))[key] for key in ("status", "code")] == [403, "forbidden"]
    wrong = await refused("find", "--client", "x", "--state", "gone")
    assert {one["field"] for one in wrong["errors"]} == {"--client", "--state"}
    assert '"x"' in wrong["detail"]
    for arguments, name in {
        ("find", "--limit", "0"): "--limit",
        ("show",): "ORDER_ID",
        ("find", "--nothing"): "--nothing",
    }.items():
        error = await refused(*arguments)
        assert (error["status"], error["code"], name in error["detail"]) == (422, "invalid_field", True)
    closed = await asyncio.to_thread(run, "order", "show", "connect-1", "--json", database_path="nowhere.sqlite3")
    assert (closed.code, json.loads(closed.out)["error"]["status"]) == (2, 503)


async def test_what_cannot_be_done_is_one_sentence(world: World, run: Run):
    order = await world.service_order(await world.connect_client())
    assert_one_sentence(await said(world, run, "show", str(order)), "ORDER_ID", "connect-1", "contract")
    assert_one_sentence(await said(world, run, "show", "connect-99"), "connect-99")
    assert_one_sentence(await said(world, run, "why", "nothing"), "nothing")
    assert_one_sentence(await said(world, run, "why", f"connect-{order}", "--at", "soon"), "--at", "soon")
    assert_one_sentence(await said(world, run, "find", "a"), "Q must have", "'a'")
    assert_one_sentence(await said(world, run, "find", "ann", "--after", "x"), "--after", '"x"')

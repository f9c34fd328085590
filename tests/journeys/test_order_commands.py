"""Orders are found, shown and explained on the command line as over HTTP, on both databases."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer
from sqlalchemy import delete

from countermand import cli
from countermand.actions.errors import UnavailableError
from countermand.bootstrap.clock import utc_now
from countermand.cli.printing import one_line
from countermand.contracts.manage.find import CALLS
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from countermand.storage.tables.cancelling import policies, policies_in_force, refusals
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.findable import asked, bought, telecom_of
from support.manage_calls import PAYMENT, manage
from support.serving import a_server, database_of
from support.shared_world import shared_world
from support.ticket_shop import a_shop
from support.world import World, a_world

world = shared_world

NOT_UTF_8 = "J\udcff"  # how Python gives a byte 0xff of an argument


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A service of the test's own, on which other policies may come into force."""
    async with a_world(tmp_path, request.param) as world:
        yield world


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
    assert timeline[ask].endswith(f"refused by appointment_within_notice; {by}; reason: too early")
    findings = [line for line in timeline[ask + 1 :] if line.startswith("    ")]
    assert [line.split(":")[0].strip() for line in findings].count("refused") == 1
    assert len(findings) == 2
    assert "payment.recorded (amount 25.00 EUR, reference " in timeline[-1]
    assert f"by client {operator.client.id} ({operator.client.name}), over manage" in timeline[-1]
    assert not changed(before, await contents(world))

    free = await telecom_of(world, partner)
    await said(world, run, "cancel", f"connect-{free}", "--reason", "rang", "--as", "kim")
    cancelled = (await said(world, run, "show", f"connect-{free}")).out.splitlines()
    (asked_for,) = [line for line in cancelled if " ask " in line]
    assert asked_for.endswith("cancelled; by kim, the command line, over manage; reason: rang")
    assert not [line for line in cancelled if "refused" in line]


async def test_no_text_of_a_caller_looks_like_a_line_of_its_own(world: World, run: Run):
    partner, forged = await world.connect_client(), "2026-11-30 09:00:00Z  ask          cancelled; by author"
    order = await telecom_of(world, partner, contact_name=f"Jo\u2028{forged}")
    await world.pay(order, f"psp\r\n{forged}")
    await world.cancel(partner, order, reason=f"hi\n{forged}\x1b[2K\u202e\x85")
    shown = (await said(world, run, "show", f"connect-{order}")).out
    assert [line for line in shown.splitlines() if line.startswith(forged[:10])] == []
    assert f"reason: hi\\n{forged}\\x1b[2K\\u202e\\x85\n" in shown
    assert f"payment psp\\r\\n{forged}: " in shown
    listed = (await asyncio.to_thread(run, "list", "cancellations", **database_of(world))).out
    assert f"hi\\n{forged}\\x1b[2K\\u202e\\x85" in listed
    found = (await said(world, run, "find", "jo")).out
    assert [line for line in (listed + found).splitlines() if line.startswith(forged[:10])] == []
    await world.database.staff.add(
        StaffId("zoe"), name=f"Zoë\t:smile:\n{forged}", roles=frozenset({Role.VIEWER}), now=utc_now()
    )
    people = await asyncio.to_thread(run, "staff", "list", **database_of(world))
    assert f"Zoë\\t:smile:\\n{forged}" in people.out
    gone = await asyncio.to_thread(run, "staff", "disable", "zoe", **database_of(world))
    assert gone.out == f"Disabled zoe (Zoë\\t:smile:\\n{forged})\n"


def test_names_of_every_script_are_printed_as_they_are():
    for name in ("Élodie Łuk", "می‌خواهم", "क्‍ष", "李 小龍", "a\u00a0b", "👩‍🚒", 'back\\slash "x"'):
        assert one_line(name) == name
    for character in "\0\a\n\r\x7f\x9b\u061c\u200b\u2028\u2066\ufeff\ud800":
        assert one_line(f"a{character}b").isprintable()
        assert one_line(f"a{character}b") != f"a{character}b"


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
    assert_one_sentence(await said(world, run, "show", str(order)), "ORDER_ID", "connect-1; give the right id")
    assert_one_sentence(await said(world, run, "show", "connect-99"), "connect-99")
    assert_one_sentence(await said(world, run, "why", "nothing"), "nothing")
    assert_one_sentence(await said(world, run, "why", f"connect-{order}", "--at", "soon"), "--at", "soon")
    assert_one_sentence(await said(world, run, "find", "a"), "Q must have", "'a'")
    assert_one_sentence(await said(world, run, "find", "ann", "--after", "x"), "--after", '"x"')


async def test_a_refusal_is_overridden_by_a_person_who_may(world: World, run: Run):
    operator = await world.manage_client()
    await world.person("kim", Role.AUTHOR, client=operator)
    await world.person("sam", Role.SUPPORT, client=operator)
    placed = await world.ticket_order(await world.shopping_client(), paid=True)
    name, why = f"shopping-{placed.order.uid}", ("--reason", "called off", "--as", "kim")
    before = await contents(world)

    async def cancel(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "order", "cancel", name, *arguments, **database_of(world))

    assert_one_sentence(await cancel(*why, "--override", "order_not_cancellable"), "--override", "nobody can override")
    assert_one_sentence(await cancel(*why, "--override", ""), "--override must name codes", 'not ""')
    overridden = ("--override", "payment_recorded")
    assert_one_sentence(await cancel(*overridden, "--reason", "r", "--as", "sam"), "sam", "override", "support")
    assert changed(before, await contents(world)) <= {"policies"}
    wrong = await cancel(*why, *overridden, "--override", "x")
    assert_one_sentence(wrong, "refuse are payment_recorded", "override names payment_recorded, x")
    as_json = await cancel(*why, "--override", "x", "--json")
    assert json.loads(as_json.out)["error"]["code"] == "override_differs"
    assert changed(before, await contents(world)) <= {"policies", "refusals"}

    assert await cancel(*why, *overridden) == Said(0, f"Cancelled {name}; the record names kim\n", "")

    (due,) = await world.rows("payment_corrections", placed.order.id)
    assert (due["state"], due["amount_minor"], due["staff_id"]) == ("due", 2500, "kim")
    shown = (await said(world, run, "show", name)).out
    assert "cancelled, overriding payment_recorded; by kim, the command line, over manage; reason: called off" in shown
    assert "refund.due (amounts 25.00 EUR, reason called off)" in shown
    assert "refused: a payment was recorded on" in shown


NARROW = """
[[policies.connect]]
name = "state_allows"
only = ["held"]
"""


async def test_nothing_is_decided_by_another_policy_than_that_of_the_servers(made: World, run: Run):
    partner = await made.connect_client()
    await made.person("kim", Role.SUPPORT)
    first, second = [await telecom_of(made, partner) for _ in range(2)]
    narrow, wide = made.folder / "narrow.toml", made.folder / "wide.toml"
    narrow.write_text(NARROW)
    wide.write_text("")
    by_kim = ("--reason", "rang", "--as", "kim")
    with a_server(made, "--settings", str(narrow)):
        versions = {row["version"] for row in await made.rows("policies") if row["contract"] == "connect"}
        before = await contents(made)
        for ask, end in ((("cancel", *by_kim), "nothing was cancelled"), (("why",), "nothing was decided")):
            other = await said(made, run, ask[0], f"connect-{first}", *ask[1:])
            assert_one_sentence(other, *versions, "--settings", end)
            as_json = await said(made, run, ask[0], f"connect-{first}", *ask[1:], "--json")
            error = json.loads(as_json.out)["error"]
            assert (as_json.code, error["status"], error["code"]) == (2, 409, "policy_differs")
        assert changed(before, await contents(made)) <= {"task_progress"}  # which the server writes
        theirs = ("--settings", str(narrow))
        why = await said(made, run, "why", f"connect-{first}", *theirs)
        assert "may not be cancelled" in why.out
        refused = await said(made, run, "cancel", f"connect-{first}", *by_kim, *theirs)
        assert_one_sentence(refused, f"connect-{first} was not cancelled", "submitted")
    # The servers come back with the older policy, of which only their start tells.
    with a_server(made, "--settings", str(wide)):
        assert "may be cancelled" in (await said(made, run, "why", f"connect-{first}")).out
        cancelled = await said(made, run, "cancel", f"connect-{second}", *by_kim)
        assert (cancelled.code, cancelled.err) == (0, "")
        assert_one_sentence(await said(made, run, "cancel", f"connect-{first}", *by_kim, *theirs), *versions)


async def test_where_no_server_noted_its_policy_the_last_use_counts_and_a_fresh_database_takes_any(
    made: World, run: Run
):
    partner = await made.connect_client()
    await made.person("kim", Role.SUPPORT)
    order, early = [await telecom_of(made, partner) for _ in range(2)]
    await made.appointment(early, timedelta(hours=20))
    await made.cancel(partner, early)
    narrow = made.folder / "narrow.toml"
    narrow.write_text(NARROW)
    ask = ("cancel", f"connect-{order}", "--reason", "rang", "--as", "kim", "--settings", str(narrow))
    async with made.database.store.transaction() as tx:
        await tx.run(delete(policies_in_force))
    assert_one_sentence(await said(made, run, *ask), "since 2026-11-2", "nothing was cancelled")
    assert "may be cancelled" in (await said(made, run, "why", f"connect-{order}")).out
    async with made.database.store.transaction() as tx:
        await tx.run(delete(policies))
        await tx.run(delete(refusals))
    assert_one_sentence(await said(made, run, *ask), f"connect-{order} was not cancelled")


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "cancel", "connect-1", "--as", "kim", "--reason", NOT_UTF_8),
        ("order", "find", NOT_UTF_8),
        ("order", "find", "--cancelled-by", NOT_UTF_8),
        ("order", "show", NOT_UTF_8),
        ("list", "refusals", "--code", NOT_UTF_8),
        ("privacy", "export", "--as", "kim", "--email", f"{NOT_UTF_8}@example.com"),
        ("staff", "add", "uu", "--role", "viewer", "--name", NOT_UTF_8),
        ("client", "add", "--contract", "shopping", "--name", NOT_UTF_8),
        ("keys", "withdraw", NOT_UTF_8),
        (NOT_UTF_8,),
    ],
    ids=" ".join,
)
async def test_an_argument_that_is_not_utf_8_is_refused_by_its_place(
    world: World, run: Run, arguments: tuple[str, ...]
):
    await world.person("kim", Role.ADMIN)
    before = await contents(world)
    place = f"argument {len(arguments)} (after {arguments[-2]})" if len(arguments) > 1 else "argument 1"
    said = await asyncio.to_thread(run, *arguments, **database_of(world))
    assert_one_sentence(said, f"{place} is not valid UTF-8: ", "\\xff")
    said = await asyncio.to_thread(run, *arguments, "--json", **database_of(world))
    error = json.loads(said.out)["error"]
    assert (said.code, said.err, error["code"], place in error["detail"]) == (2, "", "invalid_field", True)
    assert not changed(before, await contents(world))


async def test_no_log_line_of_a_command_goes_where_its_answer_goes(world: World, run: Run):
    await world.person("kim", Role.SUPPORT)
    order = await telecom_of(world, await world.connect_client())
    database, where = database_of(world), [f"connect-{order}", "--as", "kim", "--reason", "rang", "--json"]
    if "database_path" in database:
        database["database_busy_limit_s"] = "0.2"
    async with world.database.store.transaction() as held:
        await held.lock_order(order)
        said = await asyncio.to_thread(run, "order", "cancel", *where, **database, database_statement_limit_s="0.5")
    assert (said.code, said.err) == (2, ""), "a warning says no more than the error"
    assert json.loads(said.out)["error"]["status"] == 503


async def test_a_text_may_be_as_long_as_over_http_and_no_longer(world: World, run: Run):
    await world.person("kim", Role.ADMIN)
    partner = await world.connect_client()
    order, client = await telecom_of(world, partner), str(partner.client.id)
    bounds = (
        (("order", "cancel", f"connect-{order}", "--as", "kim"), "--reason", 2000),
        (("staff", "add", "lee", "--role", "viewer"), "--name", 200),
        (("staff", "change", "lee"), "--name", 200),
        (("client", "add", "--contract", "shopping"), "--name", 200),
        (("client", "change", client), "--name", 200),
    )
    before = await contents(world)
    for command, option, longest in bounds:
        for wrong in ("é" * (longest + 1), " \u2003", ""):
            said = await asyncio.to_thread(run, *command, option, wrong, **database_of(world))
            assert_one_sentence(said, f"{option} must")
    assert not changed(before, await contents(world))
    for command, option, longest in bounds:
        said = await asyncio.to_thread(run, *command, option, "é" * longest, **database_of(world))
        assert (said.code, said.err) == (0, ""), command
    (cancelled,) = await world.rows("cancellations")
    assert (cancelled["order_id"], cancelled["reason"]) == (order, "é" * 2000)


async def test_an_override_that_could_not_be_read_back_is_not_said_to_be_undone(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
):
    async def unreadable(*_: object) -> None:
        raise UnavailableError("the database is too slow; nothing was done; send the request again")

    await world.person("kim", Role.AUTHOR, client=await world.manage_client())
    monkeypatch.setattr(import_module("countermand.cli.order"), "order_with_history", unreadable)
    for more in ((), ("--json",)):
        placed = await world.ticket_order(await world.shopping_client(), paid=True)
        name = f"shopping-{placed.order.uid}"
        arguments = ("cancel", name, "--reason", "r", "--as", "kim", "--override", "payment_recorded", *more)
        cancelled = await said(world, run, *arguments)
        assert [row["order_id"] for row in await world.rows("cancellations", placed.order.id)] == [placed.order.id]
        if more:
            detail = json.loads(cancelled.out)["error"]["detail"]
            assert (cancelled.code, detail) == (2, f"{name} is cancelled, but could not be read")
        else:
            assert cancelled == Said(0, f"Cancelled {name}; the record names kim\n", "")


async def test_a_cancellation_is_undone_by_a_person_and_only_once(world: World, run: Run):
    operator = await world.manage_client()
    await world.person("kim", Role.SUPPORT, client=operator)
    await world.person("vera", Role.VIEWER, client=operator)
    placed = await world.ticket_order(await world.shopping_client())
    name, why = f"shopping-{placed.order.uid}", ("--reason", "the other buyer", "--as")
    assert_one_sentence(await said(world, run, "restore", name, *why, "kim"), "pending", "no cancellation was undone")
    assert (await said(world, run, "cancel", name, "--reason", "mistaken", "--as", "kim")).code == 0
    before = await contents(world)
    assert_one_sentence(await said(world, run, "restore", name, *why, "vera"), "--as", "vera", "cancel")
    assert_one_sentence(await said(world, run, "restore", name, "--reason", " ", "--as", "kim"), "--reason")
    assert not changed(before, await contents(world))

    restored = await said(world, run, "restore", name, *why, "kim")

    assert restored == Said(0, f"{name} is pending; the record names kim\n", "")
    (undone,) = await world.rows("undone_cancellations", placed.order.id)
    assert (undone["undone_staff_id"], undone["undone_reason"]) == ("kim", "the other buyer")
    assert all(ticket["valid"] for ticket in await world.rows("tickets", placed.order.id))
    again = await said(world, run, "restore", name, *why, "kim", "--json")
    assert (again.code, json.loads(again.out)["error"]["code"]) == (2, "order_not_cancelled")
    shown = (await said(world, run, "show", name)).out
    assert "restored" in shown

"""The command line of the desk: people and their tokens, and an order that a person cancels."""

import asyncio
import json
from datetime import timedelta

import pytest

from countermand.domain.orders.order import OrderId
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from support.command_line import Run, Said, assert_one_sentence, runner
from support.manage_calls import manage
from support.serving import database_of
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def test_a_person_is_added_gets_a_token_calls_with_it_and_is_disabled(run: Run, world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())

    async def staff(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "staff", *arguments, **database_of(world))

    added = await staff("add", "kim", "--name", "Kim Lee", "--role", "support", "--role", "viewer")
    assert added == Said(0, "Added kim (Kim Lee), who may cancel, read, record\n", "")
    assert_one_sentence(await staff("add", "kim", "--name", "Kim Lee", "--role", "viewer"), "kim")

    made = await staff("token", "kim")
    lines = dict(line.split(": ", 1) for line in made.out.splitlines() if ": " in line)
    another = json.loads((await staff("token", "kim", "--client", str(operator.client.id), "--json")).out)
    callers = []
    for token in (lines["token"], another["token"]):
        key, _, secret = token.partition(".")
        callers.append(Caller(operator.client, key, secret))
    assert [await status(world, one, order_id) for one in callers] == [200, 200]

    listed = await staff("list")
    assert all(text in listed.out for text in ("Kim Lee", "support viewer", lines["key"], another["key"]))
    assert not [one.secret for one in callers if one.secret in listed.out]
    as_json = json.loads((await staff("list", "--json")).out)
    answer = await world.http.get("/manage/v1/staff", headers=world.manage_headers(operator))
    assert as_json == answer.json()

    assert (await staff("token", "kim", "--revoke", lines["key"])).code == 0
    assert [await status(world, one, order_id) for one in callers] == [401, 200]
    assert await staff("disable", "kim") == Said(0, "Disabled kim (Kim Lee)\n", "")
    assert [await status(world, one, order_id) for one in callers] == [401, 401]
    assert_one_sentence(await staff("token", "kim"), "kim is disabled")

    assert await staff("enable", "kim") == Said(0, "Enabled kim (Kim Lee), who may cancel, read, record\n", "")
    key, _, secret = json.loads((await staff("token", "kim", "--json")).out)["token"].partition(".")
    kim = Caller(operator.client, key, secret)
    assert [await status(world, one, order_id) for one in (*callers, kim)] == [401, 401, 200]
    changed = await staff("change", "kim", "--role", "finance", "--name", "Kim Yu")
    assert changed == Said(0, "Changed kim (Kim Yu), who may money, read, record\n", "")
    assert json.loads((await staff("change", "kim", "--role", "viewer", "--json")).out)["permissions"] == ["read"]
    assert (await manage(world, kim, "POST", f"{order_id}/cancel", {"reason": "x"})).status_code == 403


async def test_what_cannot_be_done_is_said_in_a_sentence(run: Run, world: World):
    first, second = await world.manage_client(), await world.manage_client()
    kim = ("kim", "--name", "Kim", "--role", "viewer")
    refused: dict[tuple[str, ...], tuple[str, ...]] = {
        ("add", "Kim", *kim[1:]): ("'Kim'",),
        ("add", "kim", "--name", " ", "--role", "viewer"): ("--name",),
        ("disable", "kim"): ("no person kim",),
        ("enable", "kim"): ("no person kim",),
        ("change", "kim"): ("--name", "--role"),
        ("change", "kim", "--name", " "): ("--name",),
        ("change", "kim", "--role", "viewer"): ("no person kim",),
        ("token", "kim"): ("--client", str(first.client.id), str(second.client.id)),
        ("token", "kim", "--client", "999"): ("--client", "999"),
        ("token", "kim", "--client", str(first.client.id)): ("no person kim",),
        ("token", "kim", "--client", "1", "--revoke", "k"): ("--client 1", "--revoke k"),
        ("token", "kim", "--revoke", "k"): ("no token k of kim",),
    }
    for arguments, said in refused.items():
        assert_one_sentence(await asyncio.to_thread(run, "staff", *arguments, **database_of(world)), *said)
    assert await world.rows("staff") == []


async def test_a_person_cancels_an_order_and_the_record_names_the_person(run: Run, world: World):
    operator, partner = await world.manage_client(), await world.connect_client()
    await world.person("kim", Role.SUPPORT, client=operator)
    await world.person("vera", Role.VIEWER, client=operator)
    await world.person("gone", Role.ADMIN, client=operator)
    await world.database.staff.disable(StaffId("gone"), world.clock())
    free, soon = (
        await world.service_order(partner),
        await world.service_order(partner, appointment_in=timedelta(days=99)),
    )

    async def cancel(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "order", "cancel", *arguments, **database_of(world))

    reason = ("--reason", "The customer rang")
    for arguments, said in {
        (f"connect-{free}", *reason, "--as", "vera"): ("--as", "vera", "cancel", "viewer"),
        (f"connect-{free}", *reason, "--as", "gone"): ("--as", "gone", "disabled"),
        (f"connect-{free}", *reason, "--as", "nobody"): ("--as", "nobody"),
        (f"connect-{free}", *reason, "--as", "Kim"): ("--as", "'Kim'"),
        (f"connect-{free}", "--reason", " ", "--as", "kim"): ("--reason",),
        (str(free), *reason, "--as", "kim"): (f"connect-{free}",),
        ("connect-999", *reason, "--as", "kim"): ("connect-999",),
    }.items():
        assert_one_sentence(await cancel(*arguments), *said)
    assert (await cancel(f"connect-{free}", *reason)).code == 2
    assert await world.rows("cancellations") == await world.rows("refusals") == []

    done = await cancel(f"connect-{free}", *reason, "--as", "kim")
    assert done == Said(0, f"Cancelled connect-{free}; the record names kim\n", "")
    shown = (await manage(world, operator, "GET", str(free))).json()
    record = shown["cancellation"]
    assert (record["staff_id"], record["client_id"], record["door"]) == ("kim", 0, "manage")
    assert (record["reason"], record["address"]) == ("The customer rang", None)
    event = next(one for one in shown["facts"] if one["kind"] == "order.cancelled")
    assert (event["staff_id"], event["client_id"], event["channel"]) == ("kim", 0, "manage")

    assert_one_sentence(await cancel(f"connect-{free}", *reason, "--as", "kim"), f"connect-{free} was not cancelled")
    (refusal,) = await world.rows("refusals", free)
    assert (refusal["staff_id"], refusal["client_id"]) == ("kim", 0)
    as_json = await cancel(f"connect-{soon}", *reason, "--as", "kim", "--json")
    assert json.loads(as_json.out) == (await manage(world, operator, "GET", str(soon))).json()


async def status(world: World, caller: Caller, order_id: OrderId) -> int:
    return (await manage(world, caller, "GET", str(order_id))).status_code

"""Orders are found, shown and explained on the command line as over HTTP, on both databases."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from countermand.bootstrap.clock import utc_now
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.findable import asked, bought, telecom_of
from support.manage_calls import manage
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
    for sentence in ("connect-2: cancelled, number 2", "payment psp-1: 25.00 EUR", ": moved away", "order.placed"):
        assert sentence in shown.out
    explained = await said(world, run, "why", "connect-2")
    assert explained.out.startswith(f"connect-2 may not be cancelled (at {utc_now():%Y-%m-%d}")
    assert "refused: the order is cancelled" in explained.out


async def test_what_cannot_be_done_is_one_sentence(world: World, run: Run):
    order = await world.service_order(await world.connect_client())
    assert_one_sentence(await said(world, run, "show", str(order)), "ORDER_ID", "connect-1", "contract")
    assert_one_sentence(await said(world, run, "show", "connect-99"), "connect-99")
    assert_one_sentence(await said(world, run, "why", "nothing"), "nothing")
    assert_one_sentence(await said(world, run, "why", f"connect-{order}", "--at", "soon"), "--at", "soon")
    assert_one_sentence(await said(world, run, "find", "a"), "Q must have", "'a'")
    assert_one_sentence(await said(world, run, "find", "ann", "--after", "x"), "--after", "'x'")

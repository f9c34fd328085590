"""The feed on the command line is that of the API, on both databases, and a new generation begins there."""

import asyncio
import json

import pytest

from countermand.contracts.manage import events
from support.command_line import Run, Said, assert_one_sentence, runner
from support.serving import database_of
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def said(world: World, run: Run, *arguments: str) -> Said:
    return await asyncio.to_thread(run, "events", *arguments, **database_of(world))


async def over_http(world: World, operator: Caller, query: str = "") -> list[object]:
    answer = await world.http.get(f"/manage/v1/events{query}", headers=world.manage_headers(operator))
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


async def test_the_command_prints_all_events_as_the_api_answers(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events, "LARGEST_PAGE", 2)
    operator, partner = await world.manage_client(), await world.connect_client()
    for _ in range(3):
        await world.cancel(partner, await world.service_order(partner))
    printed = await said(world, run, "list")
    shown = [json.loads(line) for line in printed.out.splitlines()]
    assert shown == await over_http(world, operator)
    assert len(shown) == 6
    after = shown[3]["position"]
    rest = [json.loads(line) for line in (await said(world, run, "list", "--after", after)).out.splitlines()]
    assert rest == shown[4:] == await over_http(world, operator, f"?after={after}")
    end = await said(world, run, "list", "--after", shown[-1]["position"])
    assert (end.code, end.out) == (0, "")


async def test_after_a_new_generation_an_old_position_is_refused_with_the_next_one(world: World, run: Run):
    partner = await world.connect_client()
    await world.service_order(partner)
    before = json.loads((await said(world, run, "list")).out)
    began = await said(world, run, "new-generation")
    assert (began.code, "A new generation of the feed begins after" in began.out) == (0, True)
    refused = await said(world, run, "list", "--after", before["position"])
    assert_one_sentence(refused, "from before the database was restored")
    go_on = refused.err.strip().rsplit(" ", 1)[-1]
    assert go_on in began.out
    await world.service_order(partner)
    await world.service.feed.number()  # by the clock of the world, which is not that of the command
    (new,) = (await said(world, run, "list", "--after", go_on)).out.splitlines()
    assert json.loads(new)["position"] != before["position"]


async def test_a_text_that_is_no_position_is_refused(world: World, run: Run):
    assert_one_sentence(await said(world, run, "list", "--after", "yesterday"), "after must be a position")
    assert await world.rows("event_feed_generations") == [{"generation": 1, "began_after": 0}]

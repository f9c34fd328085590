"""The command line for endpoints: what it prints, where the secret stands, and what it refuses."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.delivering.sending import AttemptError
from countermand.actions.ports import SharedClock
from countermand.bootstrap import endpoints
from countermand.bootstrap.clock import shared_by_all
from countermand.bootstrap.database import Database
from countermand.bootstrap.endpoints import Delivering
from countermand.bootstrap.webhooks import webhooks_of
from countermand.contracts.http.contract import Deployment
from countermand.delivery.relay import DeliveryMetrics
from countermand.delivery.secret_box import new_key
from countermand.domain.client import Permission
from countermand.settings import Settings
from countermand.storage.tables.delivering import endpoints as endpoint_rows
from support.command_line import Run, Said, assert_one_sentence, runner
from support.deliveries import send_due
from support.outside_world import failure
from support.serving import database_of
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

URL = "https://receiver.example/events"
NOBODYS = f"ep_{'0' * 16}"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], world: World) -> Run:
    """Runs commands with the receivers and the clock of the world, and with the secrets' key of their settings."""
    join = endpoints.delivering_in

    def joined(
        settings: Settings,
        database: Database,
        deployment: Deployment,
        _: SharedClock,
        metrics: DeliveryMetrics,
        gives_way: Callable[[], bool],
    ) -> Delivering:
        real = endpoints.outside_of(webhooks_of(settings, deployment.public_url))
        outside = replace(real, check_url=world.outside.rules.check, send=world.outside.send)
        return join(settings, database, deployment, shared_by_all(world.clock), metrics, gives_way, outside)

    monkeypatch.setattr(endpoints, "delivering_in", joined)
    return runner(monkeypatch, capsys)


async def command(run: Run, world: World, *arguments: str, **settings: str) -> Said:
    given = database_of(world) | {"webhook_secret_key": world.outside.key} | settings
    return await asyncio.to_thread(run, "endpoint", *arguments, **given)


async def an_endpoint(run: Run, world: World, *options: str) -> str:
    added = await command(run, world, "add", URL, *options, "--json")
    assert added.code == 0, added
    return str(json.loads(added.out)["id"])


async def test_an_endpoint_is_added_with_its_secret_on_standard_output_alone(run: Run, world: World):
    added = await command(run, world, "add", URL, "--kind", "order.cancelled", "--kind", "order.placed", "--asymmetric")
    assert added.code == 0
    sentence, secret, key = added.out.splitlines()
    (stored,) = await world.rows("endpoints")
    endpoint = stored["id"]
    assert sentence == f"Added {endpoint}, which hears of order.cancelled order.placed"
    assert secret.startswith("secret: whsec_")
    assert key.startswith("public key: whpk_")
    assert "not shown again" in added.err
    assert "whsec_" not in added.err
    assert world.outside.box.decrypt(stored["secret"]).decode() == secret.removeprefix("secret: ")
    as_json = await command(run, world, "add", URL, "--dialect", "connect", "--json")
    made = json.loads(as_json.out)
    assert (made["dialect"], made["contract"], made["public_key"]) == ("connect", "connect", None)
    assert made["secret"].startswith("whsec_")
    for words in (("list",), ("list", "--json"), ("show", endpoint), ("show", endpoint, "--json")):
        said = await command(run, world, *words)
        assert said.code == 0
        assert endpoint in said.out
        assert "whsec_" not in said.out + said.err


async def test_the_list_says_whose_owner_may_not_subscribe_any_more(run: Run, world: World):
    me = await world.connect_client(permissions=frozenset(Permission) - {Permission.SUBSCRIBE})
    endpoint = await an_endpoint(run, world)
    async with world.database.store.transaction() as tx:
        await tx.run(update(endpoint_rows).values(owner_id=me.client.id))
    for words in (("list",), ("show", endpoint)):
        assert "active, its owner may not subscribe" in (await command(run, world, *words)).out


async def test_what_is_printed_as_json_is_what_the_api_answers(run: Run, world: World):
    operator = world.manage_headers(await world.manage_client())
    endpoint = await an_endpoint(run, world)
    other = await an_endpoint(run, world)
    order_id = await world.service_order(await world.connect_client())
    for one in (other, endpoint):
        await send_due(world, one)
    await command(run, world, "test", endpoint)
    for words, path in (
        (("list",), ""),
        (("show", endpoint), f"/{endpoint}"),
        (("attempts", endpoint, "--kind", "order.placed"), f"/{endpoint}/attempts?kind=order.placed"),
    ):
        said = await command(run, world, *words, "--json")
        answer = await world.http.get(f"/manage/v1/endpoints{path}", headers=operator)
        assert json.loads(said.out) == answer.json(), words
    (attempt,) = answer.json()["attempts"]
    assert (attempt["order"], attempt["endpoint"]) == (f"connect-{order_id}", endpoint)


async def test_an_endpoint_is_paused_resumed_rotated_and_removed(run: Run, world: World):
    endpoint = await an_endpoint(run, world)
    paused = await command(run, world, "pause", endpoint)
    assert paused == Said(0, f"Paused {endpoint}; its events are kept until it is resumed\n", "")
    assert "paused" in (await command(run, world, "list")).out
    resumed = await command(run, world, "resume", endpoint)
    assert resumed == Said(0, f"Resumed {endpoint}; running servers send what it did not get\n", "")
    rotated = await command(run, world, "rotate", endpoint, "--overlap-h", "1")
    assert "the old secret signs, too, until 2026-11-21 13:00:00Z" in rotated.out
    assert_one_sentence(await command(run, world, "rotate", endpoint), "nothing was changed")
    revoked = await command(run, world, "rotate", endpoint, "--revoke-old-now")
    assert "no older secret signs any more" in revoked.out
    secrets = {said.out.split("whsec_")[1] for said in (rotated, revoked)}
    assert len(secrets) == 2
    assert await command(run, world, "remove", endpoint) == Said(0, f"Removed {endpoint}\n", "")
    for verb in ("show", "pause", "resume", "rotate", "remove", "test", "attempts"):
        assert_one_sentence(await command(run, world, verb, endpoint), "there is no endpoint")
    assert_one_sentence(await command(run, world, "redeliver", endpoint, "--event", "evt_1"), "there is no endpoint")


async def test_a_test_says_how_it_ended_and_fails_if_the_attempt_failed(run: Run, world: World):
    endpoint = await an_endpoint(run, world)
    good = await command(run, world, "test", endpoint)
    assert good.code == 0
    assert good.out.endswith(f"to {endpoint} in 12 ms: status 204\n")
    answered = failure(AttemptError.STATUS, 500, b"oh \x1b[31mno\xff")
    world.outside.answers[:] = [answered, failure(AttemptError.TIMEOUT)]
    bad = await command(run, world, "test", endpoint)
    assert (bad.code, bad.err) == (1, "")
    assert bad.out.endswith("status 500; it failed: status; oh \\x1b[31mno\\xff\n")
    slow = await command(run, world, "test", endpoint, "--json")
    assert (slow.code, json.loads(slow.out)["error"]) == (1, "timeout")


async def test_attempts_are_listed_and_events_sent_again(run: Run, world: World):
    endpoint = await an_endpoint(run, world)
    world.outside.answers[:] = [failure(AttemptError.STATUS, 503)]
    partner = await world.connect_client()
    orders = []
    for _ in range(3):
        orders.append(f"connect-{await world.service_order(partner)}")
        await send_due(world, endpoint)
    listed = await command(run, world, "attempts", endpoint, "--limit", "2")
    assert all(order in listed.out for order in orders[1:])
    assert orders[0] not in listed.out
    assert "--before 2" in listed.err
    rest = await command(run, world, "attempts", endpoint, "--before", "2")
    assert (rest.err, "503" in rest.out, orders[0] in rest.out) == ("", True, True)
    world.clock.forward(seconds=1)
    later = (NOON + timedelta(milliseconds=1)).isoformat()
    none = await command(run, world, "redeliver", endpoint, "--failed-since", later)
    assert none == Said(0, f"No event is sent to {endpoint} again\n", "")
    assert await send_due(world, endpoint) == []
    again = await command(run, world, "redeliver", endpoint, "--failed-since", NOON.isoformat())
    assert again == Said(0, f"Running servers send 1 event to {endpoint} again\n", "")
    assert [one.event_id.split("_")[1] for one in await send_due(world, endpoint)] == orders[:1]
    everything = await command(run, world, "redeliver", endpoint, "--after", "1-0", "--json")
    assert json.loads(everything.out) == {"events": 3}
    one = await command(run, world, "redeliver", endpoint, "--event", world.outside.sent[0].event_id)
    assert one.out == f"Running servers send 1 event to {endpoint} again\n"
    world.clock.forward(seconds=1)
    assert sorted(one.event_id.split("_")[1] for one in await send_due(world, endpoint)) == sorted(orders)
    for words in (("--event", "evt_1"), ("--after", "2-1"), ("--after", "yesterday")):
        assert_one_sentence(await command(run, world, "redeliver", endpoint, *words), "nothing was sent")
    assert await send_due(world, endpoint) == []


async def test_without_a_key_no_endpoint_is_added_and_the_sentence_says_how_to_make_one(run: Run, world: World):
    without = await asyncio.to_thread(run, "endpoint", "add", URL, **database_of(world))
    assert_one_sentence(without, "countermand webhook key", "COUNTERMAND_WEBHOOK_SECRET_KEY")
    assert await world.rows("endpoints") == []


async def test_a_node_that_cannot_read_the_signing_key_rotates_nothing(run: Run, world: World):
    endpoint, symmetric = await an_endpoint(run, world, "--asymmetric"), await an_endpoint(run, world)
    before = await world.rows("endpoints")
    refused = await command(run, world, "rotate", endpoint, webhook_secret_key=new_key())
    assert_one_sentence(refused, "no key of this node decrypts the signing key", "nothing was changed")
    assert await world.rows("endpoints") == before
    rotated = await command(run, world, "rotate", symmetric, webhook_secret_key=new_key())
    assert (rotated.code, rotated.out.count("whsec_")) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("add", "http://receiver.example"), "URL must begin with https"),
        (("add", URL, "--dialect", "morse"), "--dialect must be one of cloudevents, connect, standard"),
        (("add", URL, "--kind", "order.eaten"), "--kind must be some of"),
        (("add", URL, "--contract", "museum"), "--contract must be one of"),
        (("add", URL, "--client", "999"), "there is no client 999"),
        (("add", URL, "--dialect", "connect", "--thin"), "--thin must be false"),
        (("add", URL, "--structured"), "--structured must be false"),
        (("show", "ep_1"), "there is no endpoint"),
        (("rotate", NOBODYS, "--overlap-h", "1", "--revoke-old-now"), "--overlap-h must be 0"),
        (("attempts", NOBODYS, "--outcome", "late"), "--outcome must be one of"),
        (("attempts", NOBODYS, "--limit", "0"), "--limit must be"),
        (("redeliver", NOBODYS), "--event is missing"),
        (("redeliver", NOBODYS, "--failed-since", "yesterday"), "--failed-since"),
        (("redeliver", NOBODYS, "--event", "evt_1", "--after", "1-5"), "--after must stand alone"),
    ],
)
async def test_a_wrong_option_is_named_and_nothing_is_done(
    run: Run, world: World, arguments: tuple[str, ...], names: str
):
    assert_one_sentence(await command(run, world, *arguments), names)
    assert await world.rows("endpoints") == []
    assert world.outside.sent == []

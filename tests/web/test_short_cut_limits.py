"""Whom the short cut knows, and what it does when a client or the server ends, waits or fails."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from countermand.actions.identity.secrets import hash_of
from countermand.contracts.connect.cancel import ConnectCancel
from countermand.web import short_cut
from countermand.web.http_connections import Waiting
from countermand.web.http_protocol import HttpProtocol
from countermand.web.reporting import RequestReport
from support.short_cut_beside import Both, as_if_read_long_ago, both_ways, post, said, without_ids
from support.world import Caller, a_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    async with both_ways(tmp_path_factory.mktemp("short")) as made:
        yield made


async def test_a_client_that_is_not_known_is_looked_up_by_the_servers_own_code_and_taken_from_then_on(both: Both):
    sent = post(both, shopping=True, authorization=both.stranger.basic.encode())
    both.taken.clear()
    (first, _), (second, _) = await both.short.talk([sent]), await both.short.talk([sent])
    assert first == second
    assert first.startswith(b"HTTP/1.1 ")
    assert len(both.taken) == 1


async def test_a_client_that_was_revoked_before_its_body_came_is_not_let_in(both: Both):
    me = await both.world.shopping_client()
    sent = post(both, shopping=True, authorization=me.basic.encode())
    await both.short.talk([sent])
    both.taken.clear()
    protocol, wire = both.short.connected()
    protocol.data_received(sent[:-5])
    await both.world.database.clients.revoke(me.client.id, both.world.clock())
    as_if_read_long_ago(both)
    protocol.data_received(sent[-5:])
    await said(protocol, wire)
    assert wire.written.startswith(b"HTTP/1.1 401 ")
    assert both.taken == []


async def test_a_client_that_was_revoked_counts_as_long_as_clients_are_not_read_again(both: Both):
    me = await both.world.shopping_client()
    sent = post(both, shopping=True, authorization=me.basic.encode())
    await both.short.talk([sent])
    await both.world.database.clients.revoke(me.client.id, both.world.clock())
    both.taken.clear()
    assert not (await both.alike([sent]))[0].startswith(b"HTTP/1.1 401 ")
    assert len(both.taken) == 1
    as_if_read_long_ago(both)
    assert (await both.alike([sent]))[0].startswith(b"HTTP/1.1 401 ")
    assert len(both.taken) == 1


async def test_a_token_that_has_expired_is_refused_with_the_same_words(both: Both, monkeypatch: pytest.MonkeyPatch):
    sent = post(both)
    await both.alike([sent])
    both.taken.clear()
    with monkeypatch.context() as later:
        later.setattr(both.world.clock, "now", both.world.clock() + timedelta(seconds=3031))
        assert (await both.alike([sent]))[0].startswith(b"HTTP/1.1 401 ")
    assert both.taken == []
    assert (await both.alike([sent]))[0].startswith(b"HTTP/1.1 200 ")


async def test_a_secret_from_before_a_rotation_is_left_to_the_servers_own_code(both: Both):
    me = await both.world.shopping_client()
    old = post(both, shopping=True, authorization=me.basic.encode())
    await both.world.database.clients.rotate(
        me.client.id, secret_sha256=hash_of("new"), now=both.world.clock(), overlap=timedelta(hours=1)
    )
    new = post(both, shopping=True, authorization=Caller(me.client, me.key, "new").basic.encode())
    for sent in (new, old):
        await both.alike([sent])
    both.taken.clear()
    assert (await both.alike([old]))[0] == (await both.alike([new]))[0]
    assert len(both.taken) == 1  # the new one


async def test_a_client_that_is_gone_before_its_outcome_is_reported_and_gets_nothing(both: Both):
    protocol, wire = both.short.connected()
    both.reported.clear()
    protocol.data_received(post(both))
    protocol.connection_lost(ConnectionResetError())
    for _ in range(30):
        await asyncio.sleep(0)
    assert not wire.written
    assert [status for _, status, *_ in both.reported] == [200]


async def test_a_client_that_is_gone_before_its_body_came_asked_for_nothing(both: Both):
    protocol, wire = both.short.connected()
    both.reported.clear()
    protocol.data_received(post(both)[:-1])
    protocol.connection_lost(None)
    for _ in range(30):
        await asyncio.sleep(0)
    assert not wire.written
    assert both.reported == []


@pytest.mark.parametrize("known", [True, False])
async def test_a_server_that_stops_answers_what_it_took_and_closes_then(both: Both, *, known: bool):
    caller = both.shop if known else await both.world.shopping_client()
    sent, both_ways = post(both, shopping=True, authorization=caller.basic.encode()), []
    for service in (both.plain, both.short):
        protocol, wire = service.connected()
        protocol.data_received(sent[:-4])
        protocol.shutdown()
        protocol.data_received(sent[-4:])
        await said(protocol, wire)
        both_ways.append((without_ids(wire), wire.ending))
        protocol.connection_lost(None)
    assert both_ways[0] == both_ways[1]
    assert b"connection: close" in both_ways[1][0]
    assert "keep-alive" not in both_ways[1][0].decode()


@pytest.mark.parametrize("waits", ["body", "write"])
async def test_a_client_that_keeps_the_server_waiting_is_let_go_as_without_it(both: Both, waits: str):
    both_ways = []
    for service in (both.plain, both.short):
        protocol, wire = service.connected()
        protocol.data_received(post(both)[:-1] if waits == "body" else post(both))
        if waits == "body":
            await asyncio.sleep(0)
            expected = protocol.waits_for()
            assert expected is Waiting.BODY
            protocol.give_up(expected)
        else:
            await said(protocol, wire)
            both_ways.append(protocol.waits_for())
        for _ in range(5):
            await asyncio.sleep(0)
        both_ways.append((without_ids(wire), wire.ending, protocol.unsent_mark()))
        protocol.connection_lost(None)
    assert both_ways[: len(both_ways) // 2] == both_ways[len(both_ways) // 2 :]


async def test_a_client_that_takes_no_answers_is_left_to_the_servers_own_code(both: Both):
    protocol, wire = both.short.connected()
    both.taken.clear()
    protocol.pause_writing()
    protocol.data_received(post(both))
    for _ in range(30):
        await asyncio.sleep(0)
    assert not wire.written
    protocol.resume_writing()
    await said(protocol, wire)
    assert wire.written.startswith(b"HTTP/1.1 200 ")
    assert both.taken == []


async def test_a_bug_is_answered_with_500_and_ends_the_connection(both: Both, monkeypatch: pytest.MonkeyPatch):
    protocol, wire = both.short.connected()
    protocol.data_received(post(both))
    with monkeypatch.context() as broken:
        broken.setattr(ConnectCancel, "error", impossible)
        broken.setattr(ConnectCancel, "answer", impossible)
        await said(protocol, wire)
    assert wire.written.startswith(b"HTTP/1.1 500 ")
    assert wire.written.endswith(b"the request failed unexpectedly")
    assert b"connection: close" in wire.written
    assert wire.ending


async def test_a_bug_is_answered_even_if_the_log_is_full(both: Both, monkeypatch: pytest.MonkeyPatch):
    protocol, wire = both.short.connected()
    protocol.data_received(post(both))
    with monkeypatch.context() as broken:
        broken.setattr(ConnectCancel, "error", impossible)
        broken.setattr(ConnectCancel, "answer", impossible)
        broken.setattr(RequestReport, "finish", impossible)
        broken.setattr(short_cut.log, "exception", impossible, raising=False)
        await said(protocol, wire)
    assert wire.written.startswith(b"HTTP/1.1 500 ")
    assert wire.ending


async def test_an_unforeseen_error_about_the_client_is_left_to_the_servers_own_code(
    both: Both, monkeypatch: pytest.MonkeyPatch
):
    protocol, wire = both.short.connected()
    both.taken.clear()
    with monkeypatch.context() as broken:
        broken.setattr(protocol, "_known_client", impossible)
        protocol.data_received(post(both))
        await said(protocol, wire)
    assert wire.written.startswith(b"HTTP/1.1 200 ")
    assert both.taken == []


def impossible(*_: object) -> Any:
    raise RuntimeError("nobody expected this")


@pytest.mark.parametrize(
    "settings", [{"short_cut": False}, {"traces_url": "http://127.0.0.1:9/v1/traces"}], ids=["off", "traces"]
)
async def test_the_short_cut_can_be_switched_off_and_stands_aside_for_traces(tmp_path: Path, settings: dict[str, Any]):
    async with a_world(tmp_path, **settings) as world:
        assert world.service.protocol is HttpProtocol

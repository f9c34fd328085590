"""When a client called last is written by a background task, at most once an hour, and never by a request."""

import asyncio
from datetime import datetime, timedelta

import pytest

from countermand.actions.errors import UnavailableError
from countermand.background import client_uses
from countermand.background.client_uses import write_now, write_uses
from countermand.domain.client import ClientId
from countermand.identity.client_uses import ClientUses
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world


async def test_who_called_is_written_and_nobody_else_and_again_only_after_an_hour(world: World):
    one, other = await world.shopping_client(), await world.shopping_client()
    uses = ClientUses()

    async def used(minutes: int) -> tuple[datetime | None, datetime | None]:
        uses.note(one.client.id)
        await write_now(uses, world.database.clients, lambda: at(minutes))
        clients = world.database.clients
        return (await clients.one(one.client.id)).last_used_at, (await clients.one(other.client.id)).last_used_at

    assert await used(0) == (NOON, None)
    assert await used(59) == (NOON, None)
    assert await used(60) == (NOON + timedelta(hours=1), None)


async def test_the_last_call_is_written_within_the_hour_whichever_node_it_met(world: World):
    """Each node writes once in an hour; the calls that it met since wait, and are not forgotten."""
    caller, clients = await world.shopping_client(), world.database.clients
    one_node, other_node = ClientUses(), ClientUses()

    async def stored(node: ClientUses, minutes: int, *, calls: bool) -> datetime | None:
        if calls:
            node.note(caller.client.id)
        await write_now(node, clients, lambda: at(minutes))
        return (await clients.one(caller.client.id)).last_used_at

    assert await stored(one_node, 0, calls=True) == NOON
    assert await stored(other_node, 30, calls=True) == NOON
    assert await stored(other_node, 59, calls=True) == NOON
    assert await stored(one_node, 60, calls=False) == NOON
    assert await stored(other_node, 60, calls=False) == NOON + timedelta(minutes=59)
    assert not one_node.any
    assert not other_node.any


async def test_the_database_is_not_asked_if_nobody_called(world: World):
    async def never() -> datetime:
        raise AssertionError("asked for the time")

    await write_now(ClientUses(), world.database.clients, never)


async def test_a_use_that_cannot_be_written_is_written_later(world: World, monkeypatch: pytest.MonkeyPatch):
    caller, uses, stopping, tries = await world.shopping_client(), ClientUses(), asyncio.Event(), []
    monkeypatch.setattr(client_uses, "_WRITE_EVERY_S", 0.01)

    async def now() -> datetime:
        tries.append(1)
        if len(tries) == 1:
            raise UnavailableError("away")
        return NOON

    uses.note(caller.client.id)
    task = asyncio.create_task(write_uses(uses, world.database.clients, now, stopping))
    for _ in range(1000):
        if (await world.database.clients.one(caller.client.id)).last_used_at == NOON:
            break
        await asyncio.sleep(0.01)
    stopping.set()
    await task
    assert (await world.database.clients.one(caller.client.id)).last_used_at == NOON


async def test_a_call_notes_its_client_and_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    noted: list[ClientId] = []
    shop = await world.shopping_client()
    before = await world.rows("clients")
    monkeypatch.setattr(world.database.clients, "write_last_uses", lambda *_, **__: noted.append(shop.client.id))
    headers = world.shopping_headers(shop)
    assert (await world.http.get(f"/orders/{'0' * 32}", headers=headers)).status_code == 404
    assert (noted, await world.rows("clients")) == ([], before)


async def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)

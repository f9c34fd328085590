"""SQLite on a disk without room: whatever writes is 503, or a sentence; nothing is half done, and reads go on."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.expire import Expired, expire_due
from countermand.storage.retention import IDEMPOTENCY_KEYS, forget
from support.command_line import Run, assert_one_sentence, runner
from support.connect_calls import CANCEL, SERVICE_ORDER
from support.database_contents import changed, contents
from support.full_disks import files_no_larger_than, no_room
from support.manage_calls import PAYMENT, VISIT
from support.own_tokens import TOKEN, a_token, an_own_world, assertion, bearing, form, own_client
from support.races import column
from support.ticket_shop import a_shop, check_conservation
from support.world import World

Ask = Callable[[], Awaitable[httpx.Response]]

SLOT = {
    "id": "am",
    "area": "LOC3801",
    "starts_at": "2026-12-01T08:00:00+11:00",
    "ends_at": "2026-12-01T12:00:00+11:00",
    "slot_type": "AM",
    "capacity": 4,
}
METHOD = {"uid": "f" * 32, "kind": "payment", "name": {"en": "iDeal"}, "costs": {"amount": 1, "currency": "EUR"}}


@pytest_asyncio.fixture
async def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world on SQLite with an endpoint for tokens, and a page to pay on."""
    async with an_own_world(tmp_path, "sqlite", monkeypatch, sandbox_payments=True) as world:
        yield world


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def every_way_to_write(world: World) -> dict[str, Ask]:
    """By name: each on things of its own, so that none stands in another's way."""
    shop, operator = await a_shop(world), await world.manage_client()
    partner = await own_client(world)
    connect, manage = bearing(await a_token(world)), world.manage_headers(operator)
    product = await shop.product(stock=50)
    orders = [await world.ticket_order(shop.caller, product=product) for _ in range(4)]
    services = [await world.service_order(partner) for _ in range(4)]

    def asking(method: str, path: str, headers: dict[str, str], body: Any = None, **more: Any) -> Ask:
        return lambda: world.http.request(method, path, headers=headers, json=body, **more)

    of_shop = world.shopping_headers(shop.caller)
    cancelling = {"order": world.uri(orders[0]), "reason": "changed plans"}
    client = {"contract": "shopping", "name": "Another", "permissions": ["read"]}
    order = "/manage/v1/orders"
    return {
        "place tickets": asking("POST", "/orders", of_shop, shop.body({product: 2})),
        "place tickets under a key": asking(
            "POST", "/orders", of_shop | {"Idempotency-Key": "k"}, shop.body({product: 1})
        ),
        "cancel tickets": asking("POST", "/ordercancellation/", of_shop, cancelling),
        "keep a consumer": asking("POST", "/consumers", of_shop, {"first_name": "Jo"}),
        "place a service": asking("POST", "/api/connect/orders/create", connect, SERVICE_ORDER),
        "cancel a service": asking("POST", CANCEL, connect, {"orderId": services[0]}),
        "get a token": lambda: world.http.post(TOKEN, data=form(assertion(world))),
        "record a payment": asking("POST", f"{order}/{orders[1].order.uid}/payments", manage, PAYMENT),
        "move an order": asking("POST", f"{order}/connect-{services[1]}/moves", manage, {"move": "accept"}),
        "agree a visit": asking("POST", f"{order}/connect-{services[2]}/appointments", manage, VISIT),
        "cancel on behalf": asking(
            "POST", f"{order}/connect-{services[3]}/cancel", manage, {"reason": "asked by phone"}
        ),
        "let a client in": asking("POST", "/manage/v1/clients", manage, client),
        "load the catalogue": asking("PUT", "/manage/v1/catalogue", manage, {"methods": [METHOD]}),
        "load the calendar": asking("PUT", "/manage/v1/calendar/slots", manage, {"slots": [SLOT]}),
        "pay in the sandbox": lambda: world.http.post(f"/payments/{orders[2].order.uid}"),
    }


async def test_without_room_each_way_to_write_is_503_and_works_once_there_is_some(own: World):
    ways = await every_way_to_write(own)
    before = await contents(own)
    with no_room(own):
        refused = {name: await ask() for name, ask in ways.items()}
        assert (await own.http.get("/readyz")).status_code == 200
        reading = {"Authorization": refused["place tickets"].request.headers["authorization"]}
        assert (await own.http.get("/orders", headers=reading)).status_code == 200
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(ways, 503)
    with_retry = {name for name, answer in refused.items() if answer.headers.get("retry-after") == "1"}
    assert with_retry == set(ways)
    assert not changed(before, await contents(own))
    done = {name: (await ask()).status_code for name, ask in ways.items()}
    assert {name: status for name, status in done.items() if status not in {200, 201, 303}} == {}
    assert column(own.settings.database_path, "PRAGMA integrity_check") == ["ok"]
    await check_conservation(own)


async def test_without_room_what_a_node_does_unasked_stays_for_later(own: World):
    shop = await a_shop(own)
    product = await shop.product(stock=5)
    assert (await shop.post("/orders", shop.body({product: 2}), Idempotency_Key="k")).status_code == 201
    own.clock.forward(days=2)
    before = await contents(own)
    with no_room(own):
        assert await expire_due(own.database.store, own.clock(), at_most=10) == Expired(due=1, failed=1)
        with pytest.raises(UnavailableError):
            await forget(own.database.store, IDEMPOTENCY_KEYS, own.clock() - timedelta(days=1), at_most=10)
    assert not changed(before, await contents(own))
    assert await expire_due(own.database.store, own.clock(), at_most=10) == Expired(due=1, failed=0)
    assert await forget(own.database.store, IDEMPOTENCY_KEYS, own.clock() - timedelta(days=1), at_most=10) == 1
    assert await shop.left() == {product: 5}


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "add", "--contract", "shopping", "--name", "Another"],
        ["client", "revoke", "1"],
        ["keys", "rotate"],
        ["catalogue", "import", "catalogue.json"],
        ["calendar", "import", "slots.csv"],
        ["prune"],
    ],
    ids=" ".join,
)
async def test_without_room_a_command_says_so_in_a_sentence_and_has_done_nothing(
    run: Run, own: World, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    shop = await a_shop(own)
    assert (await shop.post("/consumers", {"first_name": "Jo"}, Idempotency_Key="k")).status_code == 201
    monkeypatch.chdir(own.folder)
    write_files()
    before = await contents(own)
    kept = {"database_path": own.settings.database_path, "idempotency_kept_h": 1}
    with no_room(own):
        said = await asyncio.to_thread(run, *arguments, **kept)
    assert (said.code, said.err.strip()) == (2, "countermand: the database cannot be used right now")
    assert not changed(before, await contents(own))
    said = await asyncio.to_thread(run, *arguments, **kept)
    assert said.code == 0, said.err
    assert changed(before, await contents(own))


def write_files() -> None:
    """What is imported."""
    Path("catalogue.json").write_text(json.dumps({"methods": [METHOD]}))
    Path("slots.csv").write_text(f"{','.join(SLOT)}\n{','.join(str(value) for value in SLOT.values())}\n")


def test_without_room_a_migration_says_so_and_has_made_nothing(run: Run, tmp_path: Path):
    path = tmp_path / "new.sqlite3"
    with files_no_larger_than(40_000):
        assert_one_sentence(run("migrate", database_path=path), "could not be migrated: disk I/O error; nothing was")
    assert column(path, "SELECT name FROM sqlite_master") == []
    assert run("migrate", database_path=path).code == 0


async def test_a_page_that_finds_no_room_within_the_file_is_no_different(sqlite_world: World):
    """Where SQLite itself says that it is full, before the commit."""
    world, shop = sqlite_world, await a_shop(sqlite_world)
    product = await shop.product(stock=1000)
    async with world.database.store._writing.connect() as writing:
        (pages,) = (await writing.exec_driver_sql("PRAGMA page_count")).one()
        await writing.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    statuses = [201]
    while statuses[-1] == 201:
        before = await contents(world)
        statuses.append((await shop.order({product: 1})).status_code)
    assert statuses[-1] == 503
    assert not changed(before, await contents(world))
    async with world.database.store._writing.connect() as writing:
        await writing.exec_driver_sql("PRAGMA max_page_count = 1073741823")
    assert (await shop.order({product: 1})).status_code == 201
    await check_conservation(world)


# what every connection to the file relies on


async def test_each_connection_is_set_to_what_we_rely_on(sqlite_world: World):
    asked = ("locking_mode", "journal_mode", "synchronous", "foreign_keys", "mmap_size", "wal_autocheckpoint")
    store, cancelling = sqlite_world.database.store, sqlite_world.database.cancellations._connection
    found = {"cancelling": [cancelling.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]}
    for who, engine in (("writing", store._writing), ("reading", store._reading)):
        async with engine.connect() as connection:
            found[who] = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in asked]
    assert [found[who] for who in ("cancelling", "writing", "reading")] == [["normal", "wal", 2, 1, 0, 0]] * 3


def test_a_file_whose_texts_are_in_utf_16_is_refused_and_left_as_it_is(run: Run, tmp_path: Path):
    path = tmp_path / "wide.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA encoding = 'UTF-16'")
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    for command in (["migrate"], ["client", "list"]):
        assert_one_sentence(run(*command, database_path=path), "is in UTF-16le, and must be in UTF-8")
    assert column(path, "SELECT name FROM sqlite_master") == ["a"]


def test_a_file_that_is_damaged_is_not_taken_for_no_database(run: Run, tmp_path: Path):
    path = tmp_path / "damaged.sqlite3"
    assert run("migrate", database_path=path).code == 0
    whole = bytearray(path.read_bytes())
    whole[100:4096] = b"\xff" * 3996  # the first page, behind its head
    path.write_bytes(whole)
    assert_one_sentence(run("client", "list", database_path=path), "cannot be read: database disk image is malformed")

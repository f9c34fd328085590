"""A third contract is one folder, `tests/support/fairground/`, handed to bootstrap. Nothing else is touched."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.ordering.views import OrderView
from countermand.contracts.registry import CONTRACTS
from countermand.domain.client import Permission
from countermand.domain.known import Unknown
from countermand.domain.orders.order import OrderUid, order_id_of
from countermand.domain.orders.order_kind import OrderKind
from countermand.settings import PREFIX, SettingsError, read_settings
from support.command_line import Run, assert_one_sentence, runner
from support.fairground.contract import CONTRACT as FAIRGROUND
from support.world import EVERYTHING, Caller, World, a_world

ALL = (*CONTRACTS, FAIRGROUND)
RIDES, CANCEL, MANAGE = "/fairground/v1/rides", "/fairground/v1/cancel", "/manage/v1"
WAYS: dict[str, dict[str, Any]] = {
    "sqlite": {"on": "sqlite"},
    "postgres at once": {"on": "postgres"},
    "postgres in parts": {"on": "postgres", "database_distributed": True},
}
STOCK, TAKEN = 10, 3


@pytest_asyncio.fixture(params=WAYS)
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(tmp_path, contracts=ALL, **WAYS[request.param]) as made:
        yield made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, ALL)


@dataclass
class Ride:
    """An order that a showman placed, with the product that it is of."""

    world: World
    showman: Caller
    product: str
    uid: str

    async def read(self, who: Caller | None = None) -> httpx.Response:
        return await self.world.http.get(f"{RIDES}/{self.uid}", headers=self._as(who))

    async def cancel(self, who: Caller | None = None, **more: str) -> httpx.Response:
        headers = self._as(who) | {name.replace("_", "-"): value for name, value in more.items()}
        return await self.world.http.post(CANCEL, json={"uid": self.uid}, headers=headers)

    async def stock(self) -> int:
        (row,) = [row for row in await self.world.rows("products") if row["uid"] == self.product]
        return row["availability"]

    async def valid_tickets(self) -> int:
        return sum(row["valid"] for row in await self.world.rows("tickets", order_id_of(self.uid)))

    def _as(self, who: Caller | None) -> dict[str, str]:
        return self.world.shopping_headers(who or self.showman)


async def a_ride(world: World, showman: Caller | None = None) -> Ride:
    showman = showman or await world.client_with_secret(FAIRGROUND.channel, EVERYTHING)
    product = await world.product(stock=STOCK)
    wanted = {"product": product, "quantity": TAKEN, "payment_method": await world.payment_method(costs_minor=0)}
    placed = await world.http.post(RIDES, json=wanted, headers=world.shopping_headers(showman))
    assert placed.status_code == 201, placed.text
    assert placed.json() == {"uid": placed.json()["uid"], "state": "pending", "tickets": TAKEN}
    return Ride(world, showman, product, placed.json()["uid"])


async def a_ticket_order_of_shopping(world: World) -> tuple[Caller, OrderView]:
    shop = await world.shopping_client(permissions=EVERYTHING)
    return shop, await world.ticket_order(shop)


async def test_it_places_reads_and_cancels_and_gives_the_stock_back(world: World):
    ride = await a_ride(world)
    _, beside = await a_ticket_order_of_shopping(world)
    others = {table: await world.rows(table, beside.order.id) for table in ("orders", "tickets", "outbox")}
    (row,) = await world.rows("orders", order_id_of(ride.uid))
    assert (row["contract"], row["state"]) == ("fairground", "pending")
    assert (await ride.read()).json()["state"] == "pending"
    assert (await ride.stock(), await ride.valid_tickets()) == (STOCK - TAKEN, TAKEN)

    done = await ride.cancel()

    assert (done.status_code, done.json()) == (200, {"uid": ride.uid, "state": "cancelled", "tickets": 0})
    assert (await ride.stock(), await ride.valid_tickets()) == (STOCK, 0)
    (kept,) = await world.rows("cancellations", order_id_of(ride.uid))
    assert (kept["contract"], kept["door"]) == ("fairground", "fairground")
    assert kept["policy_version"] == world.database.policies.by_contract[FAIRGROUND.name].version
    assert {table: await world.rows(table, beside.order.id) for table in others} == others
    assert (await ride.cancel()).json() == {"problem": ["order_not_cancellable"]}
    assert await ride.stock() == STOCK, "nothing is given back twice"


async def test_a_batch_with_orders_of_all_contracts_releases_the_tickets_of_each(world: World):
    ride = await a_ride(world)
    shop, order = await a_ticket_order_of_shopping(world)
    partner = await world.connect_client()
    service = await world.service_order(partner)
    commands = [
        world.command(ride.showman, order_id_of(ride.uid)),
        world.command(shop, order.order.id),
        world.command(partner, service),
    ]
    assert all(isinstance(one, Cancelled) for one in await world.service.commit.run(commands))
    assert (await ride.stock(), await ride.valid_tickets()) == (STOCK, 0)
    assert not any(row["valid"] for row in await world.rows("tickets", order.order.id))
    assert {row["state"] for row in await world.rows("orders")} == {"cancelled"}


async def test_what_was_paid_is_not_cancelled_under_its_own_policy(world: World):
    ride = await a_ride(world)
    await world.pay(order_id_of(ride.uid))
    refused = await ride.cancel()
    assert (refused.status_code, refused.json()) == (409, {"problem": ["payment_recorded"]})
    assert (await ride.stock(), await ride.valid_tickets()) == (STOCK - TAKEN, TAKEN)


async def test_an_order_that_is_not_paid_in_time_gives_its_stock_back(world: World):
    ride = await a_ride(world)
    operator = await world.manage_client()
    moves = f"{MANAGE}/orders/{ride.uid}/moves"
    moved = await world.http.post(moves, json={"move": "expire"}, headers=world.manage_headers(operator))
    assert (moved.status_code, moved.json()["state"]) == (200, "expired")
    assert (await ride.stock(), await ride.valid_tickets()) == (STOCK, 0)


async def test_an_operator_reads_and_cancels_its_orders(world: World):
    ride = await a_ride(world)
    headers = world.manage_headers(await world.manage_client())
    shown = await world.http.get(f"{MANAGE}/orders/{ride.uid}", headers=headers)
    assert (shown.json()["contract"], shown.json()["state"]) == ("fairground", "pending")
    done = await world.http.post(f"{MANAGE}/orders/{ride.uid}/cancel", json={"reason": "rain"}, headers=headers)
    assert (done.status_code, done.json()["state"], done.json()["cancellation"]["door"]) == (200, "cancelled", "manage")
    assert await ride.stock() == STOCK


async def test_a_client_of_one_contract_cannot_use_the_calls_of_another(world: World):
    ride = await a_ride(world)
    shop, order = await a_ticket_order_of_shopping(world)
    assert [(await call(shop)).status_code for call in (ride.read, ride.cancel)] == [401, 401]
    headers = world.shopping_headers(ride.showman)
    assert (await world.http.get(f"/orders/{order.order.uid}", headers=headers)).status_code == 401
    body = {"order": world.uri(order), "reason": "r"}
    assert (await world.http.post("/ordercancellation", json=body, headers=headers)).status_code == 401
    assert {row["state"] for row in await world.rows("orders")} == {"pending"}


async def test_whoever_sees_all_orders_of_a_contract_sees_none_of_another(world: World):
    ride = await a_ride(world)
    shop, order = await a_ticket_order_of_shopping(world)
    assert shop.client.may(Permission.READ_ALL)
    headers = world.shopping_headers(shop)
    listed = (await world.http.get("/orders", headers=headers)).json()
    assert [one["uid"] for one in listed["_embedded"]["shop:order"]] == [order.order.uid]
    assert listed["item_count"] == 1
    ticket = (await world.rows("tickets", order_id_of(ride.uid)))[0]["uid"]
    for path in (f"/orders/{ride.uid}", f"/orders/{ride.uid}/cancellability", f"/tickets/{ticket}"):
        assert (await world.http.get(path, headers=headers)).status_code == 404, path
    other = await world.client_with_secret(FAIRGROUND.channel, EVERYTHING)
    assert (await ride.read(other)).status_code == 404
    stolen = ride.world.uri(order).rpartition("/")[2]
    assert (await Ride(world, ride.showman, ride.product, stolen).read()).status_code == 404


async def test_the_pages_for_buyers_show_no_order_of_a_contract_without_pages(world: World):
    ride = await a_ride(world)
    async with world.database.store.snapshot() as reading:
        view = (await reading.views([order_id_of(OrderUid(ride.uid))])).popitem()[1]
    assert view.order.kind is OrderKind.TICKET
    assert (await world.http.get(f"/etickets/{view.ticket_details.etickets_token}")).status_code == 404


async def test_it_is_described_and_counted(world: World):
    ride = await a_ride(world)
    await ride.cancel()
    document = (await world.http.get("/docs/fairground/openapi.json")).json()
    assert set(document["paths"]) == {RIDES, RIDES + "/{uid}", CANCEL}
    assert "Fairground" in (await world.http.get("/docs")).text
    told = (await world.http.get("/metrics")).text
    assert 'countermand_cancellations_total{code="",door="fairground",outcome="cancelled"} 1.0' in told
    nowhere = await world.http.get("/fairground/v1/nowhere", headers=world.shopping_headers(ride.showman))
    assert (nowhere.status_code, list(nowhere.json())) == (404, ["problem"]), "in the contract's own words"


async def test_the_operator_adds_a_client_over_the_management_api(world: World):
    headers = world.manage_headers(await world.manage_client())
    given = {"contract": "fairground", "name": "Showman"}
    added = await world.http.post(f"{MANAGE}/clients", json=given, headers=headers)
    assert added.status_code == 201, added.text
    assert added.json()["client"]["permissions"] == ["cancel", "create", "read"]
    (showman,) = [one for one in await world.database.clients.all() if one.channel == FAIRGROUND.channel]
    await a_ride(world, Caller(showman, added.json()["key"], added.json()["secret"]))


async def test_a_node_without_the_contract_decides_nothing_over_its_orders(tmp_path: Path):
    async with a_world(tmp_path, contracts=ALL) as knowing:
        ride = await a_ride(knowing)
        operator = await knowing.manage_client()
        async with a_world(tmp_path) as other:
            headers = other.manage_headers(operator)
            assert (await other.http.get(f"{RIDES}/{ride.uid}")).status_code == 404
            async with other.database.store.snapshot() as reading:
                order = await reading.order(order_id_of(ride.uid))
            assert order is not None
            assert (order.kind, isinstance(order.kind, Unknown), order.is_known) == ("fairground", True, False)
            path = f"{MANAGE}/orders/{ride.uid}/cancel"
            answer = await other.http.post(path, json={"reason": "r"}, headers=headers)
            assert (answer.status_code, "fairground" in answer.text) == (503, True)
        assert await ride.stock() == STOCK - TAKEN
        assert (await ride.cancel()).status_code == 200


# settings and the command line


def test_settings_narrow_its_policy_and_know_no_contract_that_is_not_declared(monkeypatch: pytest.MonkeyPatch):
    usual = read_settings(contracts=ALL).policy(FAIRGROUND)
    monkeypatch.setenv(f"{PREFIX}POLICIES", '{"fairground": [{"name": "state_allows", "only": ["pending"]}]}')
    narrowed = read_settings(contracts=ALL).policy(FAIRGROUND)
    assert [rule.name for rule in usual.rules] == ["state_allows", "nothing_paid"]
    assert [rule.name for rule in narrowed.rules] == ["state_allows"]
    with pytest.raises(SettingsError, match="there is no contract 'fairground'; there are connect, shopping"):
        read_settings()


def test_the_command_line_adds_and_lists_its_clients(run: Run, tmp_path: Path):
    path = tmp_path / "orders.sqlite3"
    assert run("migrate", database_path=path).code == 0
    helped = run("client", "add", "--help").out
    assert "<connect|shopping|fairground|manage>" in helped
    assert "fairground create, read, cancel" in " ".join(helped.split())
    added = run("client", "add", "--contract", "fairground", "--name", "Showman", database_path=path)
    assert added.code == 0, added.err
    assert added.out.startswith("Added the fairground client 1 (Showman): cancel, create, read\nkey: ")
    listed = run("client", "list", database_path=path).out
    assert "fairground" in listed
    assert_one_sentence(run("client", "browser-token", "1", database_path=path), "there is no shopping client 1")
    assert run("client", "rotate", "1", database_path=path).out.startswith("Rotated the fairground client 1 (Showman)")


def test_the_command_line_of_another_service_does_not_know_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    said = runner(monkeypatch, capsys)("client", "add", "--contract", "fairground", "--name", "Showman")
    assert said.code == 2
    assert "fairground" in said.err

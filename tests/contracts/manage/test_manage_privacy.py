"""Requests about persons over the operator's API: exported whole, and forgotten only if that is said."""

from typing import Any

import httpx
import pytest

from countermand.contracts.manage import privacy
from countermand.domain.client import Permission
from countermand.domain.staff import Role
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.ticket_shop import Shop, a_shop
from support.world import Caller, World

world = shared_world

EXPORT, FORGET = "/manage/v1/privacy/export", "/manage/v1/privacy/forget"
ANN = {"first_name": "Ann", "last_name": "Lee", "email": "ann@example.com", "country": "NL"}
EMAIL = ANN["email"]


async def bought(shop: Shop, **more: Any) -> str:
    """An order of Ann's."""
    product = await shop.product(stock=10)
    made = await shop.order({product: 1}, consumer=ANN | more)
    assert made.status_code == 201, made.text
    return str(made.json()["uid"])


async def test_what_is_exported_is_forgotten_when_it_is_said_and_the_order_stays(world: World):
    admin, shop = await world.manage_client(), await a_shop(world)
    uid = await bought(shop, phone_number="+31 6 1234")
    await world.http.post(
        "/ordercancellation/",
        json={"order": f"http://shop.test/orders/{uid}", "reason": f"{EMAIL} is ill"},
        headers=world.shopping_headers(shop.caller),
    )
    exported = (await post(world, admin, EXPORT, {"email": EMAIL.upper()})).json()["entries"]
    places = [one["place"] for one in exported]
    assert places == ["orders", "cancellation_reasons", "events"]
    assert {one["order_id"] for one in exported} == {f"shopping-{uid}"}
    assert exported[0]["data"] == [ANN | {"phone_number": "+31 6 1234"}, {"caller_address": "127.0.0.1"}]
    assert exported[1]["data"] == [{"text": f"{EMAIL} is ill"}]
    before = await contents(world)
    for body in ({"email": EMAIL}, {"email": EMAIL, "dry_run": None}, {"email": EMAIL, "dry_run": True}):
        planned = (await post(world, admin, FORGET, body)).json()
        assert (planned["dry_run"], planned["request_id"], planned["left"]) == (True, None, [])
        assert planned["forgotten"] == [{"place": place, "number": 1} for place in places]
    assert changed(before, await contents(world)) == set()
    done = (await post(world, admin, FORGET, {"email": EMAIL, "dry_run": False})).json()
    assert (done["dry_run"], done["forgotten"]) == (False, planned["forgotten"])
    assert done["request_id"] in str(await world.rows("privacy_requests"))
    (record,) = [row for row in await world.rows("privacy_requests") if row["kind"] == "forget"]
    assert (record["client_id"], record["staff_id"], record["acting_as"]) == (admin.client.id, None, None)
    assert EMAIL not in str(await contents(world))
    read = await world.http.get(f"/manage/v1/orders/shopping-{uid}", headers=world.manage_headers(admin))
    assert (read.status_code, read.json()["cancellation"]["reason"]) == (200, "forgotten")
    assert read.json()["cancellation"]["address"] is None
    shown = await world.http.get(f"/orders/{uid}", headers=world.shopping_headers(shop.caller))
    assert (shown.status_code, EMAIL in shown.text, "Ann" in shown.text) == (200, False, False)


async def test_a_search_no_longer_finds_whom_the_order_forgot(world: World):
    admin, shop = await world.manage_client(), await a_shop(world)
    uid, other = await bought(shop, phone_number="+31 6 12345678"), await bought(shop, email="bo@example.com")
    for q in (EMAIL, "+31 6 12345678"):
        assert await found(world, admin, q) == [f"shopping-{uid}"]
    assert set(await found(world, admin, "ann lee")) == {f"shopping-{uid}", f"shopping-{other}"}
    await post(world, admin, FORGET, {"email": EMAIL, "dry_run": False, "even_open": True})
    assert [await found(world, admin, q) for q in (EMAIL, "+31 6 12345678")] == [[], []]
    assert await found(world, admin, "ann lee") == [f"shopping-{other}"]
    assert await found(world, admin, "forgotten") == [], "nobody finds the forgotten by the word in their place"
    assert await found(world, admin, uid) == [f"shopping-{uid}"]


async def test_an_open_order_is_left_and_named_unless_told_otherwise(world: World):
    admin, shop = await world.manage_client(), await a_shop(world)
    uid = await bought(shop)
    left = (await post(world, admin, FORGET, {"email": EMAIL, "dry_run": False})).json()
    assert left["left"] == [{"order_id": f"shopping-{uid}", "state": "pending", "why": "the order is open"}]
    assert (left["forgotten"], left["left_texts"]) == ([], [{"place": "orders", "number": 1}])
    assert left["finished"] is True
    assert EMAIL in str(await world.rows("order_details"))
    done = (await post(world, admin, FORGET, {"email": EMAIL, "dry_run": False, "even_open": True})).json()
    assert (done["left"], done["forgotten"]) == ([], [{"place": "orders", "number": 1}])
    assert EMAIL not in str(await world.rows("order_details"))


async def test_the_record_names_the_person_and_whom_a_client_acts_for(world: World):
    admin = await world.person("kim", Role.ADMIN)
    await post(world, admin, EXPORT, {"email": EMAIL})
    program = await world.manage_client()
    headers = world.manage_headers(program) | {"Acting-As": "kim"}
    await world.http.post(FORGET, json={"email": EMAIL, "dry_run": False}, headers=headers)
    records = {row["kind"]: row for row in await world.rows("privacy_requests")}
    who = {kind: (row["client_id"], row["staff_id"], row["acting_as"]) for kind, row in records.items()}
    assert who == {"export": (admin.client.id, "kim", None), "forget": (program.client.id, None, "kim")}


@pytest.mark.parametrize(("most", "status"), [(2, 200), (1, 409)])
async def test_an_export_that_is_too_large_for_an_answer_is_refused_and_says_where_to_export(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int, status: int
):
    monkeypatch.setattr(privacy, "MOST_EXPORTED", most)
    admin, shop = await world.manage_client(), await a_shop(world)
    for _ in range(2):
        await bought(shop)
    answer = await post(world, admin, EXPORT, {"email": EMAIL})
    assert answer.status_code == status
    (record,) = await world.rows("privacy_requests")
    assert (record["finished_at"] is not None) == (status == 200)
    if status == 409:
        assert (answer.json()["code"], EMAIL in answer.text) == ("export_too_large", False)
        assert "countermand privacy export" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "ann"},
        {"email": "a b@x"},
        {"email": "jo@example.com\n"},
        {"email": 7},
        {"email": "a@" + "x" * 253},
    ],
)
async def test_what_is_no_address_is_refused_and_nothing_recorded(world: World, body: dict[str, Any]):
    admin = await world.manage_client()
    for path in (EXPORT, FORGET):
        refused = await post(world, admin, path, body)
        assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, ["email"])
    assert await world.rows("privacy_requests") == []


async def test_who_may_do_all_else_may_neither_export_nor_forget(world: World):
    operator = await world.manage_client(permissions=frozenset(Permission) - {Permission.FORGET})
    for path in (EXPORT, FORGET):
        assert (await post(world, operator, path, {"email": EMAIL})).status_code == 403
    assert await world.rows("privacy_requests") == []


async def post(world: World, caller: Caller, path: str, body: dict[str, Any]) -> httpx.Response:
    return await world.http.post(path, json=body, headers=world.manage_headers(caller))


async def found(world: World, caller: Caller, q: str) -> list[str]:
    """The ids of the orders that a search finds."""
    page = await world.http.get("/manage/v1/orders", params={"q": q}, headers=world.manage_headers(caller))
    assert page.status_code == 200, page.text
    return [one["id"] for one in page.json()["orders"]]

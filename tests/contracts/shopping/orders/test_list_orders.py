"""One's own orders, the newest first, by the documented filters and pages."""

from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert

from countermand.domain.client import Permission
from countermand.domain.orders.order import order_id_of
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.orders import order_details, order_lines, orders
from support.shared_world import shared_world
from support.shopping_calls import cancel, kind
from support.ticket_shop import Shop, a_shop
from support.world import EVERYTHING, PUBLIC_URL, World

world = shared_world

_OTHER_EVENT = "f" * 32


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _listed(shop: Shop, **query: Any) -> list[str]:
    answer = await shop.get("/orders", **query)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    uids = [one["uid"] for one in shown["_embedded"]["shop:order"]]
    assert shown["item_count"] == len(uids)
    return uids


async def _placed(shop: Shop, uid: str, **more: Any) -> str:
    shop.world.clock.forward(seconds=10)
    return (await shop.order({uid: 1}, **more)).json()["uid"]


async def test_the_newest_comes_first_and_each_reads_as_by_itself(shop: Shop):
    uid = await shop.product()
    assert await _listed(shop) == []
    one, two = await _placed(shop, uid), await _placed(shop, uid)
    answer = await shop.get("/orders")
    assert answer.headers["content-type"] == "application/hal+json"
    shown = answer.json()
    assert [order["uid"] for order in shown["_embedded"]["shop:order"]] == [two, one]
    assert shown["_embedded"]["shop:order"][1] == (await shop.get(f"/orders/{one}")).json()
    assert shown["_links"]["search"] == {
        "href": f"{PUBLIC_URL}/orders{{?event,status,total,created}}",
        "templated": True,
    }
    assert shown["_links"]["first"] == shown["_links"]["last"] == {"href": f"{PUBLIC_URL}/orders"}
    assert shown["_links"].keys().isdisjoint({"prev", "next"})


async def test_nobody_sees_anothers_orders_or_telecom_orders(shop: Shop):
    mine = await _placed(shop, await shop.product())
    other = await shop.world.shopping_client()
    await shop.world.ticket_order(other)
    await shop.world.service_order(await shop.world.connect_client())
    assert await _listed(shop) == [mine]
    blind = await shop.world.shopping_client(permissions=EVERYTHING - {Permission.READ})
    assert kind(await shop.get("/orders", blind)) == (403, "FORBIDDEN")
    assert (await shop.world.http.get("/orders")).status_code == 401


async def test_by_state_by_whatever_name(shop: Shop):
    uid = await shop.product()
    pending, cancelled, expired, paid = [await _placed(shop, uid) for _ in range(4)]
    await cancel(shop.world, shop.caller, f"{PUBLIC_URL}/orders/{cancelled}")
    await shop.world.advance(order_id_of(expired), Transition.EXPIRE)
    await shop.world.pay(order_id_of(paid))
    assert await _listed(shop, state="cancelled") == await _listed(shop, status="cancelled") == [cancelled]
    assert await _listed(shop, state__ne="pending") == [paid, expired, cancelled]
    assert await _listed(shop, state__in="pending,completed") == [paid, pending]
    assert await _listed(shop, state__in="failed") == []
    assert await _listed(shop, state=["pending", "completed"]) == [paid, pending]
    assert await _listed(shop, status=["pending", "completed", "pending"]) == [paid, pending]
    assert await _listed(shop, state=["pending", "completed"], status=["completed", "failed"]) == [paid]
    assert kind(await shop.get("/orders", state=["pending", "gone"])) == (400, "BAD_REQUEST")
    assert await _listed(shop, state="cancelled", state__ne="cancelled") == []


async def test_by_reference_and_total_exactly(shop: Shop):
    uid, dear = await shop.product(price_minor=1000), await shop.product(price_minor=1001)
    one, two = await _placed(shop, uid, external_reference="A-1"), await _placed(shop, dear, external_reference="A-11")
    assert await _listed(shop, external_reference="A-1") == [one]
    assert await _listed(shop, external_reference="A") == []
    assert await _listed(shop, total="10.01") == [two]
    assert await _listed(shop, total="10") == [one]
    assert await _listed(shop, total=["10", "10.01", "3"]) == [two, one]
    assert await _listed(shop, external_reference=["A-1", "A"]) == [one]


async def test_by_total_in_comparison(shop: Shop):
    uid, dear = await shop.product(price_minor=1000), await shop.product(price_minor=1001)
    one, two = await _placed(shop, uid), await _placed(shop, dear)
    found = {
        suffix: await _listed(shop, **{f"total__{suffix}": "10.01"}) for suffix in ("lt", "lte", "gt", "gte", "ne")
    }
    assert found == {"lt": [one], "lte": [two, one], "gt": [], "gte": [two], "ne": [one]}
    assert await _listed(shop, total__in="10,10.01") == [two, one]
    assert await _listed(shop, total__in="9,10.01") == [two]


async def test_by_event_or_several(shop: Shop):
    mine = await _placed(shop, await shop.product())
    await shop.change_event(uid=_OTHER_EVENT)
    other = await _placed(shop, await shop.product())
    old = await _placed(shop, await shop.world.product())
    one, two = f"{PUBLIC_URL}/events/{'e' * 32}", f"{PUBLIC_URL}/events/{_OTHER_EVENT}"
    assert await _listed(shop, event=one) == [mine]
    assert await _listed(shop, event__in=f"{one},{two}") == [other, mine]
    assert await _listed(shop) == [old, other, mine]


async def test_what_was_created_at_an_instant_is_found_by_the_date_it_shows(shop: Shop):
    uid = await shop.product()
    shop.world.clock.forward(microseconds=500_000)
    orders = {(await _placed(shop, uid)): number for number in range(3)}
    dates = [(await shop.get(f"/orders/{one}")).json()["created_date"] for one in orders]
    for suffix, expected in {"lt": [0], "lte": [1, 0], "gt": [2], "gte": [2, 1]}.items():
        assert [orders[one] for one in await _listed(shop, **{f"created__{suffix}": dates[1]})] == expected
    assert [orders[one] for one in await _listed(shop, created=dates[1])] == [1]
    between = dates[1].replace("Z", ".700000Z")
    for suffix, expected in {"lt": [1, 0], "lte": [1, 0], "gt": [2], "gte": [2]}.items():
        assert [orders[one] for one in await _listed(shop, **{f"created__{suffix}": between})] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "canceled"),
        ("state__in", "pending,gone"),
        ("event", "e" * 32),
        ("event__in", f"{PUBLIC_URL}/orders/{'e' * 32}"),
        ("created__lt", "yesterday"),
        ("created__gte", "2026-11-21T12:00:00"),
        ("total", "1.005"),
        ("page", "0"),
        ("page", "one"),
    ],
)
async def test_a_filter_that_does_not_hold_is_named_with_its_value(shop: Shop, name: str, value: str):
    answer = await shop.get("/orders", **{name: value})
    assert kind(answer) == (400, "BAD_REQUEST")
    assert [one["path"] for one in answer.json()["errors"]] == [name]
    assert value in answer.json()["message"]


async def test_five_hundred_are_a_page_and_one_beyond_the_last_is_the_last(shop: Shop):
    await _placed(shop, await shop.product())
    await _many_more(shop, 1000)
    pages = {}
    for page in ("1", "2", "3", "4"):
        answer = await shop.get("/orders", state="pending", page=page)
        pages[page] = answer.json()
        assert pages[page]["_links"]["self"]["href"] == f"{PUBLIC_URL}/orders?state=pending&page={page}"
        assert pages[page]["item_count"] == 1001
    assert [len(shown["_embedded"]["shop:order"]) for shown in pages.values()] == [500, 500, 1, 1]
    first, second, third = (f"{PUBLIC_URL}/orders?state=pending{more}" for more in ("", "&page=2", "&page=3"))
    for page, rels in {
        "1": {"first": first, "next": second, "last": third},
        "2": {"first": first, "prev": first, "next": third, "last": third},
        "3": {"first": first, "prev": second, "last": third},
        "4": {"first": first, "prev": second, "last": third},
    }.items():
        links = pages[page]["_links"]
        found = {rel: links[rel]["href"] for rel in ("first", "prev", "next", "last") if rel in links}
        assert found == rels
    assert pages["4"]["_embedded"] == pages["3"]["_embedded"]
    seen = [one["uid"] for page in ("1", "2", "3") for one in pages[page]["_embedded"]["shop:order"]]
    assert len(set(seen)) == 1001


async def _many_more(shop: Shop, number: int) -> None:
    """Orders like the one that is there, but without tickets."""
    made = {}
    for table in (orders, order_details, order_lines):
        (row,) = await shop.world.rows(table.name)
        key = "id" if table is orders else "order_id"
        made[table] = [row | {key: row[key] + n + 1} for n in range(number)]
    for n, details in enumerate(made[order_details]):
        details["uid"] = f"{n:032x}"
    async with shop.world.database.store.transaction() as tx:
        for table, rows in made.items():
            await tx._execute(insert(table), rows)

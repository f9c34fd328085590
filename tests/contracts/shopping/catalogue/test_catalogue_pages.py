"""Pages of five hundred: every item on exactly one of them, and links that lead through all."""

import pytest
from sqlalchemy import insert

from countermand.storage.repositories.catalogue import _product_columns
from countermand.storage.tables.catalogue import products
from support.catalogue import a_product, an_event, get, listed, put
from support.shared_world import shared_both_worlds, shared_sqlite_world, shared_world
from support.world import PUBLIC_URL, World

world = shared_world
sqlite_world = shared_sqlite_world
both_worlds = shared_both_worlds

LIST = f"{PUBLIC_URL}/products"


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1001])
async def test_every_item_is_on_one_page_and_the_links_lead_through_all(world: World, count: int):
    me = await world.shopping_client()
    uids = await _many(world, count)
    pages = [[*range(start, min(start + 500, count))] for start in range(0, max(count, 1), 500)]
    address, seen = LIST, []
    for number, page in enumerate(pages, 1):
        answer = await get(world, me, address)
        shown = answer.json()
        assert shown["item_count"] == count
        assert len(shown["_embedded"]["shop:product"]) == len(page)
        seen += [one["uid"] for one in shown["_embedded"]["shop:product"]]
        links = {rel: link["href"] for rel, link in shown["_links"].items() if rel not in {"curies", "profile"}}
        last = LIST if len(pages) == 1 else f"{LIST}?page={len(pages)}"
        assert (links["self"], links["first"], links["last"]) == (address, LIST, last)
        assert ("prev" in links, "next" in links) == (number > 1, number < len(pages))
        if number > 1:
            assert links["prev"] == (LIST if number == 2 else f"{LIST}?page={number - 1}")
        address = links.get("next", "")
    assert seen == uids


async def test_a_page_beyond_the_last_is_the_last_and_the_query_stays_in_every_link(world: World):
    me = await world.shopping_client()
    uids = await _many(world, 501)
    query = "price__gte=1&name__in=Day%20ticket,x"
    for page in ("2", "3", "1000000", "9" * 40):
        address = f"{LIST}?page={page}&{query}"
        shown = (await get(world, me, address)).json()
        assert [one["uid"] for one in shown["_embedded"]["shop:product"]] == uids[500:]
        links = {rel: link["href"] for rel, link in shown["_links"].items() if rel not in {"curies", "profile"}}
        assert links == {
            "self": address,
            "first": f"{LIST}?{query}",
            "prev": f"{LIST}?{query}",
            "last": f"{LIST}?{query}&page=2",
            "search": f"{LIST}{{?name,subtitle,price,price_cur,is_soldout,event,sale_start,sale_end,page}}",
        }
    twice = await get(world, me, f"{LIST}?page=2&page=1")
    assert (twice.status_code, "page must be there once" in twice.text) == (400, True)


async def test_beyond_an_empty_list_is_an_empty_list(world: World):
    me = await world.shopping_client()
    for name in ("events", "products"):
        shown = (await get(world, me, f"/{name}?page=7")).json()
        assert (shown["item_count"], list(shown["_embedded"].values())) == (0, [[]])
        assert not {"prev", "next"} & shown["_links"].keys()


async def test_events_come_by_the_page_too(world: World):
    me = await world.shopping_client()
    events = sorted((an_event() for _ in range(501)), key=lambda one: one.uid)
    await put(world, *events)
    assert await listed(world, me, "/events") == [one.uid for one in events[:500]]
    assert await listed(world, me, "/events?page=2") == [events[500].uid]


async def test_what_a_query_has_beside_letters_is_quoted_in_links(sqlite_world: World):
    me = await sqlite_world.shopping_client()
    answer = await sqlite_world.http.get("/products?name=%22%3Cb%3E%C3%A9&x=%20", headers={"Authorization": me.basic})
    assert answer.json()["_links"]["self"]["href"] == f"{LIST}?name=%22%3Cb%3E%C3%A9&x=%20"


async def test_a_trailing_slash_is_the_same_resource_without_a_redirect(both_worlds: World):
    me, event = await both_worlds.shopping_client(), an_event()
    product = a_product(event)
    await put(both_worlds, event, product)
    for path in ("/events", "/products", f"/events/{event.uid}", f"/products/{product.uid}", "/status"):
        without, with_slash = await get(both_worlds, me, path), await get(both_worlds, me, f"{path}/")
        assert (without.status_code, with_slash.status_code) == (200, 200)
        assert without.json() == with_slash.json()


async def _many(world: World, count: int) -> list[str]:
    """So many products, put in at once; their uids in the list's order."""
    event = an_event()
    await put(world, event)
    made = [a_product(event, uid=f"{number:032x}") for number in range(count)]
    if made:
        columns = [_product_columns(one) | {"availability": 1} for one in made]
        async with world.database.store.transaction() as tx:
            for start in range(0, count, 500):
                await tx.run(insert(products).values(columns[start : start + 500]))
    return [one.uid for one in made]

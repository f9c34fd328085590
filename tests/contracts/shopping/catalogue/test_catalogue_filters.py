"""Events and products by each filter and suffix, from both sides, on both databases."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from countermand.actions.catalogue.ports import Condition, Op
from countermand.contracts.shopping.catalogue.events import FILTERS
from countermand.contracts.shopping.list_query import parse_list_query
from support.catalogue import a_product, an_event, get, listed, put, uid
from support.database_contents import changed, contents
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import kind
from support.world import NOON, PUBLIC_URL, World

world = shared_world
sqlite_world = shared_sqlite_world

# Each of them: what meets it, of the two products, or events, "this" and "that".
PRODUCT_FILTERS = {
    "name=Day%20ticket": "this",
    "name=Dagkaart": "this",
    "name=day%20ticket": "",
    "name__ne=Dagkaart": "that",
    "name__startswith=Da": "this",
    "name__startswith=Tag": "",
    "name__startswith=Wee": "that",
    "name__in=Dagkaart,Weekend": "this that",
    "name__in=Weekend": "that",
    "subtitle=Saturday": "this",
    "subtitle__startswith=Sat": "this",
    "subtitle__startswith=Sun": "",
    "subtitle__ne=Saturday": "that",
    "subtitle__in=Saturday,Sunday": "this",
    "price=12.50": "this",
    "price=12.5": "this",
    "price=12.51": "",
    "price__ne=12.50": "that",
    "price__lt=12.50": "",
    "price__lt=12.51": "this",
    "price__lte=12.50": "this",
    "price__lte=12.49": "",
    "price__gt=12.50": "that",
    "price__gt=30.00": "",
    "price__gte=30": "that",
    "price__gte=30.01": "",
    "price__in=12.50,99": "this",
    "price_cur=EUR": "this",
    "price_cur__ne=EUR": "that",
    "price_cur__in=EUR,USD": "this that",
    "price_cur__startswith=U": "that",
    "is_soldout=true": "that",
    "is_soldout=false": "this",
    "is_soldout=False": "this",
    "is_soldout__ne=true": "this",
    "sale_start=2026-11-21T11:00:00Z": "this",
    "sale_start__lt=2026-11-21T11:00:00Z": "that",
    "sale_start__lte=2026-11-21T11:00:00Z": "this that",
    "sale_start__gt=2026-11-20T12:00:00Z": "this",
    "sale_start__gte=2026-11-21T11:00:00Z": "this",
    "sale_start__gte=2026-11-21T11:00:01Z": "",
    "sale_start__ne=2026-11-21T11:00:00Z": "that",
    "sale_start__in=2026-11-21T11:00:00Z,2026-11-20T12:00:00Z": "this that",
    "sale_end__lt=2026-12-21T12:00:00Z": "this",
    "sale_end=2026-12-21T12:00:00Z": "that",
    "sale_end__gte=2026-12-21T13:00:00%2B01:00": "that",
    "price__gt=1&price__lt=20": "this",
    "price__gt=1&name=Weekend": "that",
    # no filters of the list
    "colour=red": "this that",
    "price__startswith=1": "this that",
    "is_soldout__lt=true": "this that",
    "name__eq=x": "this that",
    "__lt=1": "this that",
    "": "this that",
}


async def test_a_product_is_listed_if_it_meets_the_filter_and_otherwise_not(world: World):
    me, event = await world.shopping_client(), an_event()
    this = a_product(
        event,
        name={"en": "Day ticket", "nl": "Dagkaart"},
        sale_starts_at=NOON - timedelta(hours=1),
        sale_ends_at=NOON + timedelta(hours=1),
        more={"subtitle": {"en": "Saturday"}},
    )
    that = a_product(event, name={"en": "Weekend"}, price=3000, currency="USD", stock=0, viewing_order=1)
    await put(world, event, this, that)
    names = {this.uid: "this", that.uid: "that"}
    found = {query: await listed(world, me, f"/products?{query}") for query in PRODUCT_FILTERS}
    assert {query: " ".join(names[uid] for uid in uids) for query, uids in found.items()} == PRODUCT_FILTERS


EVENT_FILTERS = {
    "title=Grachtendagen": "this",
    "title__ne=Grachtendagen": "that",
    "title__startswith=Canal": "this",
    "title__in=Harbour,x": "that",
    "subtitle=Music": "this",
    "subtitle__ne=Music": "that",
    "merchant_name=Canal%20Foundation": "this",
    "merchant_name__ne=Canal%20Foundation": "that",
    "merchant_name__startswith=Har": "that",
    "merchant_name__in=Canal%20Foundation": "this",
    "location.name=Canal%20Park": "this",
    "location.name__ne=Canal%20Park": "that",
    "location.postal_code__startswith=97": "this",
    "location.city=Groningen": "this",
    "location.city__in=Groningen,Rotterdam": "this",
    "location.country=NL": "this",
    "location.country__ne=NL": "that",
    "artist=Low%20Bridge": "this",
    "artist=Low": "",
    "artist=Low&artist=Low%20Bridge": "this",
    "title=Grachtendagen&title=Harbour": "this that",
    "location.country=NL&location.country=BE": "this",
    "artist__startswith=Low": "this",
    "artist__ne=Low%20Bridge": "that",
    "artist__in=The%20Keepers,Nobody": "this",
    "genre=jazz": "this",
    "event_start=2026-12-01T12:00:00Z": "this",
    "event_start__gt=2026-12-01T11:59:59Z": "this",
    "event_start__gt=2026-12-01T12:00:00Z": "",
    "event_start__ne=2026-12-01T12:00:00Z": "that",
    "event_end__lte=2026-12-01T18:00:00Z": "this",
    "event_end__lt=2026-12-01T18:00:00Z": "",
    "sale_start__lt=2026-11-20T12:00:00Z": "that",
    "sale_start=2026-11-20T12:00:00Z": "this",
    "sale_end__gt=2026-12-21T12:00:00Z": "",
    "sale_end__gte=2026-12-21T12:00:00Z": "this that",
    "colour=red": "this that",
    "artist=Lage%20Brug": "this",
    "artist=nl": "",
    "artist__ne=Lage%20Brug": "that",
    "genre=djes": "this",
    "genre=name": "",
    "genre__ne=djes": "that",
}


async def test_an_event_is_listed_if_it_meets_the_filter_and_otherwise_not(world: World):
    me = await world.shopping_client()
    location = {"name": "Canal Park", "postal_code": "9712 AB", "city": "Groningen", "country": "NL"}
    this = an_event(
        starts_at=NOON + timedelta(days=10),
        ends_at=NOON + timedelta(days=10, hours=6),
        more={
            "subtitle": {"en": "Music"},
            "location": location,
            "artists": [{"en": "The Keepers"}, {"en": "Low Bridge", "nl": "Lage Brug"}],
            "genres": [{"name": {"en": "jazz", "nl": "djes"}}],
        },
    )
    that = an_event(title={"en": "Harbour"}, merchant_name="Harbour", sale_starts_at=NOON - timedelta(days=2))
    await put(world, this, that)
    names = {this.uid: "this", that.uid: "that"}
    found = {query: await listed(world, me, f"/events?{query}") for query in EVENT_FILTERS}
    told = {query: " ".join(sorted((names[uid] for uid in uids), reverse=True)) for query, uids in found.items()}
    assert told == EVENT_FILTERS


ON_SALE = {  # by the hours from now at which the sale begins and ends
    "since long and for long": (-24, 24, True),
    "from now on": (0, 24, True),
    "from a moment later": (0.001, 24, False),
    "until now": (-24, 0, True),  # the documented default is sale_end__gte
    "until a moment ago": (-24, -0.001, False),
}


async def test_without_a_condition_on_the_sale_events_are_those_on_sale_now(world: World):
    me = await world.shopping_client()
    events = {}
    for when, (starts_h, ends_h, _) in ON_SALE.items():
        sale = {"sale_starts_at": NOON + timedelta(hours=starts_h), "sale_ends_at": NOON + timedelta(hours=ends_h)}
        events[when] = an_event(**sale)
        await put(world, events[when], an_event(**sale, is_enabled=False))
    now = {events[when].uid for when, (_, _, is_listed) in ON_SALE.items() if is_listed}
    assert set(await listed(world, me, "/events")) == now
    for all_of_them in ("sale_start__gt=2000-01-01T00:00:00Z", "sale_end__gt=2000-01-01T00:00:00Z"):
        found = await listed(world, me, f"/events?{all_of_them}")
        assert set(found) == {event.uid for event in events.values()}
    assert await listed(world, me, "/events?sale_start__gt=2100-01-01T00:00:00Z") == []


async def test_a_product_that_is_not_sold_is_not_listed(world: World):
    me = await world.shopping_client()
    event, disabled, over = an_event(), an_event(is_enabled=False), an_event(sale_ends_at=NOON)
    later, sold = a_product(event, sale_starts_at=NOON + timedelta(seconds=1)), a_product(event)
    ended = a_product(event, sale_ends_at=NOON)
    not_enabled = a_product(event, is_enabled=False)
    await put(world, event, disabled, over, sold, later, ended, not_enabled, a_product(disabled), a_product(over))
    await world.product()  # from before there were events
    assert await listed(world, me, "/products") == [sold.uid]


async def test_products_of_one_event_are_found_by_its_address(world: World):
    me, one, other = await world.shopping_client(), an_event(), an_event()
    its_own, another = a_product(one), a_product(other)
    await put(world, one, other, its_own, another)
    address = f"{PUBLIC_URL}/events/{one.uid}"
    assert await listed(world, me, f"/products?event={address}") == [its_own.uid]
    assert await listed(world, me, f"/products?event={quote(address, safe='')}") == [its_own.uid]
    assert await listed(world, me, f"/products?event__ne={address}") == [another.uid]
    assert await listed(world, me, f"/products?event={PUBLIC_URL}/events/{uid()}") == []
    both = f"{address},{PUBLIC_URL}/events/{other.uid}"
    assert set(await listed(world, me, f"/products?event__in={both}")) == {its_own.uid, another.uid}


WRONG = {
    "/products?price=cheap": "price",
    "/products?price__lt=12.505": "price__lt",
    "/products?price__gte=-1": "price__gte",
    "/products?price__in=1,x": "price__in",
    "/products?price=1e3": "price",
    "/products?price=": "price",
    f"/products?price={'9' * 13}": "price",
    "/products?is_soldout=maybe": "is_soldout",
    "/products?sale_start=tomorrow": "sale_start",
    "/products?sale_start__lt=2026-11-21": "sale_start__lt",
    "/products?sale_start=2026-11-21T12:00:00": "sale_start",
    "/products?sale_end=0001-01-01T00:00:00%2B23:00": "sale_end",
    "/products?event=5": "event",
    f"/products?event={'0' * 32}": "event",
    "/products?event=http://elsewhere.test/events/00000000000000000000000000000000": "event",
    "/products?event__in=,": "event__in",
    "/products?name=%00": "name",
    "/products?name__in=a,%00": "name__in",
    "/products?page=0": "page",
    "/products?page=-1": "page",
    "/products?page=": "page",
    "/products?page=two": "page",
    "/products?page=1.5": "page",
    "/products?page=%D9%A1": "page",
    f"/products?name__in={'a,' * 100}": "name__in",
    "/products?name__ne=a&name__ne=b": "name__ne",
    "/products?name__startswith=a&name__startswith=b": "name__startswith",
    "/products?is_soldout=true&is_soldout=true": "is_soldout",
    "/products?sale_start=2026-11-21T12:00:00Z&sale_start=2026-11-21T12:00:00Z": "sale_start",
    "/products?page=1&page=1": "page",
    "/products?event=5&event=6": "event",
    "/events?event_end__lte=soon": "event_end__lte",
    "/events?page=0": "page",
    "/events?location.city=%00": "location.city",
}


@pytest.mark.parametrize("address", WRONG)
async def test_a_value_that_does_not_hold_is_refused_and_the_parameter_named(sqlite_world: World, address: str):
    me = await sqlite_world.shopping_client()
    before = await contents(sqlite_world)
    answer = await get(sqlite_world, me, address)
    assert kind(answer) == (400, "BAD_REQUEST")
    (error,) = answer.json()["errors"]
    assert error["path"] == WRONG[address]
    assert error["message"].startswith(f"{WRONG[address]} must be ")
    assert not changed(before, await contents(sqlite_world))


async def test_all_that_is_wrong_is_told_at_once(sqlite_world: World):
    me = await sqlite_world.shopping_client()
    answer = await get(sqlite_world, me, "/products?page=0&price=x&name=ok&is_soldout=2")
    assert [error["path"] for error in answer.json()["errors"]] == ["page", "price", "is_soldout"]


async def test_a_hundred_values_are_taken_and_a_parameter_that_repeats_takes_any_of_its_values(world: World):
    me, event = await world.shopping_client(), an_event()
    product = a_product(event, name={"en": "x'; DROP TABLE products; --"})
    await put(world, event, product)
    name = quote("x'; DROP TABLE products; --")
    many = ",".join(["a"] * 99)
    assert await listed(world, me, f"/products?name__in={many},{name}") == [product.uid]
    assert await listed(world, me, f"/products?name__in={many}&name__in={name}") == [product.uid]
    assert await listed(world, me, f"/products?name=a&name={name}") == [product.uid]
    assert await listed(world, me, f"/products?name={name}&name=a") == [product.uid]
    assert await listed(world, me, "/products?name=b&name=a") == []
    hundred = "&".join(["name=a"] * 99)
    assert await listed(world, me, f"/products?{hundred}&name={name}") == [product.uid]
    assert kind(await get(world, me, f"/products?{hundred}&name=b&name={name}")) == (400, "BAD_REQUEST")
    assert await listed(world, me, f"/products?name__startswith={quote('x%')}") == []


async def test_a_name_that_ends_in_underscores_has_no_suffix_and_is_ignored(sqlite_world: World):
    me, event = await sqlite_world.shopping_client(), an_event()
    await put(sqlite_world, event)
    assert await listed(sqlite_world, me, "/events?title__=Nothing&page__=x") == [event.uid]
    answer = await get(sqlite_world, me, "/events?sale_start__=2030-01-01T00:00:00Z")
    assert [one["uid"] for one in answer.json()["_embedded"]["shop:event"]] == [event.uid]


async def test_text_beyond_ascii_is_found_quoted_and_as_the_bytes_themselves(world: World):
    me = await world.shopping_client()
    event, other = an_event(title={"en": "Mør 🎪 _%"}), an_event(title={"en": "Mor"})
    await put(world, event, other)
    for given in ("Mør 🎪 _%", "Mør"):
        suffix = "" if given.endswith("%") else "__startswith"
        assert await listed(world, me, f"/events?title{suffix}={quote(given)}") == [event.uid]


@pytest.mark.parametrize("query", ["title=Mør&x=é", "title=M%C3%B8r&x=é"])
def test_bytes_beyond_ascii_that_came_as_they_are_are_utf_8_too(query: str):
    wanted = parse_list_query(query.encode(), FILTERS)
    assert wanted.conditions == [Condition("title", Op.EQ, "Mør")]
    assert wanted.links("/events", 0)["self"] == {"href": "/events?title=M%C3%B8r&x=%C3%A9"}

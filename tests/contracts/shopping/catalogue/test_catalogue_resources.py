"""The root, the status, an event, a product: every key of each, who may see them, and where their links lead."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import update

from countermand.domain.client import Permission
from countermand.domain.ticketing.catalogue import Part, ProductUid
from countermand.storage.tables.catalogue import events
from support.breakage import without_its_database
from support.catalogue import CURIES, a_product, an_event, get, languages, listed, profile, put, uid
from support.shared_world import shared_both_worlds, shared_sqlite_world, shared_world
from support.shopping_calls import availability, cancel, kind
from support.world import EVERYTHING, NOON, PUBLIC_URL, World

both_worlds = shared_both_worlds
sqlite_world = shared_sqlite_world
world = shared_world


async def test_the_root_leads_to_everything_and_asks_for_no_credentials(world: World):
    answer = await world.http.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    shown = answer.json()
    assert list(shown) == ["_links"]
    links = shown["_links"]
    assert links["curies"] == CURIES
    assert links["self"] == {"href": f"{PUBLIC_URL}/"}
    assert links["profile"] == profile("root")
    assert links["help"] == {"href": f"{PUBLIC_URL}/docs", "type": "text/html"}
    plain = {"shop:order": "/orders", "shop:status": "/status", "shop:ordercancellation": "/ordercancellation"}
    assert {rel: links[rel] for rel in plain} == {rel: {"href": PUBLIC_URL + path} for rel, path in plain.items()}
    templated = {
        "shop:bill": "/bill{?products,payment_method,shipping_method,country,external_purchase_amount}",
        "shop:tickets": "/tickets?event={event}&code={barcode}",
        "shop:ticket": "/tickets/{uid}",
        "shop:product": "/products{?name,subtitle,price,price_cur,is_soldout,event,sale_start,sale_end,page}",
        "shop:event": "/events{?merchant_name,title,subtitle,sale_start,sale_end,event_start,event_end,location.name,"
        "location.postal_code,location.city,location.country,artist,genre,page}",
    }
    assert {rel: links[rel] for rel in templated} == {
        rel: {"href": PUBLIC_URL + path, "templated": True} for rel, path in templated.items()
    }
    assert links.keys() == {"curies", "self", "profile", "help", *plain, *templated}


async def test_the_status_is_ok_while_it_works_and_503_while_it_does_not(world: World):
    answer = await world.http.get("/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    links = {"curies": CURIES, "self": {"href": f"{PUBLIC_URL}/status"}, "profile": profile("status")}
    assert answer.json() == {"_links": links, "status": "OK"}


async def test_the_status_is_503_while_the_database_is_away(sqlite_world: World):
    with without_its_database(sqlite_world):
        answer = await sqlite_world.http.get("/status")
        assert (kind(answer), int(answer.headers["retry-after"]) > 0) == ((503, "UNAVAILABLE"), True)
        assert (await sqlite_world.http.get("/")).status_code == 200
    assert (await sqlite_world.http.get("/status")).status_code == 200


async def test_an_event_has_every_documented_field_and_embeds_its_products(world: World):
    me = await world.shopping_client()
    more = {
        "subtitle": {"en": "Music"},
        "description": {"nl": "Muziek"},
        "location": {"name": "Canal Park", "city": "Groningen", "country": "NL"},
        "artists": [{"en": "Low Bridge", "nl": "Lage Brug"}],
        "genres": [{"name": {"en": "folk"}}],
        "facilities": {"lockers": True, "parking": {"en": "At the station"}},
        "image": "https://static.test/e.jpg",
        "ticketshop": "https://shop.example/e",
        "fulfillment_starts_at": "2026-11-30T12:00:00Z",
    }
    event = an_event(starts_at=NOON + timedelta(days=1, microseconds=5), max_per_order=9, more=more)
    product, hidden = a_product(event), a_product(event, is_enabled=False)
    await put(world, event, product, hidden)
    address = f"{PUBLIC_URL}/events/{event.uid}"
    shown = (await get(world, me, address)).json()
    embedded = shown.pop("_embedded")
    assert shown == {
        "_links": {
            "curies": CURIES,
            "self": {"href": address},
            "profile": profile("event"),
            "shop:products": {"href": f"{PUBLIC_URL}/products?event={address}"},
            "shop:ticketshop": {"href": "https://shop.example/e", "type": "text/html"},
        },
        "uid": event.uid,
        "reference": "E1",
        "merchant_name": "Canal Foundation",
        "title": languages(en="Canal Days", nl="Grachtendagen"),
        "subtitle": languages(en="Music"),
        "sale_start": "2026-11-20T12:00:00Z",
        "sale_end": "2026-12-21T12:00:00Z",
        "event_start": "2026-11-22T12:00:00Z",
        "event_end": None,
        "personalization_start": None,
        "personalization_end": None,
        "fulfillment_starts_at": "2026-11-30T12:00:00Z",
        "location": {"name": "Canal Park", "address": None, "postal_code": None, "city": "Groningen", "country": "NL"},
        "facilities": {"lockers": True, "parking": {"en": "At the station"}},
        "description": languages(nl="Muziek"),
        "long_description": languages(),
        "image": "https://static.test/e.jpg",
        "artists": [languages(en="Low Bridge", nl="Lage Brug")],
        "genres": [{"name": languages(en="folk"), "title": languages(en="folk")}],
        "sold_out": False,
        "sold_out_text": languages(),
        "min_quantity_per_order": None,
        "max_quantity_per_order": 9,
    }
    assert list(embedded) == ["shop:product"]
    assert embedded["shop:product"] == [(await get(world, me, f"/products/{product.uid}")).json()]
    (in_list,) = (await get(world, me, "/events")).json()["_embedded"]["shop:event"]
    assert in_list == shown


async def test_the_plain_texts_of_an_older_version_are_shown_as_published(world: World):
    me, event = await world.shopping_client(), an_event()
    await put(world, event)
    older = {"artists": ["Low Bridge"], "genres": ["folk"], "facilities": ["lockers"], "location": {"name": "Park"}}
    async with world.database.store.transaction() as tx:
        await tx.run(update(events).where(events.c.uid == event.uid).values(details=json.dumps(older)))
    shown = (await get(world, me, f"/events/{event.uid}")).json()
    assert shown["artists"] == [languages(en="Low Bridge")]
    assert shown["genres"] == [{"name": languages(en="folk"), "title": languages(en="folk")}]
    assert shown["facilities"] == {"lockers": True}
    assert shown["location"]["name"] == "Park"
    for query, found in (("artist=Low%20Bridge", [event.uid]), ("genre=folk", [event.uid]), ("genre=name", [])):
        assert await listed(world, me, f"/events?{query}") == found
    headers = world.manage_headers(await world.manage_client())
    given = (await world.http.get("/manage/v1/catalogue", headers=headers)).json()["events"][0]
    assert given["artists"] == [{"en": "Low Bridge"}]
    assert given["genres"] == [{"name": {"en": "folk"}}]
    assert given["facilities"] == {"lockers": True}


async def test_a_product_has_every_documented_field(world: World):
    me, event = await world.shopping_client(), an_event()
    part = a_product(event, stock=7)
    combo = a_product(
        event,
        name={"en": "Both"},
        price=2005,
        max_per_order=4,
        viewing_order=3,
        is_separately_saleable=False,
        parts=(Part(product_uid=ProductUid(part.uid), quantity=2),),
        sale_ends_at=NOON + timedelta(days=2),
        more={"types": ["camping"], "requires_membership": True, "additional_information": {"en": "Bring a tent"}},
    )
    await put(world, event, part, combo)
    answer = await get(world, me, f"/products/{combo.uid}")
    assert b'"amount":20.05' in answer.content
    assert answer.json() == {
        "_links": {
            "curies": CURIES,
            "self": {"href": f"{PUBLIC_URL}/products/{combo.uid}"},
            "profile": profile("product"),
            "shop:event": {"href": f"{PUBLIC_URL}/events/{event.uid}"},
        },
        "uid": combo.uid,
        "reference": "P1",
        "name": languages(en="Both"),
        "subtitle": languages(),
        "price": {"amount": 20.05, "currency": "EUR"},
        "sold_out": False,
        "sold_out_text": languages(),
        "min_per_order": 1,
        "max_per_order": 4,
        "separately_saleable": False,
        "availability": 100,
        "total_availability": 100,
        "additional_information": languages(en="Bring a tent"),
        "viewing_order": 3,
        "parents": [],
        "combo": [f"{PUBLIC_URL}/products/{part.uid}"],
        "types": ["camping"],
        "sale_start": "2026-11-20T12:00:00Z",
        "sale_end": "2026-11-23T12:00:00Z",
        "requires_membership": True,
        "provides_membership": False,
    }
    of_part = (await get(world, me, f"/products/{part.uid}")).json()
    assert (of_part["parents"], of_part["combo"]) == ([f"{PUBLIC_URL}/products/{combo.uid}"], [])
    assert of_part["sale_end"] == "2026-12-21T12:00:00Z"


async def test_an_event_is_sold_out_when_nothing_is_left_of_any_of_its_products(world: World):
    me, event, empty = await world.shopping_client(), an_event(), an_event()
    first, second = a_product(event, stock=0), a_product(event, stock=1)
    await put(world, event, empty, first, second, a_product(event, is_enabled=False))
    path = f"/events/{event.uid}"
    assert (await get(world, me, path)).json()["sold_out"] is False
    await world.ticket_order(me, product=second.uid, quantity=1)
    assert (await get(world, me, path)).json()["sold_out"] is True
    by_uid = {
        one["uid"]: one["sold_out"] for one in (await get(world, me, "/events")).json()["_embedded"]["shop:event"]
    }
    assert by_uid == {event.uid: True, empty.uid: False}


async def test_availability_falls_with_an_order_and_rises_with_its_cancellation(world: World):
    me, event = await world.shopping_client(), an_event()
    product = a_product(event, stock=3)
    await put(world, event, product)
    path = f"/products/{product.uid}"

    async def left() -> tuple[int, int, bool]:
        shown = (await get(world, me, path)).json()
        return shown["availability"], shown["total_availability"], shown["sold_out"]

    order = await world.ticket_order(me, product=product.uid, quantity=3)
    assert await left() == (0, 3, True)
    assert (await cancel(world, me, world.uri(order))).status_code == 200
    assert await left() == (3, 3, False)
    assert await availability(world, product.uid) == 3


async def test_what_is_not_there_or_not_enabled_is_404(world: World):
    me, event, hidden = await world.shopping_client(), an_event(), an_event(is_enabled=False)
    disabled, of_hidden = a_product(event, is_enabled=False), a_product(hidden)
    await put(world, event, hidden, disabled, of_hidden)
    for path in (f"/events/{hidden.uid}", f"/events/{uid()}", f"/events/{disabled.uid}", "/events/1", "/events/é"):
        answer = await get(world, me, path)
        assert (kind(answer), answer.json()["message"]) == ((404, "NOT_FOUND"), "Not found. There is no such event.")
    for path in (f"/products/{disabled.uid}", f"/products/{of_hidden.uid}", f"/products/{event.uid}", "/products/x"):
        answer = await get(world, me, path)
        assert (kind(answer), answer.json()["message"]) == ((404, "NOT_FOUND"), "Not found. There is no such product.")


async def test_what_is_off_sale_or_from_before_there_were_events_is_still_read_by_its_address(world: World):
    me, over = await world.shopping_client(), an_event(sale_ends_at=NOON - timedelta(hours=1))
    product, old = a_product(over), await world.product()
    await put(world, over, product)
    shown = (await get(world, me, f"/events/{over.uid}")).json()
    assert (shown["uid"], shown["_embedded"]) == (over.uid, {"shop:product": []})
    assert (await get(world, me, f"/products/{product.uid}")).status_code == 200
    without_event = (await get(world, me, f"/products/{old}")).json()
    assert "shop:event" not in without_event["_links"]
    assert (without_event["sale_start"], without_event["sale_end"]) == (None, None)


@pytest.mark.parametrize("path", ["/events", "/products", f"/events/{'0' * 32}", f"/products/{'0' * 32}"])
async def test_reading_the_catalogue_needs_credentials_and_the_permission(sqlite_world: World, path: str):
    nobody = await sqlite_world.http.get(path)
    assert (kind(nobody), nobody.headers["www-authenticate"][:5]) == ((401, "UNAUTHORIZED"), "Basic")
    other = await sqlite_world.shopping_client(permissions=EVERYTHING - {Permission.READ})
    assert kind(await get(sqlite_world, other, path)) == (403, "FORBIDDEN")
    reader = await sqlite_world.shopping_client(permissions=frozenset({Permission.READ}))
    assert (await get(sqlite_world, reader, path)).status_code in {200, 404}


async def test_every_relation_and_profile_leads_to_a_page_of_ours(sqlite_world: World):
    me, event = await sqlite_world.shopping_client(), an_event(more={"ticketshop": "https://shop.example/"})
    product = a_product(event)
    await put(sqlite_world, event, product)
    order = await sqlite_world.ticket_order(me, product=product.uid)
    pages = set()
    for path in ("/", "/status", "/events", "/products", f"/events/{event.uid}", sqlite_world.uri(order)):
        for links in _links_in((await get(sqlite_world, me, path)).json()):
            pages |= {rel.removeprefix("shop:") for rel in links if rel.startswith("shop:")}
            if "profile" in links:
                href = links["profile"]["href"]
                assert href.startswith(f"{PUBLIC_URL}/documentation/")
                pages.add(re.sub(r".*/(\w+)\.html", r"\1", href))
    assert {"event", "products", "ticketshop", "ordercancellation", "etickets", "root"} <= pages
    template = CURIES[0]["href"]
    for page in pages:
        answer = await sqlite_world.http.get(template.replace("{rel}", page))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), page


def _links_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every `_links` in a document, those of what is embedded, too."""
    if isinstance(value, dict):
        if "_links" in value:
            yield value["_links"]
        for inner in value.values():
            yield from _links_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _links_in(inner)


async def test_the_self_of_everything_keeps_the_query_it_was_asked_with(both_worlds: World):
    me, event = await both_worlds.shopping_client(), an_event()
    product = a_product(event)
    await put(both_worlds, event, product)
    for path in ("/", "/status", "/events", "/products", f"/events/{event.uid}", f"/products/{product.uid}"):
        shown = (await get(both_worlds, me, f"{path}?_=17&x=%20y")).json()
        assert shown["_links"]["self"]["href"] == f"{PUBLIC_URL}{path}?_=17&x=%20y"
        assert [one["_links"]["self"]["href"].partition("?")[1] for one in embedded(shown)] == [""] * len(
            embedded(shown)
        )


async def test_a_self_with_a_query_still_names_the_event_and_the_product(world: World):
    me, event = await world.shopping_client(), an_event()
    product = a_product(event)
    await put(world, event, product)
    itself = (await get(world, me, f"/events/{event.uid}?_=17")).json()["_links"]["self"]["href"]
    assert await listed(world, me, f"/products?event={quote(itself, safe='')}") == [product.uid]
    bought = (await get(world, me, f"/products/{product.uid}?_=17")).json()["_links"]["self"]["href"]
    body = {"products": [{"product": bought, "quantity": 1}]}
    bill = await world.http.post("/bill", json=body, headers=world.shopping_headers(me))
    assert bill.status_code == 200, bill.text


def embedded(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for items in shown.get("_embedded", {}).values() for one in items]

"""`/manage/v1/catalogue`: brought in all or none, as often as one likes, what is held stays held; and read back."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import delete

from countermand.domain.client import Permission
from countermand.storage.tables.catalogue import events as events_table
from countermand.storage.tables.catalogue import methods as methods_table
from countermand.storage.tables.catalogue import product_parts
from countermand.storage.tables.catalogue import products as products_table
from countermand.storage.tables.catalogue import vouchers as vouchers_table
from support.catalogue import get, listed
from support.database_contents import changed, contents
from support.manage_calls import fields, problem
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import availability, cancel
from support.world import EVERYTHING, Caller, World

world = shared_world
sqlite_world = shared_sqlite_world

PATH = "/manage/v1/catalogue"
EVENT, DAY, LOCKER, BOTH = ("e" * 32, "d" * 32, "1" * 32, "b" * 32)
OTHER_EVENT = "f" * 32


def event(**given: Any) -> dict[str, Any]:
    made = {
        "uid": EVENT,
        "merchant_name": "Canal Foundation",
        "title": {"en": "Canal Days"},
        "sale_start": "2026-11-01T00:00:00Z",
        "sale_end": "2026-12-31T23:00:00+01:00",
    }
    return made | given


def product(uid: str = DAY, **given: Any) -> dict[str, Any]:
    made = {
        "uid": uid,
        "event": EVENT,
        "name": {"en": "Day ticket"},
        "price": {"amount": 12.5, "currency": "EUR"},
        "total_availability": 10,
    }
    return made | given


METHOD = {"uid": "a" * 32, "kind": "payment", "name": {"en": "iDeal"}, "costs": {"amount": 1, "currency": "EUR"}}
STALLS = {"section": "Stalls", "row": "A", "first": 1, "last": 10}
VOUCHER = {"code": "SUMMER", "event": EVENT, "products": [DAY], "discount_percent": 10}
WHOLE = {
    "events": [event()],
    "products": [
        product(BOTH, parts=[{"product": LOCKER}, {"product": DAY, "quantity": 2}]),
        product(),
        product(LOCKER),
    ],
    "methods": [METHOD],
    "vouchers": [VOUCHER],
}


async def test_a_catalogue_is_added_and_the_same_again_changes_nothing(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    first = await _load(world, operator, WHOLE)
    assert (first.status_code, first.json()) == (200, {"added": 6, "changed": 0, "as_they_were": 0})
    before = await contents(world)
    again = await _load(world, operator, WHOLE)
    assert again.json() == {"added": 0, "changed": 0, "as_they_were": 6}
    assert not changed(before, await contents(world))
    shown = (await get(world, shop, f"/products/{BOTH}")).json()
    assert {uri[-32:] for uri in shown["combo"]} == {DAY, LOCKER}
    assert (await get(world, shop, f"/events/{EVENT}")).json()["sale_end"] == "2026-12-31T22:00:00Z"
    (kept,) = await world.rows("vouchers")
    assert (kept["code"], kept["event_uid"], kept["discount_percent"], kept["uses_cap"]) == ("SUMMER", EVENT, 10, None)


async def test_what_differs_is_changed_and_what_is_not_named_stays(world: World):
    operator = await world.manage_client()
    await _load(world, operator, WHOLE)
    before = {row["uid"]: row for row in await world.rows("products")}
    changes = {"products": [product(BOTH, name={"en": "Both"}, parts=[{"product": LOCKER}]), product()]}
    assert (await _load(world, operator, changes)).json() == {"added": 0, "changed": 1, "as_they_were": 1}
    after = {row["uid"]: row for row in await world.rows("products")}
    assert {uid: after[uid] for uid in (DAY, LOCKER)} == {uid: before[uid] for uid in (DAY, LOCKER)}
    assert after[BOTH]["name"] == '{"en":"Both"}'
    (part,) = await world.rows("product_parts")
    assert (part["combo_uid"], part["part_uid"], part["quantity"]) == (BOTH, LOCKER, 1)
    assert (await _load(world, operator, {"events": [event(enabled=False)]})).json()["changed"] == 1
    assert (await _load(world, operator, {"vouchers": [VOUCHER | {"uses_cap": 5}]})).json()["changed"] == 1
    assert (await _load(world, operator, {"methods": [METHOD | {"countries": ["NL"]}]})).json()["changed"] == 1


async def test_a_plan_of_seats_gives_the_total_and_the_same_again_changes_nothing(world: World):
    operator = await world.manage_client()
    rows = [STALLS, {"section": "Stalls", "row": "A", "first": 11, "last": 14}, STALLS | {"row": "B", "first": 3}]
    seated = product(total_availability=None, seats=rows)
    given = {"events": [event()], "products": [seated, product(LOCKER)]}
    assert (await _load(world, operator, given)).json()["added"] == 3
    assert (await availability(world, DAY), len(await world.rows("seats"))) == (22, 22)
    before = await contents(world)
    for again in (seated, seated | {"total_availability": 22}):
        answer = await _load(world, operator, given | {"products": [again, product(LOCKER)]})
        assert answer.json() == {"added": 0, "changed": 0, "as_they_were": 3}
        assert not changed(before, await contents(world))
    turned = await _load(world, operator, {"products": [seated | {"seats": rows[::-1]}]})  # other seats are the best
    assert turned.json() == {"added": 0, "changed": 1, "as_they_were": 0}
    assert (await _load(world, operator, {"products": [product(total_availability=5)]})).json()["changed"] == 1
    assert await world.rows("seats") == []
    assert await availability(world, DAY) == 5


async def test_a_plan_without_a_seat_that_is_held_is_refused_whole(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    seated = product(total_availability=None, seats=[STALLS])
    await _load(world, operator, {"events": [event()], "products": [seated]})
    await world.ticket_order(shop, product=DAY, quantity=2)
    before = await contents(world)
    for wanted in (seated | {"seats": [STALLS | {"first": 2}]}, product(total_availability=10)):
        answer = await _load(world, operator, {"products": [wanted, product(LOCKER)]})
        assert problem(answer) == (409, "seats_held")
        assert "section Stalls, row A, seat 1 of the product" in answer.json()["detail"]
        assert not changed(before, await contents(world))
    assert (await _load(world, operator, {"products": [seated | {"seats": [STALLS | {"last": 2}]}]})).status_code == 200
    assert await availability(world, DAY) == 0


# total before, held, total after: what is left, or None where it is refused
STOCK = [(10, 4, 12, 8), (10, 4, 10, 6), (10, 4, 5, 1), (10, 4, 4, 0), (10, 4, 3, None), (10, 4, 0, None), (4, 0, 0, 0)]


@pytest.mark.parametrize(("before", "held", "after", "left"), STOCK)
async def test_what_is_held_of_a_product_stays_held_when_its_total_changes(
    world: World, before: int, held: int, after: int, left: int | None
):
    operator, shop = await world.manage_client(), await world.shopping_client()
    await _load(world, operator, {"events": [event()], "products": [product(total_availability=before)]})
    order = await world.ticket_order(shop, product=DAY, quantity=held) if held else None
    contents_before = await contents(world)
    wanted = {"events": [event(title={"en": "New"})], "products": [product(total_availability=after)]}
    answer = await _load(world, operator, wanted)
    if left is None:
        assert problem(answer) == (409, "more_held")
        assert f"new total of {after}" in answer.json()["detail"]
        assert not changed(contents_before, await contents(world))
        return
    assert answer.status_code == 200
    assert await availability(world, DAY) == left
    if order is not None:  # what it held comes back, and no more
        assert (await cancel(world, shop, world.uri(order))).status_code == 200
    assert await availability(world, DAY) == after


_HIGHEST = 100_000_000
WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no uid": ({"events": [{**event(), "uid": "x"}]}, ["events[0].uid"]),
    "no title": ({"events": [{name: it for name, it in event().items() if name != "title"}]}, ["events[0].title"]),
    "a language that is none": ({"events": [event(title={"english": "x"})]}, ["events[0].title"]),
    "it ends before it begins": ({"events": [event(sale_end="2026-11-01T00:00:00Z")]}, ["events[0].sale_end"]),
    "no time zone": ({"events": [event(event_start="2026-11-01T00:00:00")]}, ["events[0].event_start"]),
    "long ago": ({"events": [event(sale_start="1999-12-31T23:59:59Z")]}, ["events[0].sale_start"]),
    "most below least": (
        {"events": [event(min_quantity_per_order=3, max_quantity_per_order=2)]},
        ["events[0].max_quantity_per_order"],
    ),
    "no address": ({"events": [event(image="ftp://x")]}, ["events[0].image"]),
    "three decimals": (
        {"events": [event()], "products": [product(price={"amount": 1.005, "currency": "EUR"})]},
        ["products[0].price"],
    ),
    "a currency without cents": (
        {"events": [event()], "products": [product(price={"amount": 1, "currency": "JPY"})]},
        ["products[0].price"],
    ),
    "two currencies": (
        {"events": [event()], "products": [product(service_costs={"amount": 1, "currency": "USD"})]},
        ["products[0].service_costs"],
    ),
    "a total below none": (
        {"events": [event()], "products": [product(total_availability=-1)]},
        ["products[0].total_availability"],
    ),
    "a total beyond all": (
        {"events": [event()], "products": [product(total_availability=_HIGHEST + 1)]},
        ["products[0].total_availability"],
    ),
    "neither a total nor seats": (
        {"events": [event()], "products": [product(total_availability=None)]},
        ["products[0].total_availability"],
    ),
    "as many seats, and one": (
        {"events": [event()], "products": [product(total_availability=11, seats=[STALLS])]},
        ["products[0].total_availability"],
    ),
    "the last seat before the first": (
        {"events": [event()], "products": [product(total_availability=None, seats=[STALLS | {"last": 0, "first": 1}])]},
        ["products[0].seats[0].last"],
    ),
    "a row that ends before it begins": (
        {"events": [event()], "products": [product(total_availability=None, seats=[STALLS | {"first": 11}])]},
        ["products[0].seats[0].last"],
    ),
    "a row without a name": (
        {"events": [event()], "products": [product(seats=[STALLS | {"row": ""}])]},
        ["products[0].seats[0].row"],
    ),
    "a seat twice": (
        {"events": [event()], "products": [product(seats=[STALLS, STALLS | {"first": 10, "last": 12}])]},
        ["products[0].seats[1]", "products[0].total_availability"],
    ),
    "more seats than a product has": (
        {"events": [event()], "products": [product(total_availability=None, seats=[STALLS | {"last": 20_001}])]},
        ["products[0].seats"],
    ),
    "an unknown event": ({"products": [product()]}, ["products[0].event"]),
    "an unknown part": (
        {"events": [event()], "products": [product(parts=[{"product": LOCKER}])]},
        ["products[0].parts"],
    ),
    "a part of itself": ({"events": [event()], "products": [product(parts=[{"product": DAY}])]}, ["products[0].parts"]),
    "a part twice": (
        {"events": [event()], "products": [product(LOCKER), product(parts=[{"product": LOCKER}] * 2)]},
        ["products[1].parts"],
    ),
    "a combo of a combo": (
        {**WHOLE, "products": [*WHOLE["products"], product("c" * 32, parts=[{"product": BOTH}])]},
        ["products[3].parts"],
    ),
    "a part of another event": (
        {
            "events": [event(), event(uid=OTHER_EVENT)],
            "products": [product(), product(LOCKER, event=OTHER_EVENT, parts=[{"product": DAY}])],
        },
        ["products[1].parts"],
    ),
    "a part in another currency": (
        {
            "events": [event()],
            "products": [product(price={"amount": 1, "currency": "USD"}), product(LOCKER, parts=[{"product": DAY}])],
        },
        ["products[1].parts"],
    ),
    "twice": ({"events": [event(), event()]}, ["events[1].uid"]),
    "a voucher for nothing": ({"vouchers": [VOUCHER]}, ["vouchers[0].event", "vouchers[0].products"]),
    "a discount beyond all": (
        {**WHOLE, "vouchers": [VOUCHER | {"discount_percent": 101}]},
        ["vouchers[0].discount_percent"],
    ),
    "a method of no kind": ({"methods": [METHOD | {"kind": "barter"}]}, ["methods[0].kind"]),
    "a method for a consumer field that is none": (
        {"methods": [METHOD | {"required_consumer_fields": ["shoe_size"]}]},
        ["methods[0].required_consumer_fields"],
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_does_not_hold_is_named_and_nothing_is_loaded(sqlite_world: World, what: str):
    given, named = WRONG[what]
    operator = await sqlite_world.manage_client()
    before = await contents(sqlite_world)
    found = fields(await _load(sqlite_world, operator, given))
    assert [one for one in found if not one.startswith(tuple(named))] == []
    assert len(found) >= len(named)
    assert not changed(before, await contents(sqlite_world))


async def test_references_may_be_to_what_is_there_already_but_no_part_becomes_a_combo(world: World):
    operator = await world.manage_client()
    await _load(world, operator, WHOLE)
    more = {"products": [product("c" * 32, parts=[{"product": DAY}])], "vouchers": [VOUCHER | {"code": "X"}]}
    assert (await _load(world, operator, more)).json()["added"] == 2
    before = await contents(world)
    combo_of_combo = await _load(world, operator, {"products": [product(parts=[{"product": LOCKER}])]})
    assert fields(combo_of_combo) == ["products[0].parts", "products[0].parts"]
    of_a_combo = await _load(world, operator, {"products": [product("a" * 32, parts=[{"product": BOTH}])]})
    assert fields(of_a_combo) == ["products[0].parts"]
    assert not changed(before, await contents(world))


async def test_brought_in_by_several_at_once_it_is_there_once(world: World):
    operators = [await world.manage_client() for _ in range(4)]
    swapped = {kind: items[::-1] for kind, items in WHOLE.items()}
    answers = await asyncio.gather(*(_load(world, one, given) for one in operators for given in (WHOLE, swapped)))
    assert {answer.status_code for answer in answers} == {200}
    assert {row["uid"]: (row["availability"], row["total_availability"]) for row in await world.rows("products")} == (
        dict.fromkeys((DAY, LOCKER, BOTH), (10, 10))
    )
    assert sorted((row["part_uid"], row["quantity"]) for row in await world.rows("product_parts")) == [
        (LOCKER, 1),
        (DAY, 2),
    ]
    assert [len(await world.rows(table)) for table in ("events", "methods", "vouchers")] == [1, 1, 1]


async def test_a_part_stays_of_its_combos_event_and_currency(world: World):
    operator = await world.manage_client()
    await _load(world, operator, WHOLE | {"events": [event(), event(uid=OTHER_EVENT)]})
    before = await contents(world)
    moved = await _load(world, operator, {"products": [product(event=OTHER_EVENT)]})
    assert fields(moved) == ["products[0].event"]
    dollars = await _load(world, operator, {"products": [product(price={"amount": 1, "currency": "USD"})]})
    assert fields(dollars) == ["products[0].price"]
    assert not changed(before, await contents(world))
    together = [product(one, event=OTHER_EVENT) for one in (DAY, LOCKER)]
    together += [product(BOTH, event=OTHER_EVENT, parts=[{"product": LOCKER}, {"product": DAY}])]
    assert (await _load(world, operator, {"products": together})).json()["changed"] == 3


async def test_what_is_shown_to_the_second_is_found_by_what_is_shown(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    sale = {"sale_start": "2026-11-01T00:00:00.75Z", "sale_end": "2026-12-31T22:00:00.25Z"}
    answer = await _load(world, operator, {"events": [event(**sale)], "products": [product(**sale)]})
    assert answer.status_code == 200
    for path, sort in ((f"/events/{EVENT}", "events"), (f"/products/{DAY}", "products")):
        shown = (await get(world, shop, path)).json()
        found = f"/{sort}?sale_start={shown['sale_start']}&sale_end={shown['sale_end']}"
        assert await listed(world, shop, found) == [shown["uid"]]
    within = event(sale_start="2026-11-01T00:00:00.1Z", sale_end="2026-11-01T00:00:00.9Z")
    assert fields(await _load(world, operator, {"events": [within]})) == ["events[0].sale_end"]


FULL = {
    "events": [
        event(
            reference="CD",
            event_start="2027-01-01T10:00:00Z",
            event_end="2027-01-01T23:00:00Z",
            enabled=False,
            min_quantity_per_order=1,
            max_quantity_per_order=9,
            subtitle={"en": "S", "nl": ""},
            description={"en": "D"},
            long_description={"en": "L"},
            sold_out_text={"en": "Gone"},
            location={"name": "Canal Park", "city": "Groningen", "country": "NL"},
            facilities={"lockers": True, "parking": "At the station", "crèche": {"en": "Until noon"}},
            artists=[{"en": "Low Bridge", "nl": "Lage Brug"}],
            genres=[{"name": {"en": "folk"}}],
            image="https://shop.example/a.png",
            ticketshop="https://shop.example/",
            personalization_start="2026-12-01T00:00:00Z",
            personalization_end="2026-12-02T00:00:00Z",
            fulfillment_starts_at="2026-12-03T00:00:00Z",
            sale_end="2026-12-31T22:00:00Z",
        )
    ],
    "products": [
        product(
            reference="D",
            service_costs={"amount": 0.1, "currency": "EUR"},
            min_per_order=2,
            max_per_order=4,
            separately_saleable=False,
            enabled=False,
            needs_voucher=True,
            sale_start="2026-11-02T00:00:00Z",
            sale_end="2026-11-03T00:00:00Z",
            viewing_order=3,
            subtitle={"en": "S"},
            sold_out_text={"en": "Gone"},
            additional_information={"en": "A"},
            types=["day"],
            requires_membership=True,
            provides_membership=False,
        ),
        product(
            "f" * 32,
            total_availability=5,
            seats=[
                {"section": "Stalls", "row": "B", "first": 1, "last": 3},
                {"section": "Stalls", "row": "A", "first": 7, "last": 8},
            ],
        ),
        product("c" * 32, parts=[{"product": DAY, "quantity": 2}]),
    ],
    "methods": [
        METHOD
        | {"image": "https://shop.example/b.png", "countries": ["NL"], "required_consumer_fields": ["email"]}
        | {"kind": "shipping", "pickup_location": "The door"}
    ],
    "vouchers": [VOUCHER | {"uses_cap": 5}],
}


async def test_what_was_brought_in_is_read_back_with_what_is_available_and_can_be_given_back(world: World):
    operator = await world.manage_client()
    await world.product()  # of no event, as there were before: nobody brought it in
    assert (await _load(world, operator, FULL)).status_code == 200
    async with world.database.store.transaction() as tx:
        assert (await tx.reserve({DAY: 3})).short == []
    before = await contents(world)
    shown = (await _read(world, operator)).json()
    assert shown.pop("next") is None
    assert [one.pop("availability") for one in shown["products"]] == [7, 5, 10]
    defaults = {"reference": "", "service_costs": {"amount": 0, "currency": "EUR"}, "min_per_order": 1, "parts": []}
    defaults |= {"separately_saleable": True, "enabled": True, "needs_voucher": False, "viewing_order": 0}
    assert shown == FULL | {"products": [defaults | one for one in FULL["products"]]}
    whole = await _read(world, operator)
    again = await world.http.put(PATH, content=whole.content, headers=world.manage_headers(operator))
    assert again.json() == {"added": 0, "changed": 0, "as_they_were": 6}
    assert not changed(before, await contents(world))


async def test_all_of_it_comes_by_the_page_in_an_order_that_an_empty_database_takes(world: World):
    operator = await world.manage_client()
    uids = [f"{number:032x}" for number in range(1, 251)]
    products = [product("0" * 32, parts=[{"product": uids[-1]}]), *(product(uid) for uid in uids)]
    texts = [event(uid=f"{number:032x}", description={"en": "é" * 10_000}) for number in range(1, 8)]
    for given in ({"events": [event()]}, *({"events": [one]} for one in texts)):
        assert (await _load(world, operator, given)).status_code == 200
    for start in range(0, 251, 50):
        some = {"products": products[::-1][start : start + 50]}
        assert (await _load(world, operator, some)).status_code == 200
    await _load(world, operator, {"methods": [METHOD], "vouchers": [VOUCHER | {"products": uids[:1], "code": "?/#&"}]})
    everything = await contents(world)
    pages, after = [], None
    while not pages or after is not None:
        page = await _read(world, operator, after)
        assert page.status_code == 200, page.text
        after = page.json()["next"]
        pages.append(page.content)
    assert max(map(len, pages)) <= 64 * 1024
    kinds = ("events", "products", "methods", "vouchers")
    shown = {kind: [one for page in pages for one in json.loads(page)[kind]] for kind in kinds}
    assert {kind: len(items) for kind, items in shown.items()} == dict(zip(kinds, (8, 251, 1, 1), strict=True))
    assert [len({one.get("uid") for one in shown[kind]}) for kind in ("events", "products")] == [8, 251]
    async with world.database.store.transaction() as tx:
        for table in (product_parts, products_table, events_table, methods_table, vouchers_table):
            await tx.run(delete(table))
    for page in pages:
        answer = await world.http.put(PATH, content=page, headers=world.manage_headers(operator))
        assert (answer.status_code, answer.json()["changed"]) == (200, 0), answer.text
    assert not changed(everything, await contents(world))


@pytest.mark.parametrize("after", ["", "events", "seats/1", "events/%00", "events/" + "x" * 65, "%F0%9F%8E%AA"])
async def test_a_page_that_no_other_led_to_is_refused(sqlite_world: World, after: str):
    operator = await sqlite_world.manage_client()
    assert fields(await _read(sqlite_world, operator, after)) == ["after"]


async def test_reading_the_catalogue_needs_the_permission_read(sqlite_world: World):
    recorder = await sqlite_world.manage_client(permissions=EVERYTHING - {Permission.READ})
    assert problem(await _read(sqlite_world, recorder)) == (403, "forbidden")
    assert problem(await sqlite_world.http.get(PATH)) == (401, "unauthorized")


async def test_loading_needs_the_permission_record(sqlite_world: World):
    before = await sqlite_world.rows("events")
    reader = await sqlite_world.manage_client(permissions=EVERYTHING - {Permission.RECORD})
    assert problem(await _load(sqlite_world, reader, WHOLE)) == (403, "forbidden")
    assert problem(await sqlite_world.http.put(PATH, json=WHOLE)) == (401, "unauthorized")
    recorder = await sqlite_world.manage_client(permissions=frozenset({Permission.RECORD}))
    assert await sqlite_world.rows("events") == before == []
    assert (await _load(sqlite_world, recorder, WHOLE)).status_code == 200


async def test_under_one_key_it_is_done_once(world: World):
    operator = await world.manage_client()
    answers = [await _load(world, operator, WHOLE, Idempotency_Key="k") for _ in range(2)]
    assert [answer.json()["added"] for answer in answers] == [6, 6]
    other = await _load(world, operator, {"events": [event()]}, Idempotency_Key="k")
    assert problem(other) == (422, "idempotency_key_reused")


async def _load(world: World, operator: Caller, body: Any, **headers: str) -> httpx.Response:
    return await world.http.put(PATH, json=body, headers=world.manage_headers(operator, **headers))


async def _read(world: World, operator: Caller, after: str | None = None) -> httpx.Response:
    address = PATH if after is None else f"{PATH}?after={after if '%' in after else quote(after, safe='')}"
    return await world.http.get(address, headers=world.manage_headers(operator))


async def test_plain_artists_genres_and_facilities_are_taken_and_given_back_as_published(world: World):
    operator = await world.manage_client()
    older = event(
        artists=["Low Bridge", {"nl": "Sluis"}], genres=["folk", {"name": {"en": "jazz"}}], facilities=["lockers"]
    )
    newer = {
        "artists": [{"en": "Low Bridge"}, {"nl": "Sluis"}],
        "genres": [{"name": {"en": "folk"}}, {"name": {"en": "jazz"}}],
        "facilities": {"lockers": True},
    }
    assert (await _load(world, operator, {"events": [older]})).status_code == 200
    shown = (await world.http.get(PATH, headers=world.manage_headers(operator))).json()["events"][0]
    assert {name: shown[name] for name in newer} == newer
    again = await _load(world, operator, {"events": [event(**newer)]})
    assert again.json() == {"added": 0, "changed": 0, "as_they_were": 1}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("artists", [{"english": "Low Bridge"}], "a list of artists"),
        ("artists", "Low Bridge", "a list of artists"),
        ("genres", [{"title": {"en": "folk"}}], "a list of genres"),
        ("genres", [7], "a list of genres"),
        ("facilities", {"lockers": 4}, "an object of facilities"),
        ("facilities", "lockers", "an object of facilities"),
        ("location", {"name": {"en": "Canal Park"}}, "a string"),
    ],
)
async def test_a_field_of_an_event_in_another_form_is_named_with_its_value(
    world: World, field: str, value: object, said: str
):
    answer = await _load(world, await world.manage_client(), {"events": [event(**{field: value})]})
    (error,) = answer.json()["errors"]
    assert answer.status_code == 422
    assert f"events[0].{field}" in str(error)
    assert f"must be {said}" in str(error)
    assert await world.rows("events") == []

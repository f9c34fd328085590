"""Every rule of an order for tickets, from both sides; a bill obeys those that are about what is bought."""

from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from countermand.domain.money import Money
from countermand.domain.redirects import Redirects
from countermand.domain.ticketing.catalogue import Part, ProductUid
from support.database_contents import changed, contents
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import kind
from support.ticket_shop import Shop, a_shop
from support.world import NOON, World

world = shared_world
sqlite_world = shared_sqlite_world

_OTHER_EVENT = "f" * 32


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _refused(shop: Shop, wanted: dict[str, int], expected: tuple[int, str], **more: Any) -> None:
    """By an order and by a bill alike, and nothing is changed."""
    before = await contents(shop.world)
    assert kind(await shop.order(wanted, **more)) == expected
    assert kind(await shop.bill(wanted, **more)) == expected
    assert not changed(before, await contents(shop.world))


async def _sold(shop: Shop, wanted: dict[str, int], **more: Any) -> dict[str, Any]:
    assert (await shop.bill(wanted, **more)).status_code == 200
    answer = await shop.order(wanted, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_all_products_of_an_order_are_for_one_event(shop: Shop):
    await shop.put(type(shop.event)(**{**_fields(shop.event), "uid": _OTHER_EVENT}))
    one, two = await shop.product(), await shop.product()
    foreign = await shop.product(event_uid=_OTHER_EVENT)
    await _refused(shop, {one: 1, foreign: 1}, (400, "MULTIPLE_EVENTS"))
    await _sold(shop, {one: 1, two: 1})


async def test_what_is_disabled_or_of_a_disabled_event_is_as_unknown_as_what_is_not_there(shop: Shop):
    hidden, shown = await shop.product(is_enabled=False), await shop.product()
    homeless = await shop.product(event_uid=_OTHER_EVENT)
    for uid in (hidden, homeless, "0" * 32):
        await _refused(shop, {uid: 1}, (404, "PRODUCT_NOT_AVAILABLE"))
    await _sold(shop, {shown: 1})
    await shop.change_event(is_enabled=False)
    await _refused(shop, {shown: 1}, (404, "PRODUCT_NOT_AVAILABLE"))


@pytest.mark.parametrize("whose", ["event", "product"])
async def test_a_sale_begins_at_its_first_instant_and_is_over_at_its_last(shop: Shop, whose: str):
    starts_at, ends_at = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    if whose == "event":
        await shop.change_event(sale_starts_at=starts_at, sale_ends_at=ends_at)
        uid = await shop.product()
    else:
        uid = await shop.product(sale_starts_at=starts_at, sale_ends_at=ends_at)
    microsecond = timedelta(microseconds=1)
    for now, is_on_sale in [
        (starts_at - microsecond, False),
        (starts_at, True),
        (ends_at - microsecond, True),
        (ends_at, False),
    ]:
        shop.world.clock.now = now
        if is_on_sale:
            await _sold(shop, {uid: 1})
        else:
            await _refused(shop, {uid: 1}, (409, "NOT_ON_SALE"))


async def test_what_is_not_sold_alone_is_sold_with_what_is(shop: Shop):
    locker, ticket = await shop.product(is_separately_saleable=False), await shop.product()
    await _refused(shop, {locker: 1}, (400, "NON_SEPARATELY_SALEABLE_PRODUCT"))
    await _sold(shop, {locker: 1, ticket: 1})


async def test_so_many_of_a_product_and_not_one_more_or_less(shop: Shop):
    uid = await shop.product(min_per_order=2, max_per_order=4)
    await _refused(shop, {uid: 1}, (400, "BAD_REQUEST"))
    await _refused(shop, {uid: 5}, (400, "MAX_PER_ORDER_EXCEEDED"))
    await _sold(shop, {uid: 2})
    await _sold(shop, {uid: 4})
    body = shop.body({uid: 2})
    body["products"] *= 3  # all lines count together
    assert kind(await shop.post("/orders", body)) == (400, "MAX_PER_ORDER_EXCEEDED")


async def test_so_many_for_an_event_and_not_one_more_or_less(shop: Shop):
    await shop.change_event(min_per_order=2, max_per_order=4)
    one, two = await shop.product(), await shop.product()
    await _refused(shop, {one: 1}, (400, "BAD_REQUEST"))
    await _refused(shop, {one: 3, two: 2}, (400, "MAX_PER_ORDER_EXCEEDED"))
    await _sold(shop, {one: 1, two: 1})
    await _sold(shop, {one: 3, two: 1})


async def test_the_last_place_is_sold_and_no_other(shop: Shop):
    uid = await shop.product(stock=3)
    await _refused(shop, {uid: 4}, (409, "INSUFFICIENT_PRODUCTS"))
    await _sold(shop, {uid: 3})
    await _refused(shop, {uid: 1}, (409, "INSUFFICIENT_PRODUCTS"))


async def test_a_method_is_for_consumers_of_its_countries(shop: Shop):
    uid = await shop.product()
    for which, code in [("payment", "PAYMENT_METHOD_NOT_APPLICABLE"), ("shipping", "SHIPPING_METHOD_NOT_APPLICABLE")]:
        method = {f"{which}_method": await shop.pay_by(which, countries=("NL", "BE"))}
        await _refused(shop, {uid: 1}, (400, code), consumer={"country": "DE"}, **method)
        await _refused(shop, {uid: 1}, (400, code), consumer={}, **method)
        await _sold(shop, {uid: 1}, consumer={"country": "BE"}, **method)


async def test_what_costs_something_needs_a_way_to_pay_and_what_is_free_does_not(shop: Shop):
    paid, free = await shop.product(price_minor=1), await shop.product(price_minor=0)
    assert kind(await shop.order({paid: 1}, payment_method=None)) == (400, "PAYMENT_METHOD_MISSING")
    assert await shop.world.rows("orders") == []
    assert (await shop.bill({paid: 1}, payment_method=None)).status_code == 200
    assert (await _sold(shop, {free: 1}, payment_method=None))["status"] == "completed"
    assert (await _sold(shop, {paid: 1}))["status"] == "pending"
    one = {"amount": 0.01, "currency": "EUR"}
    given = await shop.order({free: 1}, payment_method=None, donation_amount=one)
    assert kind(given) == (400, "PAYMENT_METHOD_MISSING")


async def test_an_order_is_for_somebody_with_what_the_methods_need(shop: Shop):
    uid = await shop.product()
    pay = await shop.pay_by(required_consumer_fields=("email", "last_name"))
    send = await shop.pay_by("shipping", required_consumer_fields=("city",))
    methods = {"payment_method": pay, "shipping_method": send}
    whole = {"email": "j@example.com", "last_name": "Doe", "city": "Groningen"}
    before = await contents(shop.world)
    assert kind(await shop.order({uid: 1}, consumer=None)) == (400, "PROFILE_MISSING")
    for name in whole:
        for missing in ({name: " "} if name == "city" else {}, {}):
            consumer = {other: value for other, value in whole.items() if other != name} | missing
            answer = await shop.order({uid: 1}, consumer=consumer, **methods)
            assert kind(answer) == (400, "PROFILE_MISSING")
            assert f"consumer.{name}" in answer.json()["message"]
    assert not changed(before, await contents(shop.world))
    assert (await shop.bill({uid: 1}, consumer=None)).status_code == 200
    assert (await shop.order({uid: 1}, consumer=whole, **methods)).status_code == 201


async def test_one_order_is_in_one_currency(shop: Shop):
    euro, pound = await shop.product(), await shop.product(price=Money(minor=1, currency="GBP"))
    in_pounds = {"amount": 1, "currency": "GBP"}
    await _refused(shop, {euro: 1, pound: 1}, (400, "BAD_REQUEST"))
    await _refused(shop, {euro: 1}, (400, "BAD_REQUEST"), currency="GBP")
    await _refused(shop, {euro: 1}, (400, "BAD_REQUEST"), donation_amount=in_pounds)
    await _sold(shop, {euro: 1}, currency="EUR")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "JPY"),
        ("currency", "euro"),
        ("donation_amount", {"amount": 1.005, "currency": "EUR"}),
        ("donation_amount", {"amount": 1, "currency": "KWD"}),
        ("donation_amount", {"amount": -1, "currency": "EUR"}),
        ("redirect_url", "https://" + "x" * 248),
        ("redirect_url", "ftp://shop.test"),
        ("redirect_url", "//shop.test"),
        ("redirect_url", "https://"),
        ("redirect_url", "https:///thanks"),
        ("redirect_url", "https://["),
        ("redirect_url", "https://shop.test\\@other.test"),
        ("redirect_url", "https://shop.test@other.test"),
        ("redirect_url", "https://shop.test;script-src *"),
        ("redirect_url", "https://shop.test,other.test"),
        ("redirect_url", "https://shop.test/thanks\r\nSet-Cookie: a=b"),
        ("redirect_url", "https://shop.test/thanks\n"),
        ("redirect_url", "https://shop.test/a b"),
        ("redirect_url", "https://shop.test/\x7f"),
        ("redirect_url", "https://shop.test/\u2028"),
        ("redirect_url", "https://é.test/"),
        ("redirect_url", "https://[::g]/"),
        ("redirect_url", "https://shop.test:65536/"),
        ("redirect_url", "https://me@[::1]/"),
        ("redirect_url", "myapp://thanks"),
        ("redirect_url", "JavaScript:alert(1)"),
        ("redirect_url", "data:text/html,hello"),
        ("redirect_url", "file:///etc/passwd"),
        ("consumer", {"date_of_birth": "2026-02-30"}),
        ("consumer", {"date_of_birth": "2026-02-03\n"}),
        ("external_reference", "r" * 33),
        ("vouchers", ["v" * 65]),
        ("check_consecutive_seats", "yes"),
        ("opt_in", 2),
        ("consumer", {"gender": 3}),
        ("shipping_method", {"city": "no uid"}),
    ],
)
async def test_a_field_that_does_not_hold_is_named(shop: Shop, field: str, value: Any):
    uid = await shop.product()
    before = await contents(shop.world)
    for answer in (await shop.order({uid: 1}, **{field: value}), await shop.bill({uid: 1}, **{field: value})):
        assert kind(answer) == (400, "BAD_REQUEST")
        assert [one["path"].partition(".")[0].partition("[")[0] for one in answer.json()["errors"]] == [field]
    assert not changed(before, await contents(shop.world))


async def test_what_is_just_within_the_limits_is_taken(shop: Shop):
    uid = await shop.product()
    made = await _sold(
        shop,
        {uid: 1},
        redirect_url="https://" + "x" * 247,
        external_reference="r" * 32,
        opt_in=True,
        captcha="c",
        check_consecutive_seats=False,
        consumer={"gender": 9},
    )
    assert (made["redirect_url"], made["external_reference"]) == ("https://" + "x" * 247, "r" * 32)


@pytest.mark.parametrize(
    "rest", ["", ":8443", "/", "/thanks?order=1&a=%C3%A9#top", "?back", "#top", ":80/a:b@c;d,e[f]\\"]
)
async def test_a_buyer_is_sent_to_any_page_of_a_host(sqlite_world: World, rest: str):
    shop = await a_shop(sqlite_world)
    url = f"http://shop-1.test{rest}"
    assert (await _sold(shop, {await shop.product(): 1}, redirect_url=url))["redirect_url"] == url


@pytest.mark.parametrize(
    "url", ["HTTPS://shop.test/thanks", "Http://[::1]:3000/thanks", "https://[2001:db8::7]/", "https://192.0.2.7/a"]
)
async def test_a_buyer_is_sent_to_a_page_however_its_scheme_and_host_are_written(sqlite_world: World, url: str):
    shop = await a_shop(sqlite_world)
    assert (await _sold(shop, {await shop.product(): 1}, redirect_url=url))["redirect_url"] == url


async def test_a_buyer_is_sent_to_an_app_whose_scheme_the_client_has_listed(shop: Shop):
    uid, url = await shop.product(), "myapp://thanks?order=1"
    before = await contents(shop.world)
    refused = await shop.order({uid: 1}, redirect_url=url)
    assert kind(refused) == (400, "BAD_REQUEST")
    (error,) = refused.json()["errors"]
    assert (error["path"], f'"{url}"' in error["message"]) == ("redirect_url", True)
    assert not changed(before, await contents(shop.world))
    clients, me = shop.world.database.clients, shop.caller.client.id
    await clients.change_redirects(me, Redirects(schemes=("myapp",)))
    shop.world.clock.forward(minutes=5)
    assert (await _sold(shop, {uid: 1}, redirect_url=url))["redirect_url"] == url
    other = await shop.order({uid: 1}, redirect_url="yourapp://thanks")
    assert '(myapp), not "yourapp://thanks"' in other.json()["errors"][0]["message"]


async def test_an_order_without_a_redirect_url_has_the_clients_default_and_keeps_it(shop: Shop):
    uid, clients, me = await shop.product(), shop.world.database.clients, shop.caller.client.id
    await clients.change_redirects(me, Redirects(url="https://shop.test/thanks"))
    shop.world.clock.forward(minutes=5)
    placed = await _sold(shop, {uid: 1})
    assert placed["redirect_url"] == "https://shop.test/thanks"
    named = await _sold(shop, {uid: 1}, redirect_url="https://other.test/")
    assert named["redirect_url"] == "https://other.test/"
    await clients.change_redirects(me, Redirects())
    shop.world.clock.forward(minutes=5)
    address = placed["_links"]["self"]["href"]
    again = await shop.world.http.get(address, headers=shop.world.shopping_headers(shop.caller))
    assert again.json()["redirect_url"] == "https://shop.test/thanks"
    assert "redirect_url" not in await _sold(shop, {uid: 1})


async def test_the_payment_page_is_linked_under_both_names(shop: Shop):
    links = (await _sold(shop, {await shop.product(): 1}))["_links"]
    assert links["payment_url"] == links["payment"]


async def test_without_a_redirect_url_the_order_has_the_keys_of_the_example_alone(shop: Shop):
    assert "redirect_url" not in await _sold(shop, {await shop.product(): 1})


async def test_the_products_of_a_bill_can_be_ordered_as_they_are(shop: Shop):
    part = await shop.product(price_minor=300)
    combo = await shop.product(price_minor=500, parts=(Part(product_uid=ProductUid(part), quantity=2),))
    single = await shop.product(price_minor=70)
    bill = (await shop.bill({combo: 1, single: 1})).json()
    assert len(bill["products"]) == 3
    body = shop.body({single: 1})
    placed = await shop.post("/orders", body | {"products": bill["products"]})
    assert placed.status_code == 201, placed.text
    assert placed.json()["grand_total"] == bill["grand_total"]
    assert placed.json()["product_selection"] == bill["products"]
    before = await contents(shop.world)
    alone = [one for one in bill["products"] if "parent" in one]
    refused = await shop.post("/orders", body | {"products": alone})
    assert kind(refused) == (400, "BAD_REQUEST")
    assert refused.json()["errors"][0]["path"] == "products[0].parent"
    assert alone[0]["parent"] in refused.json()["message"]
    assert not changed(before, await contents(shop.world))


async def test_tickets_are_for_as_many_people_as_there_are_tickets(shop: Shop):
    uid = await shop.product()
    body = shop.body({uid: 2})
    body["products"][0]["consumers"] = [{"first_name": "Ann"}]
    answer = await shop.post("/orders", body)
    assert kind(answer) == (400, "BAD_REQUEST")
    assert [one["path"] for one in answer.json()["errors"]] == ["products[0].consumers"]
    assert await shop.world.rows("orders") == []
    body["products"][0]["consumers"].append({"first_name": "Bob"})
    tickets = (await shop.post("/orders", body)).json()["_embedded"]["shop:ticket"]
    names = [(await shop.get(one["_links"]["self"]["href"])).json()["consumer"] for one in tickets]
    assert names == [{"first_name": "Ann"}, {"first_name": "Bob"}]


async def test_a_ticket_is_for_a_kept_consumer_of_ones_own_alone(shop: Shop):
    kept = (await shop.post("/consumers", {"first_name": "Ann", "city": "Assen"})).json()["uid"]
    body = shop.body({await shop.product(): 2})
    body["products"][0]["consumers"] = [{"uid": kept}, {"uid": kept, "city": "Groningen"}]
    stranger = await shop.world.shopping_client()
    before = await contents(shop.world)
    for path in ("/orders", "/bill"):
        assert kind(await shop.post(path, body, stranger)) == (400, "BAD_REQUEST")
    assert not changed(before, await contents(shop.world))
    assert (await shop.post("/bill", body)).status_code == 200
    tickets = (await shop.post("/orders", body)).json()["_embedded"]["shop:ticket"]
    one, two = [(await shop.get(one["_links"]["self"]["href"])).json()["consumer"] for one in tickets]
    assert one == {"uid": kept, "first_name": "Ann", "city": "Assen"}
    assert (two["first_name"], two["city"]) == ("Ann", "Groningen")
    assert two["uid"] != kept  # a revision


async def test_a_delivery_address_is_kept_with_its_method(shop: Shop):
    uid, send = await shop.product(), await shop.pay_by("shipping", costs_minor=50)
    made = await _sold(shop, {uid: 1}, shipping_method={"uid": send, "city": "Assen", "email": "left@out.test"})
    assert made["shipping_method"]["uid"] == send
    assert made["grand_total"]["amount"] == 10.5
    (row,) = await shop.world.rows("order_details")
    assert '"shipping_address":{"city":"Assen"}' in row["details"]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}

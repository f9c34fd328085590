"""How is an order for tickets placed, and what is said about one that cannot be?"""

import json
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from countermand.domain.client import Permission
from countermand.storage.tables.catalogue import methods, products
from support.database_contents import changed, contents
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import availability, cancel, kind
from support.world import EVERYTHING, PUBLIC_URL, Caller, World

world = shared_world
sqlite_world = shared_sqlite_world

_UNKNOWN = "0" * 32


async def test_an_order_is_made_with_its_address_and_its_places_taken_off_the_stock(world: World):
    me = await world.shopping_client()
    product, method = await world.product(stock=10, price_minor=450), await world.payment_method()
    answer = await _create(world, me, _body(product, method, quantity=3))
    made = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/hal+json")
    assert re.fullmatch("[0-9a-f]{32}", made["uid"])
    assert answer.headers["location"] == made["_links"]["self"]["href"] == f"{PUBLIC_URL}/orders/{made['uid']}"
    assert (made["status"], made["created_date"]) == ("pending", "2026-11-21T12:00:00Z")
    assert made["product_selection"] == [{"product": f"{PUBLIC_URL}/products/{product}", "quantity": 3}]
    assert await availability(world, product) == 7
    assert [bool(row["valid"]) for row in await world.rows("tickets")] == [True] * 3
    assert [row["kind"] for row in await world.rows("outbox")] == ["order.placed"]
    assert [row["client_id"] for row in await world.rows("orders")] == [me.client.id]


async def test_totals_are_products_services_and_methods_with_two_decimals_each(world: World):
    me = await world.shopping_client()
    product = await world.product(price_minor=450)
    method, post = await world.payment_method(costs_minor=100), await _shipping(world, 50)
    async with world.database.store.transaction() as tx:
        await tx.run(update(products).values(service_costs_minor=50))
    answer = await _create(world, me, _body(product, method, quantity=3, shipping_method=post))
    for expected in [
        b'"product_total":{"amount":13.50,"currency":"EUR"}',
        b'"service_costs":{"amount":1.50,"currency":"EUR"}',
        b'"grand_total":{"amount":16.50,"currency":"EUR"}',
        b'"costs":{"amount":1.00,"currency":"EUR"}',
        b'"costs":{"amount":0.50,"currency":"EUR"}',
    ]:
        assert expected in answer.content


async def test_what_was_bought_elsewhere_is_shown_and_never_part_of_the_totals(world: World):
    me = await world.shopping_client()
    product, method = await world.product(price_minor=1000), await world.payment_method(costs_minor=0)
    elsewhere = [_purchase("50.00", quantity=3), _purchase("0.07", currency="USD")]
    made = await _create(world, me, _body(product, method, quantity=1, external_purchases=elsewhere))
    assert b'"unit_price":{"amount":50.00,"currency":"EUR"},"quantity":3' in made.content
    assert b'"unit_price":{"amount":0.07,"currency":"USD"}' in made.content
    assert b'"grand_total":{"amount":10.00,"currency":"EUR"}' in made.content
    assert b'"product_total":{"amount":10.00,"currency":"EUR"}' in made.content


async def test_what_was_given_is_shown_again_as_given(world: World):
    me = await world.shopping_client()
    product, method = await world.product(), await world.payment_method()
    consumer = {"first_name": "Zoë", "last_name": "→", "gender": 9, "country": "NL", "ip": "192.168.1.1"}
    made = await _create(world, me, _body(product, method, consumer=consumer, external_reference="CO-115"))
    assert made.status_code == 201
    assert made.json()["consumer"] == consumer
    assert made.json()["external_reference"] == "CO-115"


async def test_the_last_places_may_be_bought_and_not_one_more(world: World):
    me = await world.shopping_client()
    product, method = await world.product(stock=3), await world.payment_method()
    assert (await _create(world, me, _body(product, method, quantity=2))).status_code == 201
    before = await contents(world)
    assert kind(await _create(world, me, _body(product, method, quantity=2))) == (409, "INSUFFICIENT_PRODUCTS")
    assert not changed(before, await contents(world))
    made = await _create(world, me, _body(product, method, quantity=1))
    assert (made.status_code, await availability(world, product)) == (201, 0)
    assert (await cancel(world, me, made.headers["location"])).status_code == 200
    assert (await _create(world, me, _body(product, method, quantity=1))).status_code == 201


async def test_when_one_of_two_products_is_short_neither_is_taken(world: World):
    me = await world.shopping_client()
    plenty, few, method = await world.product(stock=9), await world.product(stock=1), await world.payment_method()
    body = _body(plenty, method)
    body["products"].append({"product": f"{PUBLIC_URL}/products/{few}", "quantity": 2})
    before = await contents(world)
    assert kind(await _create(world, me, body)) == (409, "INSUFFICIENT_PRODUCTS")
    assert not changed(before, await contents(world))


async def test_one_product_on_two_lines_counts_together(world: World):
    me = await world.shopping_client()
    product, method = await world.product(stock=3), await world.payment_method()
    body = _body(product, method, quantity=2)
    body["products"] *= 2
    assert kind(await _create(world, me, body)) == (409, "INSUFFICIENT_PRODUCTS")
    assert await availability(world, product) == 3


async def test_one_order_has_a_hundred_tickets_and_not_one_more(world: World):
    me = await world.shopping_client()
    one, two = await world.product(stock=200), await world.product(stock=200)
    method = await world.payment_method()
    body = _body(one, method, quantity=99)
    body["products"].append({"product": f"{PUBLIC_URL}/products/{two}", "quantity": 2})
    assert kind(await _create(world, me, body)) == (400, "MAX_PER_ORDER_EXCEEDED")
    assert await world.rows("orders") == []
    body["products"][1]["quantity"] = 1
    assert (await _create(world, me, body)).status_code == 201
    assert len(await world.rows("tickets")) == 100


_UNFIT: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "an unknown product": ({"product": _UNKNOWN}, (404, "PRODUCT_NOT_AVAILABLE")),
    "no way to pay": ({"payment_method": None}, (400, "PAYMENT_METHOD_MISSING")),
    "an unknown way to pay": ({"payment_method": _UNKNOWN}, (400, "PAYMENT_METHOD_NOT_APPLICABLE")),
    "an unknown way to send": ({"shipping_method": _UNKNOWN}, (400, "SHIPPING_METHOD_NOT_APPLICABLE")),
    "a way to send as a way to pay": ({"payment_method": "post"}, (400, "PAYMENT_METHOD_NOT_APPLICABLE")),
    "a way to pay as a way to send": ({"shipping_method": "bank"}, (400, "SHIPPING_METHOD_NOT_APPLICABLE")),
}


@pytest.mark.parametrize("what", _UNFIT)
async def test_what_does_not_fit_together_has_its_own_type_and_makes_nothing(world: World, what: str):
    me = await world.shopping_client()
    named = {"post": await _shipping(world, 50), "bank": await world.payment_method()}
    given, expected = _UNFIT[what]
    given = {key: named.get(value, value) for key, value in given.items()}
    product = given.pop("product", None) or await world.product()
    before = await contents(world)
    assert kind(await _create(world, me, _body(product, named["bank"]) | given)) == expected
    assert not changed(before, await contents(world))


_FIELDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing at all": ({}, ["products"]),
    "no products": ({"products": [], "consumer": {}}, ["products"]),
    "no address of a ticket": ({"tickets": ["t"], "consumer": {}}, ["tickets[0]"]),
    "tickets and products": (
        {"tickets": ["t"], "products": [{"product": "p", "quantity": 1}], "consumer": {}},
        ["products", "products[0].product", "tickets[0]"],
    ),
    "each line's own": (
        {"products": [{"product": "", "quantity": 0}, {"quantity": 101}, {"product": 3}], "consumer": None},
        [
            "products[0].product",
            "products[0].quantity",
            "products[1].product",
            "products[1].quantity",
            "products[2].product",
            "products[2].quantity",
        ],
    ),
    "the consumer's": (
        {
            "products": [{"product": "p", "quantity": 1}],
            "consumer": {
                "first_name": 3,
                "date_of_birth": "30-12-1986",
                "email": "nobody",
                "gender": 10,
                "country": "NLD",
                "language": "nld",
                "phone_number": "1" * 51,
            },
        },
        [
            "consumer.first_name",
            "consumer.date_of_birth",
            "consumer.email",
            "consumer.gender",
            "consumer.phone_number",
            "consumer.country",
            "consumer.language",
        ],
    ),
    "the rest": (
        {
            "products": [{"product": "p", "quantity": 1}],
            "consumer": {},
            "payment_method": "m" * 33,
            "shipping_method": {},
            "external_reference": "r" * 33,
            "redirect_url": "javascript:alert(1)",
            "external_purchases": [{"title": "t", "product_reference": 1, "unit_price": {"currency": "eur"}}],
        },
        [
            "payment_method",
            "shipping_method",
            "external_purchases[0].title",
            "external_purchases[0].product_reference",
            "external_purchases[0].unit_price.amount",
            "external_purchases[0].unit_price.currency",
            "external_purchases[0].quantity",
            "external_reference",
            "redirect_url",
        ],
    ),
}


@pytest.mark.parametrize("what", _FIELDS)
async def test_every_field_that_does_not_hold_is_named_at_once(sqlite_world: World, what: str):
    me = await sqlite_world.shopping_client()
    body, expected = _FIELDS[what]
    before = await contents(sqlite_world)
    answer = await _create(sqlite_world, me, body)
    assert kind(answer) == (400, "BAD_REQUEST")
    assert [error["path"] for error in answer.json()["errors"]] == expected
    assert all(error["path"] in error["message"] for error in answer.json()["errors"])
    assert not changed(before, await contents(sqlite_world))


async def test_addresses_and_amounts_that_do_not_hold_are_all_named_at_once(world: World):
    me = await world.shopping_client()
    product, method = await world.product(), await world.payment_method()
    body = _body(product, method)
    body["products"] += [
        {"product": product, "quantity": 1},
        {"product": f"https://shop.test/products/{product}", "quantity": 1},
        {"product": f"{PUBLIC_URL}/orders/{product}", "quantity": 1},
    ]
    amounts = ["1.005", "-0.01", "10000000000000.01", "1e300", "1.00000000000000000000000000000000000001"]
    body["external_purchases"] = [_purchase("1.00"), *map(_purchase, amounts)]
    body["external_purchases"] += [_purchase("1", currency=code) for code in ("JPY", "KWD", "CLF")]
    answer = await _create(world, me, body)
    assert kind(answer) == (400, "BAD_REQUEST")
    assert [error["path"] for error in answer.json()["errors"]] == [
        *(f"products[{index}].product" for index in (1, 2, 3)),
        *(f"external_purchases[{index}].unit_price" for index in range(1, 9)),
    ]
    assert await world.rows("orders") == []


@pytest.mark.parametrize("amount", ['"1,00"', '"1E+999999"', '"NaN"', '"Infinity"', '"EUR1"', "true", "null", "[]"])
async def test_an_amount_is_a_number_or_the_text_of_one_and_nothing_else(world: World, amount: str):
    me = await world.shopping_client()
    body = _body(await world.product(), await world.payment_method(), external_purchases=[_purchase(amount)])
    answer = await _create(world, me, body)
    assert kind(answer) == (400, "BAD_REQUEST")
    (error,) = answer.json()["errors"]
    assert error["path"].startswith("external_purchases[0].unit_price")
    assert await world.rows("orders") == []


async def test_nobody_places_an_order_without_credentials_or_the_permission(world: World):
    me = await world.shopping_client(permissions=EVERYTHING - {Permission.CREATE})
    body = _body(await world.product(), await world.payment_method())
    before = await contents(world)
    unknown = await world.http.post("/orders", content=_json(body))
    assert (kind(unknown), unknown.headers["www-authenticate"][:5]) == ((401, "UNAUTHORIZED"), "Basic")
    assert kind(await _create(world, me, body)) == (403, "FORBIDDEN")
    assert kind(await world.http.put("/orders", content=_json(body))) == (405, "METHOD_NOT_ALLOWED")
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("path", ["/orders", "/bill", "/consumers"])
async def test_a_body_that_is_too_large_or_no_json_is_not_looked_at(world: World, path: str):
    me = await world.shopping_client()
    body = _json(_body(await world.product(), await world.payment_method()))
    before = await contents(world)
    for content, media_type, expected in [
        (body + b" " * 64 * 1024, "application/json", (413, "PAYLOAD_TOO_LARGE")),
        (body, "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b"{", "application/json", (400, "BAD_REQUEST")),
    ]:
        headers = world.shopping_headers(me) | {"Content-Type": media_type}
        assert kind(await world.http.post(path, content=content, headers=headers)) == expected
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("path", ["/orders", "/consumers"])
async def test_a_key_stands_for_one_request_alone(world: World, path: str):
    me = await world.shopping_client()
    body = _body(await world.product(), await world.payment_method()) | {"first_name": "Ann"}
    headers = world.shopping_headers(me) | {"Idempotency-Key": "a1"}
    first = await world.http.post(path, json=body, headers=headers)
    again = await world.http.post(path, json=body, headers=headers)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["location"] == first.headers["location"]
    before = await contents(world)
    other = await world.http.post(path, json=body | {"first_name": "Bob"}, headers=headers)
    assert kind(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert not changed(before, await contents(world))


def _body(product: str, method: str | None, *, quantity: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "products": [{"product": f"{PUBLIC_URL}/products/{product}", "quantity": quantity}],
        "consumer": {"first_name": "John"},
        "payment_method": method,
    } | more


def _purchase(amount: str, *, currency: str = "EUR", quantity: int = 1) -> dict[str, Any]:
    price = {"amount": f"as it is: {amount}", "currency": currency}
    return {"title": {"en": "T-shirt"}, "product_reference": "A", "unit_price": price, "quantity": quantity}


def _json(body: dict[str, Any]) -> bytes:
    """JSON with the amounts exactly as they were given."""
    return re.sub(
        r'"as it is: ((?:[^"\\]|\\.)*)"', lambda found: found[1].replace('\\"', '"'), json.dumps(body)
    ).encode()


async def _create(world: World, caller: Caller, body: dict[str, Any]) -> httpx.Response:
    return await world.http.post("/orders", content=_json(body), headers=world.shopping_headers(caller))


async def _shipping(world: World, costs_minor: int) -> str:
    uid = "5" * 32
    async with world.database.store.transaction() as tx:
        await tx.run(
            insert(methods).values(
                uid=uid,
                kind="shipping",
                name='{"en": "Eticket"}',
                image=None,
                costs_minor=costs_minor,
                currency="EUR",
            )
        )
    return uid

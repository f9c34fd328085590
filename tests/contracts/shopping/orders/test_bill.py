"""What would it cost? Asked with the body of an order, or with the deprecated query."""

import pytest
import pytest_asyncio

from countermand.domain.client import Permission
from countermand.domain.money import Money
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import kind
from support.ticket_shop import Shop, a_shop
from support.world import EVERYTHING, PUBLIC_URL, World

world = shared_world


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def test_a_bill_says_what_an_order_would_cost_and_changes_nothing(shop: Shop):
    day = await shop.product(price_minor=450, service_costs_minor=50)
    weekend = await shop.combo({day: 1}, price_minor=600)
    send = await shop.pay_by("shipping", costs_minor=50, required_consumer_fields=("city",))
    before = await contents(shop.world)
    answer = await shop.bill({day: 2, weekend: 1}, shipping_method=send)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json")
    shown = answer.json()
    assert list(shown) == [
        "_links",
        "products",
        "product_total",
        "service_costs",
        "payment_method",
        "shipping_method",
        "grand_total",
        "available_payment_methods",
        "available_shipping_methods",
    ]
    assert shown["_links"]["self"]["href"] == f"{PUBLIC_URL}/bill"
    assert shown["products"] == [
        {"product": f"{PUBLIC_URL}/products/{day}", "quantity": 2},
        {"product": f"{PUBLIC_URL}/products/{weekend}", "quantity": 1},
        {
            "parent": f"{PUBLIC_URL}/products/{weekend}",
            "product": f"{PUBLIC_URL}/products/{day}",
            "quantity": 1,
        },
    ]
    assert b'"grand_total":{"amount":16.50,"currency":"EUR"}' in answer.content
    assert shown["shipping_method"]["required_consumer_fields"] == ["city"]
    assert not changed(before, await contents(shop.world))


async def test_the_methods_are_those_of_the_country_and_payment_needs_one(shop: Shop):
    uid = await shop.product()
    dutch = await shop.pay_by(countries=("NL",))
    await shop.pay_by(costs=Money(minor=1, currency="GBP"), countries=("NL",))
    post, german_post = await shop.pay_by("shipping"), await shop.pay_by("shipping", countries=("DE",))
    for consumer, payment, shipping in [
        ({"country": "NL"}, {shop.method, dutch}, {post}),
        ({"country": "DE"}, {shop.method}, {post, german_post}),
        ({"country": " de\u00a0"}, {shop.method}, {post, german_post}),
        ({}, set(), {post}),
        (None, set(), {post}),
    ]:
        shown = (await shop.bill({uid: 1}, consumer=consumer, payment_method=None)).json()
        assert {one["uid"] for one in shown["available_payment_methods"]} == payment
        assert {one["uid"] for one in shown["available_shipping_methods"]} == shipping
        assert shown["payment_method"] == {}


async def test_the_deprecated_query_gives_the_same_bill(shop: Shop):
    one, two = await shop.product(service_costs_minor=50), await shop.product()
    send = await shop.pay_by("shipping", costs_minor=50)
    donation = {"amount": 1.5, "currency": "EUR"}
    posted = (await shop.bill({one: 2, two: 1}, shipping_method=send, donation_amount=donation)).json()
    answer = await shop.get(
        "/bill",
        products=[f"{PUBLIC_URL}/products/{one},2", f"{PUBLIC_URL}/products/{two},1"],
        payment_method=shop.method,
        shipping_method=send,
        country="NL",
        external_purchase_amount="EUR350.75",
        donation_amount="EUR1.5",
    )
    got = answer.json()
    assert answer.status_code == 200
    assert got.pop("_links")["self"]["href"] == str(answer.request.url)
    posted.pop("_links")
    assert got == posted
    assert got["grand_total"]["amount"] == 33.0


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({}, ["products"]),
        ({"products": "nothing"}, ["products[0]"]),
        ({"products": f"{PUBLIC_URL}/products/{'0' * 32}"}, ["products[0]"]),
        ({"products": f"{PUBLIC_URL}/products/{'0' * 32},0"}, ["products[0]"]),
        ({"products": f"{PUBLIC_URL}/products/{'0' * 32},101"}, ["products[0]"]),
        ({"products": f"{PUBLIC_URL}/orders/{'0' * 32},1"}, ["products[0]"]),
        (
            {
                "products": f"{PUBLIC_URL}/products/{'0' * 32},1",
                "country": "NLD",
                "donation_amount": "1.50EUR",
                "external_purchase_amount": "JPY100",
                "payment_method": "a b",
            },
            ["external_purchase_amount", "donation_amount", "payment_method", "country"],
        ),
    ],
)
async def test_a_query_that_does_not_hold_is_named_parameter_by_parameter(
    shop: Shop, query: dict[str, str], wrong: list
):
    answer = await shop.get("/bill", **query)
    assert kind(answer) == (400, "BAD_REQUEST")
    assert [one["path"] for one in answer.json()["errors"]] == wrong


async def test_a_bill_is_for_whoever_may_order(shop: Shop):
    uid = await shop.product()
    reader = await shop.world.shopping_client(permissions=EVERYTHING - {Permission.CREATE})
    assert kind(await shop.post("/bill", shop.body({uid: 1}), reader)) == (403, "FORBIDDEN")
    assert kind(await shop.get("/bill", reader)) == (403, "FORBIDDEN")
    assert (await shop.world.http.post("/bill", json=shop.body({uid: 1}))).status_code == 401
    assert (await shop.world.http.get("/bill")).status_code == 401


async def test_with_and_without_a_slash_it_is_the_same_resource(shop: Shop):
    uid = await shop.product()
    assert (await shop.post("/bill/", shop.body({uid: 1}))).status_code == 200
    assert (await shop.post("/orders/", shop.body({uid: 1}))).status_code == 201
    assert (await shop.get("/orders/")).status_code == 200

"""The shop of 2015 and its library write numbers, truths and amounts as text, and forms send null and empty texts."""

import json
from typing import Any

import pytest
import pytest_asyncio

from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import kind
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import PUBLIC_URL, World

world = shared_world

_TITLE = {"en": "T-shirt"}


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


def _as_numbers(product: str) -> dict[str, Any]:
    consumer = {"first_name": "Jo", "gender": 1, "country": "NL"}
    return {
        "products": [{"product": product, "quantity": 2, "consumers": [{"gender": 2}, {"gender": 0}]}],
        "consumer": consumer,
        "check_consecutive_seats": False,
        "opt_in": True,
        "donation_amount": {"amount": 2.5, "currency": "EUR"},
        "external_purchases": [
            {
                "title": _TITLE,
                "product_reference": "A",
                "unit_price": {"amount": price, "currency": "EUR"},
                "quantity": 3,
            }
            for price in (1.25, 10)
        ],
    }


def _as_text(product: str) -> dict[str, Any]:
    consumer = {"first_name": "Jo", "gender": "1", "country": "NL"}
    purchase = {"title": _TITLE, "product_reference": "A", "quantity": "3"}
    return {
        "products": [{"product": product, "quantity": "2", "consumers": [{"gender": "2"}, {"gender": "0"}]}],
        "consumer": consumer,
        "check_consecutive_seats": "false",
        "opt_in": "1",
        "donation_amount": "EUR 2.50",
        "external_purchases": [
            purchase | {"unit_price": {"amount": "1.25", "currency": "EUR"}},
            purchase | {"unit_price": "EUR10.00"},
        ],
    }


def _without_names(shown: dict[str, Any]) -> dict[str, Any]:
    """An order without what differs from order to order."""
    names = {"_links", "_embedded", "uid", "reference", "created_date"}
    return {name: value for name, value in shown.items() if name not in names}


async def test_the_vendors_own_shop_orders_with_numbers_truths_and_amounts_as_text(shop: Shop):
    product = f"{PUBLIC_URL}/products/{await shop.product()}"
    as_text, as_numbers = _as_text(product), _as_numbers(product)
    bills = [await shop.bill({}, **body) for body in (as_text, as_numbers)]
    assert [bill.status_code for bill in bills] == [200, 200]
    assert bills[0].content == bills[1].content
    first, second = [await shop.order({}, **body) for body in (as_text, as_numbers)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert _without_names(first.json()) == _without_names(second.json())
    assert first.json()["consumer"]["gender"] == 1
    assert b'"unit_price":{"amount":1.25,"currency":"EUR"},"quantity":3' in first.content
    assert first.json()["grand_total"]["amount"] == 22.5
    kept = await shop.world.rows("order_details")
    one, two = (json.loads(row["details"]) for row in kept)
    assert one["opt_in"] is True
    same = {"consumer", "external_purchases", "opt_in"}
    assert {name: one[name] for name in same} == {name: two[name] for name in same}
    people = [[person.get("gender") for person in row["ticket_consumers"].values()] for row in (one, two)]
    assert [sorted(genders) for genders in people] == [[0, 2], [0, 2]]
    await check_conservation(shop.world)


async def test_a_seat_is_chosen_freely_if_the_shop_says_false_as_text(shop: Shop):
    uid = await shop.seated(1, 1)
    for truth in (True, "true", "TRUE", "1", 1):
        answer = await shop.order({uid: 2}, check_consecutive_seats=truth)
        assert kind(answer) == (409, "INSUFFICIENT_CONSECUTIVE_SEATS"), truth
    assert (await shop.order({uid: 2}, check_consecutive_seats="0")).status_code == 201


async def test_a_consumer_is_stored_with_a_gender_as_text(shop: Shop):
    answer = await shop.post("/consumers", {"first_name": "Jo", "gender": "9"})
    assert (answer.status_code, answer.json()["gender"]) == (201, 9)
    again = await shop.post("/consumers", {"uid": answer.json()["uid"], "gender": " 2"})
    assert (again.status_code, again.json()["gender"]) == (201, 2)


async def test_tickets_are_given_on_with_a_gender_and_a_truth_as_text(shop: Shop):
    free = await shop.product(price_minor=0)
    made = (await shop.order({free: 1})).json()
    ticket = made["_embedded"]["shop:ticket"][0]["_links"]["self"]["href"]
    body = {"tickets": [ticket], "consumer": {"first_name": "Al", "gender": "1"}, "opt_in": "false"}
    answer = await shop.post("/orders", body)
    assert (answer.status_code, answer.json()["consumer"]["gender"]) == (201, 1)


_REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"consumer": {"gender": "male"}}, "consumer.gender", '"male"'),
    ({"consumer": {"gender": "3"}}, "consumer.gender", "3"),
    ({"consumer": {"gender": "1.0"}}, "consumer.gender", '"1.0"'),
    ({"consumer": {"first_name": 1}}, "consumer.first_name", "1"),
    ({"consumer": {"uid": 1}}, "consumer.uid", "1"),
    ({"consumer": {"postal_code": 1234}}, "consumer.postal_code", "1234"),
    ({"check_consecutive_seats": "yes"}, "check_consecutive_seats", '"yes"'),
    ({"check_consecutive_seats": 2}, "check_consecutive_seats", "2"),
    ({"opt_in": "on"}, "opt_in", '"on"'),
    ({"payment_method": 1}, "payment_method", "1"),
    ({"external_reference": 5}, "external_reference", "5"),
    ({"currency": "euro"}, "currency", '"euro"'),
    ({"donation_amount": "2.50"}, "donation_amount", '"2.50"'),
    ({"donation_amount": "eur2.50"}, "donation_amount", '"eur2.50"'),
    ({"donation_amount": ""}, "donation_amount", '""'),
    ({"donation_amount": "EUR2.505"}, "donation_amount", "2.505"),
    ({"donation_amount": "EUR-1"}, "donation_amount", "-1"),
    ({"donation_amount": "JPY100"}, "donation_amount", "100 JPY"),
    ({"donation_amount": {"amount": "2,50", "currency": "EUR"}}, "donation_amount.amount", '"2,50"'),
    ({"donation_amount": {"amount": "1E+999", "currency": "EUR"}}, "donation_amount", "1E+999"),
    ({"donation_amount": {"amount": "2.50", "currency": ""}}, "donation_amount.currency", '""'),
]


@pytest.mark.parametrize(("given", "path", "value"), _REFUSED)
async def test_a_text_that_is_no_number_is_refused_with_its_field_and_its_value(
    shop: Shop, given: dict[str, Any], path: str, value: str
):
    uid = await shop.product()
    before = await contents(shop.world)
    for answer in (await shop.order({uid: 1}, **given), await shop.bill({uid: 1}, **given)):
        assert kind(answer) == (400, "BAD_REQUEST")
        (error,) = answer.json()["errors"]
        assert error["path"] == path
        assert error["message"].startswith(path)
        assert value in error["message"].removeprefix(path)
    assert not changed(before, await contents(shop.world))


@pytest.mark.parametrize("quantity", ["0", "101", "-1", "1.5", "two", "", True])
async def test_a_quantity_as_text_has_the_limits_of_a_number(shop: Shop, quantity: object):
    uid = await shop.product(stock=200, max_per_order=100)
    line = {"product": f"{PUBLIC_URL}/products/{uid}"}
    refused = await shop.order({}, products=[line | {"quantity": quantity}])
    assert kind(refused) == (400, "BAD_REQUEST")
    assert refused.json()["errors"][0]["path"] == "products[0].quantity"
    assert await shop.left() == {uid: 200}
    for quantity_in_range, left in (("1", 199), ("100", 99)):
        made = await shop.order({}, products=[line | {"quantity": quantity_in_range}])
        assert made.status_code == 201
        assert await shop.left() == {uid: left}


@pytest.mark.parametrize("donation", ["GBP2.50", {"amount": "2.50", "currency": "GBP"}])
async def test_a_donation_in_another_currency_than_the_orders_is_refused_with_both_currencies(
    shop: Shop, donation: object
):
    uid = await shop.product()
    before = await contents(shop.world)
    answer = await shop.order({uid: 1}, donation_amount=donation)
    assert kind(answer) == (400, "BAD_REQUEST")
    assert "products: EUR; donation: GBP" in answer.json()["message"]
    assert not changed(before, await contents(shop.world))


@pytest.mark.parametrize("empty", [None, ""])
async def test_a_form_sends_null_or_an_empty_text_in_the_fields_that_the_buyer_left_out(shop: Shop, empty: str | None):
    free = await shop.product(price_minor=0)
    consumer = {"first_name": "Jo", "gender": empty, "date_of_birth": empty}
    names = ("payment_method", "shipping_method", "redirect_url", "currency")
    body = shop.body({free: 1}) | {"consumer": consumer} | dict.fromkeys(names, empty)
    assert (await shop.post("/bill", body)).status_code == 200
    made = await shop.post("/orders", body)
    assert (made.status_code, made.json()["status"]) == (201, "completed")
    assert made.json()["consumer"] == {"first_name": "Jo"}
    assert "redirect_url" not in made.json()
    kept = await shop.post("/consumers", consumer)
    assert {name for name in kept.json() if name != "_links"} == {"uid", "first_name"}


async def test_a_null_in_every_other_optional_field_orders_as_well(shop: Shop):
    free = await shop.product(price_minor=0)
    line = {"product": f"{PUBLIC_URL}/products/{free}", "quantity": 1, "consumers": None}
    names = ("vouchers", "external_purchases", "check_consecutive_seats", "external_reference", "captcha", "opt_in")
    people = ("uid", "last_name", "email", "phone_number", "address", "postal_code", "city", "state", "language", "ip")
    consumer = {"first_name": "Jo", "country": None} | dict.fromkeys(people)
    body = {"products": [line], "consumer": consumer, "tickets": None, "donation_amount": None} | dict.fromkeys(names)
    made = await shop.post("/orders", body)
    assert (made.status_code, made.json()["consumer"]) == (201, {"first_name": "Jo"})
    assert made.json()["external_purchases"] == []


async def test_null_leaves_a_field_of_a_stored_consumer_as_it_is(shop: Shop):
    stored = (await shop.post("/consumers", {"first_name": "Jo", "gender": 1, "date_of_birth": "1990-01-01"})).json()
    changes = {"uid": stored["uid"], "first_name": None, "gender": "", "date_of_birth": None, "city": "Groningen"}
    revised = (await shop.post("/consumers", changes)).json()
    assert (revised["first_name"], revised["gender"], revised["city"]) == ("Jo", 1, "Groningen")
    assert revised["date_of_birth"] == "1990-01-01"

"""The vendor's own shop of 2015, request by request: it lists, bills, orders, and its buyer pays and is led back.

The shop is a page of another origin, written with Angular. The requests here are those that its services make: the same
paths, queries, headers and bodies. What its templates read of the answers is read here in the same way.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from support.processes import Demo, a_demo

SHOP = "https://shop.example"
THANKS = f"{SHOP}/#/thank-you"
# What a buyer types into the form of the shop.
CONSUMER = {
    "first_name": "Jo",
    "last_name": "Visitor",
    "date_of_birth": "1986-12-30",
    "gender": 1,
    "email": "jo@example.com",
    "address": "Kade 1",
    "postal_code": "9712 AB",
    "city": "Groningen",
    "country": "NL",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    origins = {"COUNTERMAND_SHOPPING_ALLOWED_ORIGINS": json.dumps([SHOP])}
    with a_demo(tmp_path_factory.mktemp("vendor") / "demo", environment=origins) as demo:
        yield demo


@pytest.fixture
def shop(running: Demo) -> Iterator[httpx.Client]:
    """The shop in a browser, with the key and secret of its configuration; the operator has set where it is."""
    mine = running.json["shopping"]
    with running.client(headers=running.manage_headers()) as operator:
        clients = operator.get("/manage/v1/clients").raise_for_status().json()["clients"]
        (number,) = (one["id"] for one in clients if one["key"] == mine["key"])
        set_there = operator.put(f"/manage/v1/clients/{number}/redirects", json={"redirect_url": THANKS})
        assert set_there.status_code == 200, set_there.text
    headers = {"Accept": "application/json, text/plain, */*", "Origin": SHOP, "Referer": f"{SHOP}/"}
    with running.client(auth=(mine["key"], mine["secret"]), headers=headers) as http:
        yield http


def test_the_vendors_shop_lists_bills_orders_and_its_buyer_pays_and_is_led_back(shop: httpx.Client):
    in_list = got(shop, "/events")["_embedded"]["shop:event"][0]
    event = got(shop, f"/events/{in_list['uid']}")
    for shown in (in_list, event):
        assert localize(shown["title"], "nl") == "Grachtendagen"
        assert [localize(artist, "nl") for artist in shown["artists"]] == ["De Sluiswachters", "Low Bridge"]
        assert [localize(artist, "de") for artist in shown["artists"]] == ["The Lock Keepers", "Low Bridge"]
        assert [localize(genre["title"], "nl") for genre in shown["genres"]] == ["Folk", "Jazz"]
        assert isinstance(shown["facilities"], dict)
        assert shown["facilities"]
        assert (shown["location"]["name"], shown["location"]["city"]) == ("Canal Park", "Groningen")

    product = next(
        one for one in event["_embedded"]["shop:product"] if not one["sold_out"] and one["price"]["amount"] > 0
    )
    chosen = {product["_links"]["self"]["href"]: 2}
    first = billed(shop, chosen)
    assert first["product_total"]["amount"] == 2 * product["price"]["amount"]
    methods = [first[f"available_{kind}_methods"][0] for kind in ("payment", "shipping")]
    assert all(localize(method["name"], "en") for method in methods)
    bill = billed(shop, chosen, payment_method=methods[0]["uid"], shipping_method=methods[1]["uid"])

    body = {
        "products": bill["products"],
        "consumer": CONSUMER,
        "payment_method": bill["payment_method"]["uid"],
        "shipping_method": bill["shipping_method"]["uid"],
    }
    preflighted(shop, "POST", "/orders", "authorization,content-type")
    placed = shop.post("/orders", content=json.dumps(body), headers={"Content-Type": "application/json;charset=utf-8"})
    assert placed.status_code == 201, placed.text
    assert placed.headers["access-control-allow-origin"] == SHOP
    order = placed.json()
    assert order["grand_total"] == bill["grand_total"]
    assert order["_links"]["payment_url"] == order["_links"]["payment"]

    with httpx.Client(trust_env=False, timeout=120) as browser:  # the buyer's, which has no credentials
        page = browser.get(order["_links"]["payment_url"]["href"])
        assert page.status_code == 200
        assert f'href="{THANKS}"' in page.text
        assert f"form-action 'self' {SHOP}" in page.headers["content-security-policy"]
        paid = browser.post(order["_links"]["payment_url"]["href"])
    assert (paid.status_code, paid.headers["location"]) == (303, THANKS)
    assert got(shop, urlsplit(order["_links"]["self"]["href"]).path)["status"] == "completed"


def test_the_bill_of_a_combo_product_is_ordered_as_the_shop_sends_it_back(running: Demo, shop: httpx.Client):
    bill = billed(shop, {running.json["shopping"]["products"]["combo"]: 1})
    method = bill["available_payment_methods"][0]["uid"]
    bill = billed(shop, {running.json["shopping"]["products"]["combo"]: 1}, payment_method=method)
    assert len(bill["products"]) > 1
    placed = shop.post("/orders", json={"products": bill["products"], "consumer": CONSUMER, "payment_method": method})
    assert placed.status_code == 201, placed.text
    assert placed.json()["grand_total"] == bill["grand_total"]
    assert placed.json()["product_selection"] == bill["products"]


def test_an_error_has_the_type_that_the_shop_looks_up(running: Demo, shop: httpx.Client):
    sold_out = running.json["shopping"]["products"]["sold_out"]
    refused = shop.get(f"/bill?{query({'country': 'NL', 'products': [f'{sold_out},1']})}")
    assert (refused.status_code, refused.json()["type"]) == (409, "INSUFFICIENT_PRODUCTS")


def localize(text: Any, language: str) -> str | None:
    """The shop's filter: the text in the language, or else in English. A plain text has no languages: it is blank."""
    if not isinstance(text, dict):
        return None
    return text.get(language) or text.get("en") or None


def billed(shop: httpx.Client, chosen: dict[str, int], **methods: str) -> dict[str, Any]:
    """The bill as the shop fetches it anew after each press of a button."""
    products = [f"{uri},{quantity}" for uri, quantity in chosen.items()]
    return got(shop, f"/bill?{query({'country': 'NL', 'products': products, **methods})}")


def query(parameters: dict[str, str | list[str]]) -> str:
    """As Angular writes a query: by name, a list as one parameter for each value, and `:` and `,` as they are."""
    pairs = [
        (name, one)
        for name, value in sorted(parameters.items())
        for one in (value if isinstance(value, list) else [value])
    ]
    return "&".join(f"{name}={quote(one, safe=':,@$')}" for name, one in pairs)


def got(shop: httpx.Client, path: str) -> dict[str, Any]:
    preflighted(shop, "GET", path, "authorization")
    answer = shop.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == SHOP
    return dict(answer.json())


def preflighted(shop: httpx.Client, method: str, path: str, headers: str) -> None:
    """Ask first, as a browser does before it sends credentials to another origin."""
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    answer = httpx.options(
        str(shop.base_url).rstrip("/") + path, headers={"Origin": SHOP, **asked}, timeout=120, trust_env=False
    )
    assert answer.is_success, answer.text
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert set(headers.split(",")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))

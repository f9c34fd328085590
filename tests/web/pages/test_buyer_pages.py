"""The payment page and the tickets, over HTTP: what they say and do, and what they do not."""

import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import update

from countermand.actions.ordering.record_progress import record_payment
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.money import Money
from countermand.domain.orders.order_state import Transition
from countermand.domain.redirects import Redirects
from countermand.storage.tables.orders import order_details
from support.world import PUBLIC_URL, Caller, World, a_world


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param, sandbox_payments=True) as made:
        yield made


async def test_paying_records_the_payment_and_sends_the_buyer_back_to_the_shop(shop: World):
    me = await shop.shopping_client()
    uri, view = await order(shop, me, redirect_url="https://shop.example/thanks?order=1")
    links = (await read(shop, me, uri)).json()["_links"]
    page = await shop.http.get(links["payment"]["href"])
    assert page.status_code == 200
    assert "EUR 26.00" in page.text
    assert "<button" in page.text
    assert "form-action 'self' https://shop.example" in page.headers["content-security-policy"]
    paid = await shop.http.post(links["payment"]["href"])
    assert (paid.status_code, paid.headers["location"]) == (303, "https://shop.example/thanks?order=1")
    assert (await read(shop, me, uri)).json()["status"] == "completed"
    (payment,) = await shop.rows("payments", view.order.id)
    assert (payment["amount_minor"], payment["currency"], bool(payment["is_late"])) == (2600, "EUR", False)
    refused = await cancel(shop, me, uri)
    assert (refused.status_code, refused.json()["type"]) == (403, "FORBIDDEN")


BACK = {  # addresses, with the source that lets the browser follow the redirect after the form
    "HTTPS://shop.example/thanks": "https://shop.example",
    "https://[2001:db8::7]:8443/thanks": "https:",
    "myapp://thanks?order=1": "myapp:",
}


@pytest.mark.parametrize("url", BACK)
async def test_a_buyer_is_led_back_to_the_clients_default_of_any_kind(shop: World, url: str):
    me = await shop.shopping_client()
    await shop.database.clients.change_redirects(me.client.id, Redirects(url=url, schemes=("myapp",)))
    uri, _ = await order(shop, me)
    pay = (await read(shop, me, uri)).json()["_links"]["payment_url"]["href"]
    page = await shop.http.get(pay)
    assert page.headers["content-security-policy"].endswith(f"form-action 'self' {BACK[url]}")
    assert f'href="{url}"' in page.text
    paid = await shop.http.post(pay)
    assert (paid.status_code, paid.headers["location"]) == (303, url)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://shop.example;script-src *", "https://me@shop.example"])
async def test_an_address_that_no_page_may_lead_to_is_as_if_none_were_kept(shop: World, url: str):
    me = await shop.shopping_client()
    uri, view = await order(shop, me, redirect_url="https://shop.example/")
    kept = json.dumps(msgspec.to_builtins(view.details) | {"redirect_url": url})
    async with shop.database.store.transaction() as tx:
        change = update(order_details).where(order_details.c.order_id == view.order.id)
        await tx.run(change.values(details=kept))
    pay = (await read(shop, me, uri)).json()["_links"]["payment"]["href"]
    page, paid = await shop.http.get(pay), await shop.http.post(pay)
    assert page.headers["content-security-policy"].endswith("form-action 'self'")
    assert url not in page.text
    assert paid.headers["location"] == pay.removeprefix(PUBLIC_URL)


async def test_of_an_order_that_is_paid_in_part_the_page_asks_for_the_rest(shop: World):
    me = await shop.shopping_client()
    uri, view = await order(shop, me)
    async with shop.database.store.transaction() as tx:
        await record_payment(
            tx, Actor(me.client.id), view.order.id, "psp", Money(minor=1000, currency="EUR"), shop.clock()
        )
    pay = (await read(shop, me, uri)).json()["_links"]["payment"]["href"]
    page = (await shop.http.get(pay)).text
    assert [said in page for said in ("EUR 26.00", "EUR 10.00", "Pay EUR 16.00")] == [True] * 3
    assert (await shop.http.post(pay)).status_code == 303
    assert sorted(row["amount_minor"] for row in await shop.rows("payments", view.order.id)) == [1000, 1600]
    assert (await read(shop, me, uri)).json()["status"] == "completed"
    assert "Pay EUR" not in (await shop.http.get(pay)).text


async def test_a_second_press_of_the_button_pays_nothing_more(shop: World):
    me = await shop.shopping_client()
    uri, view = await order(shop, me)
    pay = (await read(shop, me, uri)).json()["_links"]["payment"]["href"]
    replies = [await shop.http.post(pay) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [303] * 3
    assert replies[0].headers["location"] == pay.removeprefix(PUBLIC_URL)
    assert len(await shop.rows("payments", view.order.id)) == 1
    assert "<button" not in (await shop.http.get(pay)).text


@pytest.mark.parametrize("end", ["cancelled", "expired", "failed"])
async def test_an_order_that_has_ended_cannot_be_paid_and_stays_as_it_is(shop: World, end: str):
    me = await shop.shopping_client()
    uri, view = await order(shop, me)
    links = (await read(shop, me, uri)).json()["_links"]
    if end == "cancelled":
        assert (await cancel(shop, me, uri)).status_code == 200
    else:
        await shop.advance(view.order.id, {"expired": Transition.EXPIRE, "failed": Transition.FAIL}[end])
    page, paid = await shop.http.get(links["payment"]["href"]), await shop.http.post(links["payment"]["href"])
    assert (page.status_code, paid.status_code) == (200, 409)
    assert f"badge {end}" in page.text
    assert "Nothing was paid just now" in paid.text
    assert "<button" not in page.text + paid.text
    assert await shop.rows("payments", view.order.id) == []
    (row,) = await shop.rows("orders", view.order.id)
    assert (row["state"], row["first_payment_at"]) == (end, None)


async def test_the_tickets_are_there_once_paid_and_gone_once_cancelled(shop: World):
    me = await shop.shopping_client()
    free = await shop.product(price_minor=0)
    uri, view = await order(shop, me, product=free)
    etickets = (await read(shop, me, uri)).json()["_links"]["shop:etickets"]["href"]
    codes = [ticket.code for ticket in view.tickets]
    page = await shop.http.get(etickets)
    assert page.status_code == 200
    assert [code in page.text for code in codes] == [True, True]
    assert page.text.count("<svg") == 2
    assert (await cancel(shop, me, uri)).status_code == 200
    page = await shop.http.get(etickets)
    assert "cancelled" in page.text
    assert not any(code in page.text for code in codes)
    assert "<svg" not in page.text


async def test_tickets_that_were_given_on_are_on_the_new_orders_page_alone(shop: World):
    me = await shop.shopping_client()
    uri, view = await order(shop, me, product=await shop.product(price_minor=0))
    body = {"tickets": [f"{PUBLIC_URL}/tickets/{ticket.uid}" for ticket in view.tickets], "consumer": {}}
    made = (await shop.http.post("/orders", json=body, headers=shop.shopping_headers(me))).json()
    old = (await read(shop, me, uri)).json()["_links"]["shop:etickets"]["href"]
    page, new = await shop.http.get(old), await shop.http.get(made["_links"]["shop:etickets"]["href"])
    assert "given on to somebody else" in page.text
    assert "<svg" not in page.text
    assert not any(ticket.code in page.text + new.text for ticket in view.tickets)
    assert all(ticket["code"] in new.text for ticket in made["_embedded"]["shop:ticket"])


async def test_the_payment_page_names_all_that_makes_up_the_total(shop: World):
    me = await shop.shopping_client()
    uri, _ = await order(shop, me, donation_amount={"amount": 4.5, "currency": "EUR"})
    page = await shop.http.get((await read(shop, me, uri)).json()["_links"]["payment"]["href"])
    rows = dict(re.findall("<dt[^>]*>(.*)</dt><dd[^>]*>EUR (.*)</dd>", page.text))
    total = rows.pop("To pay")
    assert rows["Donation"] == "4.50"
    assert sum(map(Decimal, rows.values())) == Decimal(total) == Decimal("30.50")
    uri, _ = await order(shop, me)
    page = await shop.http.get((await read(shop, me, uri)).json()["_links"]["payment"]["href"])
    assert "Donation" not in page.text


async def test_unpaid_tickets_are_not_shown(shop: World):
    me = await shop.shopping_client()
    uri, view = await order(shop, me)
    page = await shop.http.get((await read(shop, me, uri)).json()["_links"]["shop:etickets"]["href"])
    assert "not paid yet" in page.text
    assert not any(ticket.code in page.text for ticket in view.tickets)


async def test_nobody_guesses_a_page(shop: World):
    me = await shop.shopping_client()
    uri, _ = await order(shop, me)
    token = (await read(shop, me, uri)).json()["_links"]["shop:etickets"]["href"].rpartition("/")[2]
    wrong = [token[:-1], token + "x", token[:32], token[:32] + "A" * 32, "x", "%00", "é", "0" * 32]
    replies = [await shop.http.get(f"/etickets/{one}") for one in wrong]
    replies += [await shop.http.get(f"/payments/{one}") for one in ("x", "0" * 32, token)]
    assert {reply.status_code for reply in replies} == {404}


async def test_what_a_shop_wrote_is_text_and_no_markup(shop: World):
    me = await shop.shopping_client()
    uri, _ = await order(shop, me, redirect_url='https://shop.example/?a="><script>alert(1)</script>')
    page = await shop.http.get((await read(shop, me, uri)).json()["_links"]["payment"]["href"])
    assert "<script" not in page.text
    assert "<script>alert(1)</script>" in unescape(page.text)


async def test_pages_are_kept_by_nobody_run_no_script_and_are_in_no_frame(shop: World):
    me = await shop.shopping_client()
    uri, _ = await order(shop, me)
    links = (await read(shop, me, uri)).json()["_links"]
    for rel in ("payment", "shop:etickets"):
        headers = (await shop.http.get(links[rel]["href"])).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_the_payment_page_is_there_only_where_it_is_switched_on(sqlite_world: World):
    me = await sqlite_world.shopping_client()
    uri, view = await order(sqlite_world, me)
    pay = (await read(sqlite_world, me, uri)).json()["_links"]["payment"]["href"]
    assert (await sqlite_world.http.get(pay)).status_code == 404
    assert (await sqlite_world.http.post(pay)).status_code in {404, 405}
    assert await sqlite_world.rows("payments", view.order.id) == []


async def order(shop: World, me: Caller, *, product: str | None = None, **more: Any) -> tuple[str, OrderView]:
    """An order over HTTP for two tickets, 26.00 with the costs of paying, unless they are free."""
    uid = product or await shop.product()
    body = {
        "products": [{"product": f"{PUBLIC_URL}/products/{uid}", "quantity": 2}],
        "consumer": {"first_name": "Jo", "country": "NL"},
        "payment_method": await shop.payment_method(),
    } | more
    made = await shop.http.post("/orders", json=body, headers=shop.shopping_headers(me))
    assert made.status_code == 201, made.text
    (row,) = [row for row in await shop.rows("order_details") if row["uid"] == made.json()["uid"]]
    async with shop.database.store.snapshot() as reading:
        return made.headers["location"], (await reading.views([row["order_id"]]))[row["order_id"]]


async def read(shop: World, me: Caller, uri: str) -> httpx.Response:
    return await shop.http.get(uri, headers=shop.shopping_headers(me))


async def cancel(shop: World, me: Caller, uri: str) -> httpx.Response:
    body = {"order": uri, "reason": "The buyer asked"}
    return await shop.http.post("/ordercancellation/", json=body, headers=shop.shopping_headers(me))

"""What the payment page says of an order that needs no payment any more: its state, and what to do next."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from countermand.actions.ordering.record_progress import record_payment
from countermand.domain.actor import Actor
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderUid, order_id_of
from countermand.domain.orders.order_state import Transition
from support.ticket_shop import Shop, a_shop
from support.world import a_world

_OF_PAYING = re.compile(r"\bpa(?:y|id|ying|yment)\b|sandbox|<button|<form", re.IGNORECASE)
_BACK = "https://shop.example/thanks"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with a_world(tmp_path, sandbox_payments=True) as world:
        yield await a_shop(world)


@pytest.mark.parametrize(
    ("end", "badge", "said"),
    [
        ("cancelled", "Cancelled", "This order was cancelled"),
        ("expired", "Expired", "This order has expired"),
        ("failed", "Failed", "This order has failed"),
    ],
)
async def test_an_order_that_has_ended_says_so_and_what_to_do_next_and_nothing_of_paying(
    shop: Shop, end: str, badge: str, said: str
):
    order = await placed(shop, 1000)
    await ended(shop, order, end)
    page = await shown(shop, order)
    assert f"<h1>{said}</h1>" in page
    assert f'<span class="badge {end}">{badge}</span>' in page
    assert "Place a new order in the shop" in page
    assert f'href="{_BACK}"' in page
    assert _OF_PAYING.findall(page) == []


async def test_a_free_order_is_complete_and_leads_to_its_tickets_and_says_nothing_of_paying(shop: Shop):
    page = await shown(shop, await placed(shop, 0))
    assert "<h1>Your order is complete</h1>" in page
    assert "This order is free and complete" in page
    assert "e-tickets are at the address that the shop gave you" in page
    assert _OF_PAYING.findall(page) == []


async def test_a_paid_order_says_that_it_is_paid_and_asks_for_nothing(shop: Shop):
    order = await placed(shop, 1000)
    assert (await shop.world.http.post(order["_links"]["payment"]["href"])).status_code == 303
    page = await shown(shop, order)
    assert "This order is paid." in page
    assert "<dt>Paid</dt><dd>EUR 10.00</dd>" in page
    assert not any(word in page for word in ("sandbox", "<button", "<form", "To pay"))


async def test_the_tickets_are_not_promised_on_the_page_once_they_were_given_on(shop: Shop):
    order = await placed(shop, 0)
    tickets = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]]
    given_on = await shop.post("/orders", {"tickets": tickets, "consumer": {}})
    assert given_on.status_code == 201, given_on.text
    page = await shown(shop, order)
    assert "given on to somebody else" in page
    assert "e-tickets are at the address" not in page


async def test_money_that_came_in_for_an_order_that_has_ended_is_named_with_what_to_do_about_it(shop: Shop):
    order = await placed(shop, 1000)
    await ended(shop, order, "cancelled")
    async with shop.world.database.store.transaction() as tx:
        of_order, money = order_id_of(OrderUid(order["uid"])), Money(minor=400, currency="EUR")
        await record_payment(tx, Actor(shop.caller.client.id), of_order, "late", money, shop.world.clock())
    page = await shown(shop, order)
    assert "The shop received EUR 4.00 for this order. Ask the shop to return the money." in page
    assert "<dt>Received</dt><dd>EUR 4.00</dd>" in page
    assert "<button" not in page


async def test_a_press_of_the_button_of_an_order_that_has_ended_says_that_nothing_was_paid(shop: Shop):
    order = await placed(shop, 1000)
    await ended(shop, order, "cancelled")
    answer = await shop.world.http.post(order["_links"]["payment"]["href"])
    assert (answer.status_code, "Nothing was paid just now" in answer.text) == (409, True)
    assert "<button" not in answer.text
    assert await shop.world.rows("payments") == []


async def test_the_day_of_an_order_is_written_for_people_and_for_programs(shop: Shop):
    page = await shown(shop, await placed(shop, 1000))
    assert '<time datetime="2026-11-21T12:00:00Z">21 November 2026</time>' in page


async def placed(shop: Shop, price_minor: int) -> dict[str, Any]:
    answer = await shop.order({await shop.product(price_minor=price_minor): 1}, redirect_url=_BACK)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ended(shop: Shop, order: dict[str, Any], end: str) -> None:
    if end == "cancelled":
        uri = order["_links"]["self"]["href"]
        answer: httpx.Response = await shop.post("/ordercancellation/", {"order": uri, "reason": "The buyer asked"})
        assert answer.status_code == 200
    else:
        transition = {"expired": Transition.EXPIRE, "failed": Transition.FAIL}[end]
        await shop.world.advance(order_id_of(OrderUid(order["uid"])), transition)


async def shown(shop: Shop, order: dict[str, Any]) -> str:
    """The main part of the order's payment page."""
    answer = await shop.world.http.get(order["_links"]["payment"]["href"])
    assert answer.status_code == 200
    return unescape(answer.text[answer.text.index("<main") : answer.text.index("</main>")])

"""Behind a proxy that strips a path, every address that a page, a document or a redirect names has that path."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from support.world import Caller, World, a_world

OUTSIDE = "https://proxy.example:8443/shop"
BUYER = {"Accept": "text/html,*/*;q=0.1"}
_IN_HTML = re.compile(r"""\b(?:href|src|action|data-document)=["']([^"']*)["']""")
_IN_CSS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Proxy(httpx.AsyncBaseTransport):
    """Passes on what is below the public address, without its path. All else is answered by somebody else: 404."""

    def __init__(self, inside: httpx.AsyncBaseTransport) -> None:
        self._inside = inside

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = str(request.url)
        if not asked.startswith(OUTSIDE + "/"):
            return httpx.Response(404, text="elsewhere")
        inside = httpx.URL("http://10.0.0.7:8080" + asked.removeprefix(OUTSIDE))
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        passed_on = httpx.Request(
            request.method, inside, headers=[*headers, (b"host", b"10.0.0.7:8080")], stream=request.stream
        )
        return await self._inside.handle_async_request(passed_on)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, public_url=OUTSIDE, sandbox_payments=True) as made:
        yield made


@pytest.fixture
async def buyer(shop: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = Proxy(httpx.ASGITransport(shop.service.application, raise_app_exceptions=False))
    async with httpx.AsyncClient(transport=transport, headers=BUYER) as http:
        yield http


async def test_a_buyer_who_pays_behind_a_proxy_gets_back_to_the_order_and_to_its_tickets(
    shop: World, buyer: httpx.AsyncClient
):
    order = await placed(shop, buyer, await shop.shopping_client())
    pay, tickets = (order["_links"][rel]["href"] for rel in ("payment", "shop:etickets"))

    paid = await buyer.post(pay)
    assert paid.status_code == 303
    back = await buyer.get(urljoin(pay, paid.headers["location"]))
    assert (back.status_code, "This order is paid" in back.text) == (200, True)
    assert "Your tickets" in (await buyer.get(tickets)).text


async def test_every_address_on_every_page_behind_a_proxy_leads_somewhere(shop: World, buyer: httpx.AsyncClient):
    order = await placed(shop, buyer, await shop.shopping_client())
    starts = [OUTSIDE + path for path in ("/", "/docs", "/documentation/order.html")]
    starts += [order["_links"][rel]["href"] for rel in ("payment", "shop:etickets")]
    statuses = await walk(buyer, starts)

    assert set(statuses.values()) == {200, 302}, statuses
    assert {url for url in statuses if not url.startswith(OUTSIDE + "/")} == set()
    seen = {url.removeprefix(OUTSIDE) for url in statuses}
    assets = ("style.css", "reader.css", "docs.js", "favicon.svg", "swagger-ui.css", "swagger-ui-bundle.js")
    assert seen >= {f"/docs/assets/{name}" for name in assets}
    assert seen >= {f"/docs/{name}{end}" for name in ("connect", "shopping") for end in ("", "/openapi.json")}


async def test_a_page_that_is_not_there_has_its_style_behind_a_proxy_too(buyer: httpx.AsyncClient):
    missing = await buyer.get(f"{OUTSIDE}/etickets/{'0' * 64}")

    assert missing.status_code == 404
    for link in set(_IN_HTML.findall(missing.text)) - {"#main"}:
        assert (await buyer.get(urljoin(str(missing.url), link))).status_code == 200, link


async def test_a_shop_that_follows_links_behind_a_proxy_never_leaves_it(shop: World, buyer: httpx.AsyncClient):
    me = await shop.shopping_client()
    order = await placed(shop, buyer, me)
    root = (await buyer.get(OUTSIDE + "/", headers={"Accept": "application/hal+json"})).json()

    for link in [*links_in(root), *links_in(order)]:
        assert link.startswith(OUTSIDE + "/"), link
        if "{" not in link and not link.endswith("/ordercancellation"):
            answer = await buyer.get(link, headers=shop.shopping_headers(me, Accept="*/*"))
            assert answer.status_code == 200, link


async def placed(shop: World, buyer: httpx.AsyncClient, me: Caller) -> Any:
    body = {
        "products": [{"product": f"{OUTSIDE}/products/{await shop.product()}", "quantity": 2}],
        "consumer": {"first_name": "Jo", "country": "NL"},
        "payment_method": await shop.payment_method(),
    }
    made = await buyer.post(f"{OUTSIDE}/orders", json=body, headers=shop.shopping_headers(me))
    assert made.status_code == 201, made.text
    assert made.headers["location"] == made.json()["_links"]["self"]["href"]
    return made.json()


async def walk(buyer: httpx.AsyncClient, starts: list[str]) -> dict[str, int]:
    """Follow all that pages, style sheets, documents and redirects name; gives each address with its status."""
    statuses: dict[str, int] = {}
    ahead = list(starts)
    while ahead:
        url = ahead.pop()
        if url in statuses:
            continue
        answer = await buyer.get(url)
        statuses[url] = answer.status_code
        ahead += [urljoin(url, link) for link in named_in(answer)]
    return statuses


def named_in(answer: httpx.Response) -> Iterator[str]:
    if "location" in answer.headers:
        yield answer.headers["location"]
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type == "text/html":
        yield from map(unescape, _IN_HTML.findall(answer.text))
    elif media_type == "text/css":
        found = [one or other for one, other in _IN_CSS.findall(answer.text)]
        yield from (link for link in found if not link.startswith("data:"))
    elif media_type == "application/json":
        yield from (server["url"] + "/docs" for server in json.loads(answer.text)["servers"])


def links_in(resource: Any) -> Iterator[str]:
    """Every `href` in a resource and in the resources that it embeds."""
    if isinstance(resource, dict):
        if isinstance(resource.get("href"), str):
            yield resource["href"]
        for value in resource.values():
            yield from links_in(value)
    elif isinstance(resource, list):
        for value in resource:
            yield from links_in(value)
